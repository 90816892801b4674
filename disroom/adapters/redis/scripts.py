"""The Lua scripts beside this module, and what they answer.

Each script is atomic, so it is one change of presence with its announcement, in one round trip.
They are in ``lua``. The contract of each is in its first lines; what they share, in ``store.lua``.
"""

from __future__ import annotations

import hashlib
from importlib.resources import files

import msgspec
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from disroom.adapters.redis.connection import RedisConnection, RedisRefused, RedisUnavailable
from disroom.chat.events import Member
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Change

_NAMES = (
    *("enter", "assert", "held", "disown", "tick", "retire", "reap", "bury"),
    *("arm", "suspend", "resume", "settle"),
    *("claim", "rename", "away", "join", "leave", "release"),
    *(
        "users",
        "listing",
        "rooms",
        "versions",
        "locate",
        "holders",
        "emptied",
        "note_empty",
        "forget_empty",
    ),
)


SLICE = 1000
"""Members that are read in one turn of the reactor: some 2 ms."""


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """What every script answers; ``store.lua`` lists the statuses."""

    status: str
    body: msgspec.Raw = msgspec.Raw(b"\xc0")


class EnterReply(msgspec.Struct, array_like=True, frozen=True):
    """Milliseconds to settle; whether the incarnation has its instance's name."""

    settling: float
    named: bool


class TickReply(msgspec.Struct, array_like=True, frozen=True):
    """How things stand in the store.

    Attributes:
        settling: Milliseconds.
        reaping: The incarnations to be reaped.
        over: How many orphans are to be ended.
        held: How many sessions are this incarnation's.
    """

    settling: float
    reaping: tuple[str, ...]
    over: int
    held: int


class AssertReply(msgspec.Struct, array_like=True, frozen=True):
    """The sessions that lost their nick, and those that were resumed elsewhere."""

    lost: tuple[str, ...]
    moved: tuple[str, ...]


class ResumeReply(msgspec.Struct, array_like=True, frozen=True):
    """A session that was resumed; its rooms with the order in each."""

    nick: str
    since: int
    at: int
    away: str | bool
    tenure: int
    previous: str
    given: str
    rooms: tuple[tuple[str, int], ...]


class JoinReply(msgspec.Struct, array_like=True, frozen=True):
    """A room after a joining; the members as `members_of` reads them, or False."""

    version: int
    at: int
    name: str
    order: int
    members: list[str] | bool


class UsersReply(msgspec.Struct, array_like=True, frozen=True):
    """A room; no name: it is empty."""

    version: int
    at: int
    name: str | bool
    settled: bool
    members: list[str]


class ListingReply(msgspec.Struct, array_like=True, frozen=True):
    """The first members of a room; no name: it is empty; False: what is known is right."""

    version: int
    name: str | bool
    settled: bool
    total: int
    members: list[str] | bool


class RoomsReply(msgspec.Struct, array_like=True, frozen=True):
    """How many rooms there are, and the fullest with their numbers of members."""

    total: int
    rooms: tuple[tuple[str, int], ...]


class VersionsReply(msgspec.Struct, array_like=True, frozen=True):
    """The rooms' versions in the order in which they were asked for."""

    settled: bool
    versions: tuple[int, ...]


class LocateReply(msgspec.Struct, array_like=True, frozen=True):
    """Who holds a nick."""

    nick: str
    session: str
    incarnation: str
    instance: str
    since: int
    at: int
    away: str | bool
    rooms: tuple[str, ...]


class EmptiedReply(msgspec.Struct, array_like=True, frozen=True):
    """The time in milliseconds; token and entry in turn."""

    settled: bool
    now: int
    entries: list[str]


class Moved(msgspec.Struct, array_like=True, frozen=True):
    """A session was resumed, for the ``tenure``-th time, by the incarnation ``holder``."""

    session: str
    tenure: int
    holder: str


class _Published(msgspec.Struct, array_like=True, frozen=True):
    name: str
    version: int
    at: int
    joined: tuple[tuple[str, str, bool], ...]
    left: tuple[tuple[str, str, bool], ...]
    renamed: tuple[tuple[str, str, str, bool], ...]
    reason: str


_decode_reply = msgspec.msgpack.Decoder(Reply).decode
_decode_published = msgspec.msgpack.Decoder(_Published).decode
_decode_moved = msgspec.msgpack.Decoder(Moved).decode

_MOVED = b"\x93"
"""How the news of a session begins, an array of three; that of a room is one of seven."""


class PresenceScripts:
    """The scripts for one set of keys.

    Args:
        prefix: Of all keys and of the channel on which changes are published.
        keeps_empty: Whether rooms that empty are to be listed by ``emptied``.
    """

    def __init__(self, *, prefix: str, keeps_empty: bool) -> None:
        self._prefix = prefix
        self._keeps_empty = "1" if keeps_empty else "0"
        here = files(__package__).joinpath("lua")
        store = here.joinpath("store.lua").read_bytes()
        self._sources = {name: store + here.joinpath(f"{name}.lua").read_bytes() for name in _NAMES}
        self._hashes = {
            name: hashlib.sha1(source, usedforsecurity=False).hexdigest()
            for name, source in self._sources.items()
        }

    def channel(self, connection: RedisConnection) -> str:
        """Name the channel; by the database too, since to Redis channels belong to none."""
        return f"{self._prefix}:presence:{connection.address.database}"

    async def load(self, connection: RedisConnection) -> None:
        """Send the scripts ahead, all at once.

        Raises:
            RedisUnavailable: The connection broke.
            RedisRefused: Redis takes no scripts.
        """
        loads = [
            Deferred.fromCoroutine(connection.ask("SCRIPT", "LOAD", source))
            for source in self._sources.values()
        ]
        try:
            await gatherResults(loads, consumeErrors=True)
        except FirstError as error:
            error.subFailure.raiseException()

    async def run(
        self,
        connection: RedisConnection,
        name: str,
        incarnation: str,
        *arguments: str | bytes | int,
    ) -> Reply:
        """Run a script in one round trip, or in two if Redis has lost it.

        Raises:
            RedisUnavailable: The connection broke; or Redis can do nothing at present (it loads, is
                a replica, is out of memory...), and the connection was aborted to look again.
        """
        shared = (self._prefix, self.channel(connection), incarnation, self._keeps_empty)
        command = (*shared, *arguments)
        try:
            try:
                answer = await connection.ask("EVALSHA", self._hashes[name], 0, *command)
            except RedisRefused as error:
                if not str(error).startswith("NOSCRIPT"):
                    raise
                answer = await connection.ask("EVAL", self._sources[name], 0, *command)
        except RedisRefused as error:
            connection.abort(f"{name}: {error}")
            raise RedisUnavailable(connection.why) from None
        return _decode_reply(answer)


def milliseconds(seconds: float) -> int:
    """A time as the scripts take it."""
    return round(seconds * 1000)


async def members_of(clock: IReactorTime, flat: list[str]) -> tuple[Member, ...]:
    """Read session and entry in turn into members, in the order of their joining.

    A crowd is read in several turns of the reactor, so that it holds nobody up.
    """
    entries = []
    for session, entry in zip(flat[::2], flat[1::2], strict=True):
        order, rest = entry.split(" ", 1)
        entries.append((int(order), session, rest))
    entries.sort()
    members: list[Member] = []
    for first in range(0, len(entries), SLICE):
        if len(entries) > SLICE:
            await deferLater(clock, 0)
        members += (
            Member(session, Nick.trusted(rest[2:]), rest[0] == "1")
            for _, session, rest in entries[first : first + SLICE]
        )
    return tuple(members)


def news_of(message: bytes) -> Change | Moved:
    """Read what is published.

    Raises:
        msgspec.MsgspecError: It is no news of presence.
    """
    if message.startswith(_MOVED):
        return _decode_moved(message)
    told = _decode_published(message)
    return Change(
        room=RoomName.trusted(told.name),
        version=told.version,
        at=told.at / 1e6,
        joined=tuple(Member(s, Nick.trusted(nick), away) for s, nick, away in told.joined),
        left=tuple(Member(s, Nick.trusted(nick), away) for s, nick, away in told.left),
        renamed=tuple(
            (Member(s, Nick.trusted(old), away), Member(s, Nick.trusted(new), away))
            for s, old, new, away in told.renamed
        ),
        reason=told.reason,
    )
