"""Which Redis is the master now, as Redis Sentinel has it.

Every Sentinel is asked at once, at every attempt to connect, and the newest word counts: a failover
gives the master a new *configuration epoch*, which a Sentinel that was cut off does not know of. A
Sentinel may be wrong for a moment all the same, so whoever connects has to ask what it found for
its ROLE (https://redis.io/docs/latest/develop/reference/sentinel-clients/).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError, gatherResults

from disroom.adapters.redis.address import RedisAddress, RedisSentinels
from disroom.adapters.redis.connection import RedisConnection, RedisRefused, RedisUnavailable
from disroom.adapters.redis.dialer import LinkFailure, dial, refused

_WHAT = "Sentinel"
_NO_SENTINEL = "it is no Sentinel"


Answer = tuple[int, str, int]
"""The configuration epoch, and the master's host and port."""


async def find_master(
    sentinels: RedisSentinels, *, reactor: Any, seconds: float
) -> tuple[int, RedisAddress]:
    """Ask where the master is; returns the configuration epoch as well.

    Args:
        sentinels: Who is asked, for whom, and what proves us to the master.
        reactor: To connect with and to wait by.
        seconds: For which the Sentinels are waited for, all together.

    Raises:
        LinkFailure: None of them says it; if that is permanent for one, then for that reason.
    """
    asking = [
        Deferred.fromCoroutine(_ask(address, sentinels.name, reactor=reactor, seconds=seconds))
        for address in sentinels.addresses
    ]
    outcomes: list[Answer | LinkFailure] = await gatherResults(asking)
    found = [outcome for outcome in outcomes if not isinstance(outcome, LinkFailure)]
    if not found:
        failures = [outcome for outcome in outcomes if isinstance(outcome, LinkFailure)]
        raise max(failures, key=lambda failure: failure.permanent)
    epoch, host, port = max(found)
    return epoch, replace(sentinels.master, host=host, port=port)


async def _ask(
    address: RedisAddress, name: str, *, reactor: Any, seconds: float
) -> Answer | LinkFailure:
    """What one Sentinel says, or why it does not."""
    asked = Deferred.fromCoroutine(_dial_and_ask(address, name, reactor=reactor, seconds=seconds))
    try:
        return await asked.addTimeout(seconds, reactor)
    except TimeoutError:
        return LinkFailure(f"{_WHAT} at {address}: no answer")
    except LinkFailure as failure:
        return failure


async def _dial_and_ask(
    address: RedisAddress, name: str, *, reactor: Any, seconds: float
) -> Answer:
    connection = await dial(_WHAT, address, reactor=reactor, seconds=seconds)
    try:
        return await _answer(connection, name)
    except RedisRefused as error:
        if str(error).startswith("No such master"):
            why = f"{_WHAT} at {address}: it knows no master named {name}"
            raise LinkFailure(why, permanent=True) from None
        if str(error).startswith("unknown command"):
            raise LinkFailure(f"{_WHAT} at {address}: {_NO_SENTINEL}", permanent=True) from None
        raise refused(_WHAT, address, error) from error
    except RedisUnavailable as error:
        raise refused(_WHAT, address, error) from error
    except (ValueError, KeyError, TypeError):
        raise LinkFailure(f"{_WHAT} at {address}: {_NO_SENTINEL}", permanent=True) from None
    finally:
        connection.abort(connection.why)


async def _answer(connection: RedisConnection, name: str) -> Answer:
    """Ask for the epoch first: should a failover come between, the place is newer, not older.

    The first answer has an address as well, but it is the old one until each replica follows.
    """
    flat = await connection.ask("SENTINEL", "MASTER", name)
    state = dict(zip(flat[::2], flat[1::2], strict=True))
    host, port = await connection.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name)
    return int(state[b"config-epoch"]), host.decode(), int(port)
