"""One user's verbs.

A session is apart from its connection: the client is an `IMember` that it speaks to, and everything
that makes the user (its nick, its rooms, what it has yet to send) is here.

What the user sends waits in `Outgoing`. ``nick``, ``leave`` and a quiet end of the session wait for
it to empty; nothing else does.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from disroom.chat.errors import (
    ChatError,
    EmptyText,
    NoNick,
    NoRoom,
    NoSuchNick,
    NotInRoom,
    PresenceUnavailable,
    StoreUnavailable,
    TextTooLong,
    TooManyRooms,
)
from disroom.chat.events import (
    Draft,
    Member,
    Message,
    PrivateMessage,
    PrivateReceived,
    PrivateSent,
    RoomEvent,
    StoredAfterAll,
)
from disroom.chat.interfaces import IMember, Roster, Topic
from disroom.chat.names import Nick, RoomName
from disroom.chat.outgoing import Outgoing, Receipt
from disroom.chat.replies import (
    AwaySet,
    Departed,
    Entered,
    History,
    IgnoreSet,
    ListedRoom,
    Named,
    RoomList,
    TopicIs,
    UserList,
    Whois,
)
from disroom.chat.room import Room
from disroom.chat.text import clean

if TYPE_CHECKING:
    from disroom.chat.hub import Hub


TEXT_OR_ROOM = "join it first, or say the text as it stands: say TEXT"
"""The hint for ``send #word ...`` where ``#word`` is no room of the user's."""


class Session:
    """What one user can do and is.

    The verbs must be called one after the other, each awaited; `close` and `evict` at any time.

    Attributes:
        id: Opaque, unguessable, never used twice.
        nick: None until the user has one.
        current: The room in which the user talks.
    """

    def __init__(self, hub: Hub, member: IMember) -> None:
        self.id = hub.runtime.fresh_id()
        self.nick: Nick | None = None
        self.current: Room | None = None
        self._hub = hub
        self._member = member
        self._rooms: dict[RoomName, Room] = {}
        self._ignored: set[Nick] = set()
        self._outgoing = Outgoing(
            log=hub.log,
            runtime=hub.runtime,
            tell=member.deliver,
            most=hub.limits.unsent,
            give_up=hub.limits.give_up,
        )
        self._closed = False

    @property
    def rooms(self) -> tuple[RoomName, ...]:
        """The rooms that the user is in, in the order of joining."""
        return tuple(room.name for room in self._rooms.values())

    # Verbs about names.

    async def name(self, nick: Nick) -> Named:
        """Take a nick, or exchange the present one.

        Raises:
            NickTaken: Somebody else holds it.
            PresenceUnavailable: It cannot be asked for just now.
        """
        if self.nick is None:
            await self._hub.presence.claim(self.id, nick)
            if self._closed:
                await self._release("connection lost")
                raise NoNick
        else:
            await self.sent()
            self._named()
            await self._hub.presence.rename(self.id, nick)
        self.nick = nick
        return Named(nick)

    async def away(self, text: str | None) -> AwaySet:
        """Leave a text for those who look for the user, or take it back."""
        self._named()
        text = self._text(text, self._hub.limits.topic_bytes) if text is not None else None
        await self._hub.presence.set_away(self.id, text)
        return AwaySet(text)

    def ignore(self, nick: Nick) -> IgnoreSet:
        """Hide from now on what a nick says, in rooms and in private."""
        self._ignored.add(nick)
        return IgnoreSet(nick, ignored=True)

    def unignore(self, nick: Nick) -> IgnoreSet:
        """Show again what a nick says."""
        self._ignored.discard(nick)
        return IgnoreSet(nick, ignored=False)

    async def whois(self, nick: Nick) -> Whois:
        """Tell who is behind a nick.

        Raises:
            NoSuchNick: Nobody has it.
        """
        whereabouts = await self._hub.presence.locate(nick)
        if whereabouts is None:
            raise NoSuchNick(nick.display)
        return Whois(whereabouts)

    # Verbs about rooms.

    async def join(self, name: RoomName) -> Entered:
        """Enter a room, or make one that the user is in the current one.

        Everything after the backlog in the answer reaches the member as events, without a seam.

        Raises:
            NoNick: The user has none yet.
            TooManyRooms: The user is in as many as it may.
            StoreUnavailable: The room cannot be opened just now.
            PresenceUnavailable: The room cannot be entered just now.
        """
        nick = self._named()
        if name in self._rooms:
            room = self.current = self._rooms[name]
            return Entered(room.name, nick, await self.users(room.name), room.topic, None)
        if len(self._rooms) >= self._hub.limits.rooms:
            raise TooManyRooms(self._hub.limits.rooms)
        room = await self._hub.enter(name)
        try:
            self._named()
            roster = await self._hub.presence.join(self.id, name, room.version)
            self._named()
            members = room.admit(self, Member(self.id, nick), roster)
            self._rooms[name] = self.current = room
        finally:
            self._hub.entered(name)
        limits = self._hub.limits
        return Entered(
            room.name,
            nick,
            UserList(room.name, members[: limits.listed], len(members)),
            room.topic,
            History(room.name, limits.backlog, room.backlog()),
        )

    async def leave(self, name: RoomName | None) -> Departed:
        """Leave a room, the current one if none is named, once what was sent is stored.

        Raises:
            NoRoom: None is named and there is no current one.
            NotInRoom: The user is not in it.
        """
        room = self._room(name)
        await self.sent()
        await self._hub.presence.leave(self.id, room.name, "")
        self._out_of(room)
        return Departed(room.name, self.current.name if self.current else None)

    def _out_of(self, room: Room) -> None:
        self._rooms.pop(room.name, None)
        room.remove(self)
        if self.current is room:
            self.current = next(reversed(self._rooms.values()), None)
        self._hub.left(room.name)

    async def users(self, name: RoomName | None) -> UserList:
        """Tell who is in a room, on all instances.

        Raises:
            NoRoom: None is named and there is no current one.
            PresenceUnavailable: The store does not answer and the room is not known here either.
        """
        if name is None:
            name = self._room(None).name
        room = self._hub.room(name)
        roster: Roster | None = None
        try:
            roster = await self._hub.presence.users(name)
        except PresenceUnavailable:
            if room is None:
                raise
        if roster and roster.members is not None and (roster.settled or room is None):
            members, stale = roster.members, not roster.settled
            name = roster.name
        else:
            assert room is not None
            members, stale = tuple(room.members.values()), True
        return UserList(name, members[: self._hub.limits.listed], len(members), stale)

    async def list_rooms(self) -> RoomList:
        """Tell which rooms have people, with their topics where those can be had."""
        summaries, total = await self._hub.presence.rooms(self._hub.limits.listed)
        topics: dict[RoomName, Topic] = {}
        with suppress(StoreUnavailable):
            topics = await self._topics([summary.name for summary in summaries])
        return RoomList(
            tuple(ListedRoom(s.name, s.members, topics.get(s.name)) for s in summaries), total
        )

    async def topic(self, name: RoomName | None = None) -> TopicIs:
        """Tell the topic of the current room or of one that the user is in."""
        room = self._room(name)
        return TopicIs(room.name, (await self._topics([room.name])).get(room.name))

    async def _topics(self, names: list[RoomName]) -> dict[RoomName, Topic]:
        """Read topics; one that was seen here just now may not have been stored as such yet."""
        topics = dict(await self._hub.log.topics(names))
        for name in names:
            room = self._hub.room(name)
            seen = room.topic if room else None
            if seen and (name not in topics or topics[name].at < seen.at):
                topics[name] = seen
        return topics

    async def history(
        self, count: int | None, before: int | None, name: RoomName | None = None
    ) -> History:
        """Read the last ``count`` messages of a room, or those before a seq.

        Args:
            count: None for as many as are usual.
            before: None for the last ones.
            name: One that the user is in; None for the current one.
        """
        room = self._room(name)
        limits = self._hub.limits
        count = min(limits.history if count is None else count, limits.history_most)
        page = await self._hub.log.history(room.name, count, before)
        return History(room.name, count, page, before)

    # Verbs that send.

    async def say(
        self,
        text: str,
        name: RoomName | None = None,
        *,
        key: str = "",
        receipt: Receipt | None = None,
    ) -> str:
        """Say something in the current room or in one that the user is in.

        Returns as soon as the message is queued; the message itself comes back from the log, or a
        `Failed` event says that it did not get there.

        Args:
            text: What to say.
            name: Where; None for the current room.
            key: The client's own id of the message, unique in the session: what is said again
                under the same key, soon, is not stored again. Empty for none.
            receipt: Told the seq, or in place of `Failed` what went wrong.

        Returns:
            The message's id.

        Raises:
            NoNick, NoRoom, NotInRoom, EmptyText, TextTooLong: Nothing was queued.
        """
        if name is not None and self.nick and name not in self._rooms:
            raise NotInRoom(name.display, TEXT_OR_ROOM)
        return await self._post("said", text, self._hub.limits.text_bytes, name, key, receipt)

    async def act(
        self,
        text: str,
        name: RoomName | None = None,
        *,
        key: str = "",
        receipt: Receipt | None = None,
    ) -> str:
        """Describe an action; otherwise as `say`."""
        return await self._post("did", text, self._hub.limits.text_bytes, name, key, receipt)

    async def set_topic(
        self,
        text: str,
        name: RoomName | None = None,
        *,
        key: str = "",
        receipt: Receipt | None = None,
    ) -> str:
        """Set a room's topic; otherwise as `say`."""
        return await self._post("topic", text, self._hub.limits.topic_bytes, name, key, receipt)

    async def whisper(self, nick: Nick, text: str) -> PrivateSent:
        """Send somebody a private message.

        Raises:
            NoSuchNick: Nobody has that nick.
            NotDelivered: The recipient's instance did not answer.
        """
        sender = self._named()
        text = self._text(text, self._hub.limits.text_bytes)
        where = await self._hub.presence.locate(nick)
        if where is None:
            raise NoSuchNick(nick.display)
        runtime = self._hub.runtime
        message = PrivateMessage(
            runtime.fresh_id(), runtime.now(), sender, where.session, where.nick, text, where.away
        )
        local = self._hub.sessions.get(where.session)
        if local:
            local.receive_private(PrivateReceived(message))
        elif not await self._hub.courier.send(where.instance, message):
            raise NoSuchNick(nick.display)
        return PrivateSent(message)

    async def _post(
        self,
        kind: Literal["said", "did", "topic"],
        text: str,
        most: int,
        name: RoomName | None,
        key: str,
        receipt: Receipt | None,
    ) -> str:
        room = self._room(name)
        id_ = f"{self.id}-{key}" if key else self._hub.runtime.fresh_id()
        draft = Draft(id_, kind, self._named(), self.id, self._text(text, most))
        await self._outgoing.post(room.name, draft, receipt)
        return id_

    async def sent(self) -> None:
        """Return when all that the user has sent has come back or has failed."""
        await self._outgoing.emptied()

    # What comes in.

    def receive(self, event: RoomEvent) -> None:
        """Take an event of one of the user's rooms."""
        if isinstance(event, Message):
            if event.session == self.id:
                if self._outgoing.turned_up(event.id, event.seq):
                    self._member.deliver(StoredAfterAll(event))
            elif self._ignored and event.nick in self._ignored and event.kind != "topic":
                return
        self._member.deliver(event)

    def receive_private(self, event: PrivateReceived) -> None:
        """Take a private message."""
        if event.message.sender not in self._ignored:
            self._member.deliver(event)

    def tick(self, now: float) -> None:
        """Do what is due; ``now`` is the monotonic time."""
        self._outgoing.tick(now)

    # The end.

    def close(self, reason: str) -> None:
        """End the session now: what is still queued is dropped, rooms and nick are given up.

        Args:
            reason: Shown to the rooms, for instance ``connection lost``; empty for a mere leaving.
        """
        if self._end():
            self._hub.runtime.spawn(self._release(reason), "releasing a session")

    async def exit(self) -> None:
        """End the session once everything that was sent is stored or has failed.

        When this returns the nick is free for whoever comes next, unless presence is unavailable.
        """
        await self.sent()
        if self._end():
            await self._release("")

    def _end(self) -> bool:
        """End it as far as this instance goes; True if there is a nick to release."""
        if self._closed:
            return False
        self._closed = True
        self._outgoing.close()
        for room in tuple(self._rooms.values()):
            self._out_of(room)
        self._hub.sessions.pop(self.id, None)
        return self.nick is not None

    def evict(self, error: ChatError) -> None:
        """End the session and tell the client why."""
        self.close(error.code.replace("-", " "))
        self._member.close(error)

    def part(self) -> None:
        """End what is here of a session that goes on at another instance."""
        self._end()
        self._member.close(None)

    async def _release(self, reason: str) -> None:
        if self._hub.stopping:
            return
        with suppress(PresenceUnavailable):  # release makes it good when the store is back
            await self._hub.presence.release(self.id, reason)

    # What the verbs share.

    def _named(self) -> Nick:
        if self.nick is None or self._closed:  # nobody hears of it when the session has ended
            raise NoNick
        return self.nick

    def _room(self, name: RoomName | None) -> Room:
        self._named()
        if name is None:
            if self.current is None:
                raise NoRoom
            return self.current
        room = self._rooms.get(name)
        if room is None:
            raise NotInRoom(name.display, f"join it first: join {name}")
        return room

    @staticmethod
    def _text(text: str, most: int) -> str:
        text = clean(text).strip()
        if not text:
            raise EmptyText
        if len(text.encode()) > most:
            raise TextTooLong(most)
        return text
