"""Instances on a real Redis, with times short enough to wait for."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet import reactor

from disroom.adapters.redis.address import RedisAddress, RedisSentinels, is_sentinel_url
from disroom.adapters.redis.instance import RedisInstance
from disroom.adapters.redis.presence import RedisPresence
from disroom.adapters.redis.settings import RedisSettings
from disroom.chat.errors import ChatError
from disroom.chat.names import Nick, RoomName
from tests.contract.witness import Witness
from tests.eventually import eventually
from tests.processes.redis import RedisServer
from tests.processes.redis_proxy import CountingProxy

ALICE, BOB, CAROL = Nick.parse("alice"), Nick.parse("bob"), Nick.parse("carol")
LOBBY, ATTIC = RoomName.parse("lobby"), RoomName.parse("attic")

NewRedis = Callable[..., RedisServer]
NewProxy = Callable[[RedisServer], CountingProxy]

QUICK = {"lease": 1.0, "tick": 0.2, "settle": 0.4}


def session() -> str:
    """A new session's id."""
    return secrets.token_urlsafe(16)


async def outcome(work: Any) -> str:
    """The code of what went wrong; empty if nothing did."""
    try:
        await work
    except ChatError as error:
        return error.code
    return ""


def cut_off(proxy: CountingProxy) -> None:
    """Part an instance from Redis: to the others it has died."""
    proxy.refuse()
    proxy.cut()


@dataclass(eq=False, slots=True)
class Instance:
    """An instance, and what it heard.

    Attributes:
        incarnations: All it has had.
    """

    presence: RedisPresence
    witness: Witness
    incarnations: list[str]

    async def claimed(self, nick: Nick, *rooms: RoomName, key: str = "") -> str:
        """A new session that has a nick and is in these rooms."""
        made = session()
        await self.presence.claim(made, nick, key)
        for room in rooms:
            await self.presence.join(made, room, 0)
        return made

    async def crowd(self, number: int, room: RoomName, *, key: str = "") -> list[str]:
        """So many new sessions in a room."""
        sessions, version = [], 0
        for each in range(number):
            sessions.append(await self.claimed(Nick.parse(f"user{each}"), key=key))
            version = (await self.presence.join(sessions[-1], room, version)).version
        return sessions

    async def names(self, room: RoomName) -> list[str]:
        """Who is in a room, as shown; an asterisk marks who is away."""
        members = (await self.presence.users(room)).members or ()
        return [str(member.nick) + "*" * member.away for member in members]

    async def settled(self) -> bool | None:
        """Whether the store has settled, as this instance sees it; None while it sees nothing."""
        try:
            return (await self.presence.users(LOBBY)).settled
        except ChatError:
            return None

    async def until_settled(self, settled: bool) -> None:
        """Wait until the store has settled, or does not any more."""

        async def so() -> bool:
            return await self.settled() is settled

        await eventually(so)

    async def until_it_hears(self) -> None:
        """Wait until changes reach this instance again: what is announced before that, it misses.

        They have a connection of their own, which may be back later than the one for commands.
        """
        await eventually(lambda: self.presence._instance.hears)


@dataclass(slots=True)
class RedisChat:
    """One chat: makes instances, and stops them at its end.

    Attributes:
        prefix: Of its keys.
    """

    prefix: str
    started: list[Instance] = field(default_factory=list)

    def make(
        self,
        url: str | Callable[[], str],
        name: str = "one",
        *,
        alone: bool | None = None,
        clock: Callable[[], float] | None = None,
        reincarnated: Callable[[str], None] = lambda incarnation: None,
        credentials: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Instance:
        """Make an instance without starting it; the first takes itself to be alone."""
        where = url if callable(url) else lambda: url

        def kind(url: str) -> type[RedisAddress | RedisSentinels]:
            return RedisSentinels if is_sentinel_url(url) else RedisAddress

        incarnations: list[str] = []

        def renamed(incarnation: str) -> None:
            incarnations.append(incarnation)
            reincarnated(incarnation)

        first = not self.started
        presence = RedisPresence(
            RedisInstance(
                reactor=reactor,
                settings=RedisSettings(**{"prefix": self.prefix, **QUICK, **settings}),
                address=lambda: kind(where()).parse(where(), **credentials or {}),
                instance_name=name,
                fresh_id=secrets.token_urlsafe,
                alone=lambda: first if alone is None else alone,
                reincarnated=renamed,
                **({} if clock is None else {"clock": clock}),
            )
        )
        incarnations.append(presence.incarnation)
        made = Instance(presence, Witness(), incarnations)
        presence.watch(made.witness)
        return made

    async def start(self, *arguments: Any, **options: Any) -> Instance:
        """Start an instance; arguments as for `make`."""
        made = self.make(*arguments, **options)
        self.started.append(made)
        await made.presence.start()
        return made

    async def close(self) -> None:
        """Stop every instance."""
        for instance in self.started:
            await instance.presence.stop()

    def hearing(self, server: RedisServer) -> int:
        """How many instances hear of changes at a server."""
        try:
            counted = server.command("PUBSUB", "NUMSUB", f"{self.prefix}:presence:0")
        except OSError:  # a Sentinel closes all connections to one that it demotes
            return -1
        assert isinstance(counted, list) and isinstance(counted[1], int)
        return counted[1]

    def keys(self, server: RedisServer) -> list[str]:
        """The keys of this chat in the store, without the prefix."""
        found = server.command("KEYS", f"{self.prefix}:*")
        assert isinstance(found, list)
        names = [name.decode() for name in found if isinstance(name, bytes)]
        return sorted(name.removeprefix(f"{self.prefix}:") for name in names)
