"""One connection to Redis or to a Sentinel: made and authenticated, or a failure in words."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, DNSLookupError, TimeoutError, UnknownHostError
from twisted.internet.protocol import Factory

from disroom.adapters.redis.address import RedisAddress
from disroom.adapters.redis.connection import (
    CLUSTER,
    NOT_REDIS,
    RedisConnection,
    RedisRefused,
    RedisUnavailable,
)

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


async def dial(
    what: str,
    address: RedisAddress,
    *,
    reactor: Any,
    seconds: float,
    published: Callable[[bytes], None] | None = None,
) -> RedisConnection:
    """Connect and authenticate.

    Args:
        what: What is there, to begin an error with.
        address: Where.
        reactor: To connect with.
        seconds: For the connection to be made, and for each command.
        published: As `RedisConnection` has it.

    Raises:
        LinkFailure: It could not be reached, or did not let us in.
    """
    try:
        endpoint = address.endpoint(reactor, seconds)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise LinkFailure(f"{what}: {why}", permanent=isinstance(error, ValueError)) from None
    factory = Factory.forProtocol(
        lambda: RedisConnection(
            reactor=reactor, timeout=seconds, address=address, published=published
        )
    )
    factory.noisy = False
    try:
        connection = cast(RedisConnection, await endpoint.connect(factory))
    except (ConnectError, OSError) as error:
        raise LinkFailure(f"{what} at {address}: {_words(error)}") from None
    if address.password is not None:
        user = [address.username] if address.username is not None else []
        try:
            await connection.ask("AUTH", *user, address.password)
        except CancelledError:
            connection.abort("this server stops")
            raise
        except (RedisRefused, RedisUnavailable) as error:
            connection.abort(connection.why)
            raise refused(what, address, error) from error
    return connection


def refused(what: str, address: RedisAddress, error: Exception) -> LinkFailure:
    """Put what came of a command on a new connection in words."""
    why = str(error)
    if address.tls and " alert " in why:
        if address.cert_file is not None:
            why = f"TLS failed: it did not take {address.cert_file}: {why.rpartition(': ')[2]}"
        elif why.endswith("certificate required"):
            why = "TLS failed: it wants a certificate: give cert and key"
            return LinkFailure(f"{what} at {address}: {why}", permanent=True)
    for beginning, words in _REFUSALS:
        if why.startswith(beginning):
            return LinkFailure(f"{what} at {address}: {words}", permanent=True)
    return LinkFailure(f"{what} at {address}: {why}", permanent=why in (NOT_REDIS, CLUSTER))


def _words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, DNSLookupError | UnknownHostError):
        return "unknown host"
    number = getattr(error, "osError", None) or getattr(error, "errno", None)
    return os.strerror(number).lower() if isinstance(number, int) else str(error)
