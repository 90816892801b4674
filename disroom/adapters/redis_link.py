"""A connection to Redis that is kept: made again, authenticated and prepared, whenever it ends."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, DNSLookupError, TimeoutError, UnknownHostError
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger

from disroom.adapters.redis_address import RedisAddress
from disroom.adapters.redis_connection import (
    CLUSTER,
    NOT_REDIS,
    RedisConnection,
    RedisRefused,
    RedisUnavailable,
)

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.5
"""Seconds between attempts: doubled from the first to the longest."""

_log = Logger()

_REFUSALS = (
    ("WRONGPASS", "wrong user name or password"),
    ("invalid password", "wrong password"),
    ("invalid username-password", "wrong user name or password"),
    ("AUTH <password> called without any password", "it has no password; configure none"),
    ("Client sent AUTH, but no password", "it has no password; configure none"),
    ("NOAUTH", "it asks for a password"),
    ("DB index is out of range", "it has no database of that number"),
    ("invalid DB index", "it has no database of that number"),
    ("unknown command", "it does not know a command of Redis 5 or later"),
)
"""Errors that a second attempt does not mend, by their beginning, in words for people."""


class LinkFailure(Exception):
    """An attempt to connect failed.

    Attributes:
        permanent: Only a change of the configuration, here or there, can mend it.
    """

    def __init__(self, why: str, *, permanent: bool = False) -> None:
        super().__init__(why)
        self.permanent = permanent


class RedisLink:
    """Keeps one connection.

    The address is asked for anew at each attempt. Whatever fails is tried again, a refused password
    too, since it may be about to change on both sides.

    Args:
        what: What the connection is for, in the log.
        reactor: To connect with and to wait by.
        address: Where Redis is now.
        timeout: Seconds for the connection, and for each command.
        prepare: Makes a new connection ready; if it fails, the connection is given up.
        ended: Called when a connection that was ready, or was being prepared, is gone.
        published: As `RedisConnection` has it.
    """

    def __init__(
        self,
        what: str,
        *,
        reactor: Any,
        address: Callable[[], RedisAddress],
        timeout: float,
        prepare: Callable[[RedisConnection], Awaitable[None]],
        ended: Callable[[], None] = lambda: None,
        published: Callable[[bytes], None] | None = None,
    ) -> None:
        self.connection: RedisConnection | None = None
        self._what = what
        self._reactor = reactor
        self._address = address
        self._timeout = timeout
        self._prepare = prepare
        self._ended = ended
        self._published = published
        self._keeping: Deferred[None] | None = None

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
            pause = min(pause * 2, LONGEST_PAUSE)
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
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                return await self._open()
            except LinkFailure as failure:
                if str(failure) != reported:
                    reported = str(failure)
                    _log.warn("{failure}", failure=reported)

    async def _open(self) -> RedisConnection:
        try:
            address = self._address()
            endpoint = address.endpoint(self._reactor, self._timeout)
        except (OSError, ValueError) as error:
            raise LinkFailure(f"Redis: {error}", permanent=isinstance(error, ValueError)) from None
        factory = Factory.forProtocol(
            lambda: RedisConnection(
                reactor=self._reactor,
                timeout=self._timeout,
                database=address.database,
                published=self._published,
            )
        )
        factory.noisy = False
        try:
            connection = cast(RedisConnection, await endpoint.connect(factory))
        except (ConnectError, OSError) as error:
            raise LinkFailure(f"Redis at {address}: {_words(error)}") from None
        try:
            await _introduce(connection, address)
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
            raise _failure(address, error) from error
        self.connection = connection
        return connection


async def _introduce(connection: RedisConnection, address: RedisAddress) -> None:
    if address.password is not None:
        user = [address.username] if address.username is not None else []
        await connection.ask("AUTH", *user, address.password)
    await connection.ask("SELECT", address.database)


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, DNSLookupError | UnknownHostError):
        return "unknown host"
    number = getattr(error, "osError", None) or getattr(error, "errno", None)
    return os.strerror(number).lower() if isinstance(number, int) else str(error)


def _failure(address: RedisAddress, error: Exception) -> LinkFailure:
    why = str(error)
    for beginning, words in _REFUSALS:
        if why.startswith(beginning):
            return LinkFailure(f"Redis at {address}: {words}", permanent=True)
    return LinkFailure(f"Redis at {address}: {why}", permanent=why in (NOT_REDIS, CLUSTER))
