"""Presence for the contract tests: instances that share a store, and what is asked of them."""

import secrets
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet import defer, reactor

from disroom.adapters.memory.presence import MemoryPresence
from disroom.adapters.memory.presencestore import MemoryPresenceStore
from disroom.adapters.redis.address import RedisAddress
from disroom.adapters.redis.instance import RedisInstance
from disroom.adapters.redis.presence import RedisPresence
from disroom.adapters.redis.settings import RedisSettings
from disroom.chat.errors import ChatError
from disroom.chat.names import Nick, RoomName
from tests.contract.witness import Witness
from tests.processes.redis import RedisServer

ALICE, BOB, CAROL = Nick.parse("alice"), Nick.parse("bob"), Nick.parse("carol")
DAVE, EVE = Nick.parse("dave"), Nick.parse("eve")
LOBBY, ATTIC = RoomName.parse("lobby"), RoomName.parse("attic")

T = TypeVar("T")

Presence = MemoryPresence | RedisPresence


class Chat:
    """Makes instances that share one store.

    Attributes:
        grace: How long a session outlives the instances made from now on.
    """

    def __init__(self, server: RedisServer | None, prefix: str) -> None:
        self._server = server
        self._prefix = prefix
        self.grace = 30.0
        self._store = MemoryPresenceStore()
        self._started: list[Presence] = []

    async def instance(self, name: str) -> tuple[Presence, Witness]:
        """Start an instance and a witness of what it hears."""
        presence, witness = self._make(name), Witness()
        presence.watch(witness)
        await presence.start()
        self._started.append(presence)
        return presence, witness

    def _make(self, name: str) -> Presence:
        if self._server is None:
            self._store.grace = self.grace
            return MemoryPresence(self._store, instance_name=name, fresh_id=secrets.token_urlsafe)
        address = RedisAddress.parse(self._server.url)
        first = not self._started
        return RedisPresence(
            RedisInstance(
                reactor=reactor,
                settings=RedisSettings(prefix=self._prefix, keeps_empty=True, grace=self.grace),
                address=lambda: address,
                instance_name=name,
                fresh_id=secrets.token_urlsafe,
                alone=lambda: first,
            )
        )

    async def close(self) -> None:
        """Stop every instance."""
        for presence in self._started:
            await presence.stop()


def session() -> str:
    """A new session's id."""
    return secrets.token_urlsafe(16)


async def claimed(presence: Presence, nick: Nick) -> str:
    """A new session that has a nick."""
    made = session()
    await presence.claim(made, nick)
    return made


async def names(presence: Presence, room: RoomName) -> list[str]:
    """Who is in a room, as shown."""
    members = (await presence.users(room)).members
    assert members is not None
    return [str(member.nick) + (" (away)" if member.away else "") for member in members]


def versions_of(witness: Witness, room: RoomName) -> list[int]:
    """The versions of a room that were heard of, from the first, which is taken for 0."""
    changes = witness.of(room)
    return [change.version - changes[0].version for change in changes]


async def at_once(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Begin all of these before any has ended; what they return."""
    return await defer.gatherResults([defer.Deferred.fromCoroutine(work) for work in works])


async def outcome(work: Any) -> ChatError | None:
    """What went wrong, if anything."""
    try:
        await work
    except ChatError as error:
        return error
    return None
