"""Presence in Redis: the authority on who is where, and the announcer of every change.

What each verb does is a Lua script, one round trip and one change with its announcement; what they
share, and all keys, are in ``store.lua``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from zope.interface import implementer

from disroom.adapters.redis.connection import RedisUnavailable
from disroom.adapters.redis.holdings import Held
from disroom.adapters.redis.instance import RedisInstance
from disroom.adapters.redis.scripts import (
    EmptiedReply,
    JoinReply,
    ListingReply,
    LocateReply,
    Reply,
    ResumeReply,
    RoomsReply,
    UsersReply,
    VersionsReply,
    members_of,
    milliseconds,
)
from disroom.chat.errors import NickTaken, NoSession, PresenceUnavailable, ResumedElsewhere
from disroom.chat.events import Member
from disroom.chat.interfaces import IPresence, IPresenceWatcher
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Listing, Resumed, RoomSummary, Roster, Whereabouts

_decode_join = msgspec.msgpack.Decoder(JoinReply).decode
_decode_users = msgspec.msgpack.Decoder(UsersReply).decode
_decode_listing = msgspec.msgpack.Decoder(ListingReply).decode
_decode_rooms = msgspec.msgpack.Decoder(RoomsReply).decode
_decode_versions = msgspec.msgpack.Decoder(VersionsReply).decode
_decode_located = msgspec.msgpack.Decoder(LocateReply | bool).decode
_decode_holders = msgspec.msgpack.Decoder(tuple[str | bool, ...]).decode
_decode_emptied = msgspec.msgpack.Decoder(EmptiedReply).decode
_decode_resumed = msgspec.msgpack.Decoder(ResumeReply).decode
_decode_at = msgspec.msgpack.Decoder(int).decode
_decode_agreed = msgspec.msgpack.Decoder(bool).decode


@implementer(IPresence)
class RedisPresence:
    """Presence for one instance, with which it starts and stops."""

    def __init__(self, instance: RedisInstance) -> None:
        self._instance = instance
        self._reactor = instance.reactor
        self._clock = instance.clock
        self._lease = instance.lease
        self._holdings = instance.holdings

    @property
    def incarnation(self) -> str:
        """Who this instance is to the others at present."""
        return self._lease.incarnation

    @property
    def lapsed(self) -> bool:
        """Whether this process stood still past its lease; see `IPresence`."""
        return self._lease.clock.lapsed

    async def confirm(self) -> None:
        """Find out what others did while this process stood still; see `IPresence`."""
        await self._lease.confirm()

    @property
    def connected(self) -> bool:
        """Whether the store can be asked just now."""
        return self._lease.is_standing

    @property
    def cut_off(self) -> bool:
        """Whether the store has not answered for a lease, so that others may have acted."""
        return self._lease.cut_off

    def nicks(self) -> dict[str, str]:
        """The tokens of the nicks of this instance's sessions, by session."""
        return {session: held.nick.token for session, held in self._holdings.sessions.items()}

    async def holders(self, tokens: Sequence[str]) -> tuple[str | None, ...]:
        """Read which sessions hold nicks, at most 1,000, in the order asked."""
        found = _decode_holders(await self._ask("holders", msgspec.msgpack.encode(tokens)))
        return tuple(session if isinstance(session, str) else None for session in found)

    def lose(self, session: str) -> None:
        """Take note that another session holds this one's nick."""
        self._instance.lose(session)

    def watch(self, watcher: IPresenceWatcher) -> None:
        """Say whom to tell of changes. Once, before anything else."""
        self._instance.watcher = watcher

    async def start(self) -> None:
        """Connect, register, and wait until the store has settled.

        Raises:
            PresenceStartError: Redis cannot be reached or used; nothing is left running.
        """
        await self._instance.start()

    async def stop(self) -> None:
        """Release every session at once, if Redis answers, and disconnect. Idempotent."""
        await self._instance.stop()

    # Verbs about sessions.

    async def claim(self, session: str, nick: Nick, key: str = "") -> None:
        """Take a nick for a new session, atomically across instances."""
        held = self._holdings.sessions.get(session)
        if held is not None:
            if held.nick.display != nick.display:
                await self.rename(session, nick)
            if key:
                await self.arm(session, key)
            return
        try:
            body = await self._ask_for(nick, "claim", session, nick.token, nick.display, key)
        except PresenceUnavailable:
            self._holdings.owe(session, "")
            raise
        self._holdings.owed.pop(session, None)
        self._holdings.sessions[session] = Held(nick, _decode_at(body), key=key)

    async def arm(self, session: str, key: str) -> None:
        """Make a session with a nick resumable by this key; the one before stays for a while."""
        held = self._held(session)
        await self._ask("arm", session, key)
        held.key, held.previous_key = key, held.key

    async def suspend(self, session: str, grace: float, given: str = "") -> None:
        """Keep a session whose connection is lost; its rooms see it away."""
        held = self._held(session)
        held.ends, held.given = self._clock() + grace, given
        self._holdings.unmarked.add(session)
        await self._ask("suspend", session, milliseconds(grace), given)
        self._holdings.unmarked.discard(session)

    async def resume(self, session: str, presented: str, key: str) -> Resumed:
        """Take a session over to this instance, from whichever holds it or from none."""
        self._holdings.resuming.append(session)
        try:
            reply = await self._reply("resume", session, presented, key)
            overtaken = self._holdings.overtaken.get(session, 0)
        finally:
            self._holdings.resumed(session)
        if reply.status == "gone":
            raise NoSession
        resumed = _decode_resumed(reply.body)
        if overtaken > resumed.tenure:
            raise ResumedElsewhere
        former = self._holdings.sessions.get(session)
        if former is not None and former.tenure < resumed.tenure - 1:
            self._instance.part(session)  # it was elsewhere, of which the news may yet come
        held = Held(
            Nick.trusted(resumed.nick),
            resumed.since,
            resumed.away if isinstance(resumed.away, str) else None,
            key,
            resumed.previous,
            resumed.tenure,
            rooms={RoomName.trusted(name): order for name, order in resumed.rooms},
        )
        self._holdings.unmarked.discard(session)
        self._holdings.sessions[session] = held
        return Resumed(
            held.nick,
            held.since / 1e6,
            resumed.at / 1e6,
            held.away,
            tuple(held.rooms),
            resumed.given,
        )

    async def settle(self, session: str) -> None:
        """Forget the key before the current one."""
        held = self._held(session)
        if held.previous_key:
            await self._ask("settle", session)
            held.previous_key = ""

    async def rename(self, session: str, nick: Nick) -> None:
        """Exchange the session's nick for another, in all its rooms at once."""
        held = self._held(session)
        await self._ask_for(nick, "rename", session, nick.token, nick.display)
        held.nick = nick

    async def set_away(self, session: str, text: str | None) -> None:
        """Leave an away text, or take it back with None."""
        held = self._held(session)
        await self._ask("away", session, int(text is not None), text or "")
        held.away = text

    async def join(self, session: str, room: RoomName, known: int) -> Roster:
        """Enter a room; idempotent. Exactly one round trip."""
        held = self._held(session)
        if not self._instance.hears:
            known = 0  # what has changed since would not be heard of
        reply = _decode_join(await self._ask("join", session, room.token, room.display, known))
        name = RoomName.trusted(reply.name)
        held.rooms[name] = reply.order
        self._lease.saw(reply.version)
        at = reply.at / 1e6
        if isinstance(reply.members, bool):
            new = reply.order == reply.version
            return Roster(name, reply.version if new else known, at, None)
        return Roster(name, reply.version, at, await self._members(reply.members))

    async def leave(self, session: str, room: RoomName, reason: str) -> float:
        """Leave a room; idempotent. Exactly one round trip."""
        held = self._holdings.sessions.get(session)
        body = await self._ask("leave", session, room.token, reason)
        if held is not None:
            held.rooms.pop(room, None)
        return _decode_at(body) / 1e6

    async def release(self, session: str, reason: str) -> None:
        """End a session: its nick is free and it has left every room when this returns."""
        self._holdings.owe(session, reason)
        await self._ask("release", session, reason)
        self._holdings.owed.pop(session, None)

    def _held(self, session: str) -> Held:
        held = self._holdings.sessions.get(session)
        if held is None:  # it was lost, and its client is being told so
            raise PresenceUnavailable
        return held

    # Verbs about rooms.

    async def users(self, room: RoomName) -> Roster:
        """Read who is in a room. Exactly one round trip."""
        reply = _decode_users(await self._ask("users", room.token))
        name = RoomName.trusted(reply.name) if isinstance(reply.name, str) else room
        self._lease.saw(reply.version)
        members = await self._members(reply.members)
        return Roster(name, reply.version, reply.at / 1e6, members, reply.settled)

    async def listing(self, room: RoomName, most: int, known: int) -> Listing:
        """Read the members of a room that came first. Exactly one round trip."""
        reply = _decode_listing(await self._ask("listing", room.token, most, known))
        name = RoomName.trusted(reply.name) if isinstance(reply.name, str) else room
        self._lease.saw(reply.version)
        members = None if isinstance(reply.members, bool) else await self._members(reply.members)
        return Listing(name, reply.total, members, reply.settled)

    async def rooms(self, most: int) -> tuple[tuple[RoomSummary, ...], int]:
        """Read the rooms with people, fullest first, at most ``most``, and how many there are."""
        reply = _decode_rooms(await self._ask("rooms", most))
        rooms = (RoomSummary(RoomName.trusted(name), members) for name, members in reply.rooms)
        return tuple(rooms), reply.total

    async def versions(self, rooms: Iterable[RoomName]) -> Mapping[RoomName, int]:
        """Read the current versions of these rooms, 0 for an empty one; empty while settling."""
        asked = tuple(rooms)
        tokens = msgspec.msgpack.encode([room.token for room in asked])
        reply = _decode_versions(await self._ask("versions", tokens))
        return dict(zip(asked, reply.versions, strict=True)) if reply.settled else {}

    async def locate(self, nick: Nick) -> Whereabouts | None:
        """Find who holds a nick."""
        reply = _decode_located(await self._ask("locate", nick.token))
        if isinstance(reply, bool):
            return None
        return Whereabouts(
            nick=Nick.trusted(reply.nick),
            session=reply.session,
            instance=reply.incarnation,
            instance_name=reply.instance,
            since=reply.since / 1e6,
            at=reply.at / 1e6,
            away=reply.away if isinstance(reply.away, str) else None,
            rooms=tuple(RoomName.trusted(name) for name in sorted(reply.rooms)),
        )

    # Rooms that are empty.

    async def emptied(self) -> Mapping[RoomName, tuple[float, int | None]]:
        """Read the rooms that have been left by everybody and not been forgotten since."""
        reply = _decode_emptied(await self._ask("emptied"))
        found: dict[RoomName, tuple[float, int | None]] = {}
        for token, entry in zip(reply.entries[::2], reply.entries[1::2], strict=True):
            at, seq = entry.split(" ")
            seconds = max(0.0, (reply.now - int(at)) / 1000)
            found[RoomName.from_token(token)] = (seconds, None if seq == "-" else int(seq))
        return found if reply.settled else {}

    async def note_empty(self, room: RoomName, seq: int) -> None:
        """Note the newest seq of a room, starting its time anew; not if somebody is in it."""
        await self._ask("note_empty", room.token, seq)

    async def forget_empty(self, room: RoomName, seq: int) -> bool:
        """Strike a room off `emptied`; True if it was still there, empty, with that seq noted."""
        return _decode_agreed(await self._ask("forget_empty", room.token, seq))

    # Asking.

    async def _members(self, flat: list[str]) -> tuple[Member, ...]:
        return await members_of(self._reactor, flat)

    async def _ask(self, script: str, *arguments: str | bytes | int) -> msgspec.Raw:
        return (await self._reply(script, *arguments)).body

    async def _ask_for(self, nick: Nick, script: str, *arguments: str | bytes | int) -> msgspec.Raw:
        reply = await self._reply(script, *arguments)
        if reply.status == "taken":
            raise NickTaken(nick.display)
        return reply.body

    async def _reply(self, script: str, *arguments: str | bytes | int) -> Reply:
        try:
            return await self._instance.ask(script, *arguments)
        except RedisUnavailable as error:
            raise PresenceUnavailable from error
