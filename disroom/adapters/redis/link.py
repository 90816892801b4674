"""A connection to Redis that is kept: made again, authenticated and prepared, whenever it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from disroom.adapters.redis.address import RedisPlace, RedisSentinels
from disroom.adapters.redis.connection import RedisConnection, RedisRefused, RedisUnavailable
from disroom.adapters.redis.dialer import LinkFailure, dial, refused
from disroom.adapters.redis.sentinel import find_master

FIRST_PAUSE = 0.05
"""Seconds between the first attempts; doubled from then on."""

_log = Logger()

NOT_THE_MASTER = "it is no master"
"""What the Sentinels' answer turns out to be for a moment, around a failover."""


class RedisLink:
    """Keeps one connection.

    The address is asked for anew at each attempt, and so are the Sentinels where it is theirs; what
    they name has to say itself that it is the master. Whatever fails is tried again, a refused
    password too, since it may be about to change on both sides.

    Args:
        what: What the connection is for, in the log.
        reactor: To connect with and to wait by.
        address: Where Redis is now, or who knows.
        timeout: Seconds for the connection, and for each command.
        longest_pause: Between two attempts.
        prepare: Makes a new connection ready; if it fails, the connection is given up.
        ended: Called when a connection that was ready, or was being prepared, is gone.
        published: As `RedisConnection` has it.
    """

    def __init__(
        self,
        what: str,
        *,
        reactor: Any,
        address: Callable[[], RedisPlace],
        timeout: float,
        longest_pause: float,
        prepare: Callable[[RedisConnection], Awaitable[None]],
        ended: Callable[[], None] = lambda: None,
        published: Callable[[bytes], None] | None = None,
    ) -> None:
        self.connection: RedisConnection | None = None
        self._what = what
        self._reactor = reactor
        self._address = address
        self._timeout = timeout
        self._longest_pause = longest_pause
        self._prepare = prepare
        self._ended = ended
        self._published = published
        self._keeping: Deferred[None] | None = None
        self._epoch = 0  # the Sentinels', when they named the master

    async def start(self, within: float) -> None:
        """Connect, and keep connected from then on.

        Args:
            within: Seconds for which to go on trying.

        Raises:
            LinkFailure: The failure that cannot be mended, or the last one.
        """
        deadline = self._reactor.seconds() + within
        pause = FIRST_PAUSE
        while True:
            try:
                connection = await self._open()
                break
            except LinkFailure as failure:
                if failure.permanent or self._reactor.seconds() + pause > deadline:
                    raise
            await deferLater(self._reactor, pause)
            pause = min(pause * 2, self._longest_pause)
        self._keeping = Deferred.fromCoroutine(self._keep(connection))
        self._keeping.addErrback(self._stopped)

    async def stop(self) -> None:
        """Close the connection and keep it no longer. Idempotent."""
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
        if self.connection is not None:
            connection, self.connection = self.connection, None
            connection.abort("this server stops")
            await connection.when_ended()

    def _stopped(self, failure: Any) -> None:
        if self._keeping is not None:
            _log.failure("Keeping the Redis connection for {what} ended", failure, what=self._what)

    async def _keep(self, connection: RedisConnection) -> None:
        while True:
            await connection.when_ended()
            self.connection = None
            self._ended()
            _log.warn(
                "The Redis connection for {what} is lost: {why}",
                what=self._what,
                why=connection.why,
            )
            connection = await self._reopen()
            _log.info("The Redis connection for {what} is back", what=self._what)

    async def _reopen(self) -> RedisConnection:
        pause, reported = FIRST_PAUSE, ""
        while True:
            await deferLater(self._reactor, pause)
            pause = min(pause * 2, self._longest_pause)
            try:
                return await self._open()
            except LinkFailure as failure:
                if str(failure) != reported:
                    reported = str(failure)
                    _log.warn("{failure}", failure=reported)

    async def _open(self) -> RedisConnection:
        epoch, address = 0, self._where()
        by_sentinel = isinstance(address, RedisSentinels)
        if isinstance(address, RedisSentinels):
            epoch, address = await find_master(
                address, reactor=self._reactor, seconds=self._timeout
            )
        connection = await dial(
            "Redis",
            address,
            reactor=self._reactor,
            seconds=self._timeout,
            published=self._published,
        )
        try:
            if by_sentinel:
                await _demand_master(connection)
            await connection.ask("SELECT", address.database)
            await self._prepare(connection)
        except CancelledError:
            connection.abort("this server stops")
            raise
        except Exception as error:
            if not isinstance(error, RedisRefused | RedisUnavailable):
                _log.failure("Preparing the Redis connection for {what}", what=self._what)
            connection.abort(connection.why)
            await connection.when_ended()
            self._ended()
            raise refused("Redis", address, error) from error
        self.connection, self._epoch = connection, epoch
        return connection

    async def follow(self) -> None:
        """Leave a master that another has replaced: until a Sentinel tells it, it goes on as one.

        That takes 8 s if it was well all the time (a failover on demand), and for ever if the
        Sentinels do not reach it.
        """
        connection = self.connection
        try:
            sentinels = self._where()
            if connection is None or not isinstance(sentinels, RedisSentinels):
                return
            epoch, master = await find_master(
                sentinels, reactor=self._reactor, seconds=self._timeout
            )
        except LinkFailure:
            return  # nobody knows better
        moved = str(master) != str(connection.address)
        if moved and epoch > self._epoch and connection is self.connection:
            connection.abort(f"the master is {master} now")

    def _where(self) -> RedisPlace:
        """The address as it is now.

        Raises:
            LinkFailure: It cannot be had.
        """
        try:
            return self._address()
        except (OSError, ValueError) as error:
            raise LinkFailure(f"Redis: {error}", permanent=isinstance(error, ValueError)) from None


async def _demand_master(connection: RedisConnection) -> None:
    role = await connection.ask("ROLE")
    if role[0] != b"master":
        raise RedisRefused(NOT_THE_MASTER)
