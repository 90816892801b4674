"""Who and what is where: what anybody may ask of the stores, and what is known here besides."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice

from disroom.chat.errors import NoSuchNick, PresenceUnavailable, StoreUnavailable
from disroom.chat.interfaces import IPresence, IRoomLog
from disroom.chat.limits import Limits
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Listing
from disroom.chat.replies import ListedRoom, RoomList, UserList, Whois
from disroom.chat.rooms import Rooms
from disroom.chat.stored import Topic


class Directory:
    """Answers for one instance.

    Args:
        log: Knows the topics.
        presence: Knows who is where.
        rooms: Those that are followed here.
        limits: How much is listed.
    """

    def __init__(self, log: IRoomLog, presence: IPresence, rooms: Rooms, limits: Limits) -> None:
        self._log = log
        self._presence = presence
        self._rooms = rooms
        self._listed = limits.listed

    async def whois(self, nick: Nick) -> Whois:
        """Tell who is behind a nick.

        Raises:
            NoSuchNick: Nobody has it.
        """
        whereabouts = await self._presence.locate(nick)
        if whereabouts is None:
            raise NoSuchNick(nick.display)
        return Whois(whereabouts)

    async def users(self, name: RoomName) -> UserList:
        """Tell who is in a room, on all instances.

        Raises:
            PresenceUnavailable: The store does not answer and the room is not known here either.
        """
        room, most = self._rooms.get(name), self._listed
        listing: Listing | None = None
        try:
            known = room.version if room else 0
            listing = await self._presence.listing(name, most, known)
        except PresenceUnavailable:
            if room is None:
                raise
        settled = listing is not None and listing.settled
        if listing and listing.members is not None and (settled or room is None):
            return UserList(listing.name, listing.members, listing.total, not settled)
        assert room is not None
        members = tuple(islice(room.members.values(), most))
        return UserList(room.name, members, len(room.members), not settled)

    async def rooms(self) -> RoomList:
        """Tell which rooms have people, with their topics where those can be had."""
        summaries, total = await self._presence.rooms(self._listed)
        topics: dict[RoomName, Topic] = {}
        with suppress(StoreUnavailable):
            topics = await self.topics([summary.name for summary in summaries])
        return RoomList(
            tuple(ListedRoom(s.name, s.members, topics.get(s.name)) for s in summaries), total
        )

    async def topics(self, names: Iterable[RoomName]) -> dict[RoomName, Topic]:
        """Read topics; where the message that set it was seen here, that is the topic."""
        topics: dict[RoomName, Topic] = {}
        asked: list[RoomName] = []
        for name in names:
            room = self._rooms.get(name)
            if room is None or room.topic_at is None:
                asked.append(name)
            elif room.topic is not None:
                topics[name] = room.topic
        if asked:
            told = await self._log.topics(asked)
            topics.update(told)
        return topics
