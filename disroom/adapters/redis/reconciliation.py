"""Makes the store have of this instance what the instance vouches for, where the two may differ.

They may after an interruption, after an answer was lost, and when a replica takes over that lacks
something. The rule: what callers were told counts (see `Holdings`), so the store is told. But a
nick that another has got is lost, and a session that was resumed elsewhere is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from disroom.adapters.redis.connection import RedisUnavailable
from disroom.adapters.redis.holdings import Holdings
from disroom.adapters.redis.scripts import AssertReply, Reply, milliseconds

MOST_STRAYS = 500
"""How many sessions are given up in one step."""

_decode_asserted = msgspec.msgpack.Decoder(AssertReply).decode
_decode_held = msgspec.msgpack.Decoder(set[str]).decode


class Run(Protocol):
    """Runs a script over one connection, as the instance's present incarnation."""

    async def __call__(self, script: str, /, *arguments: str | bytes | int) -> Reply:
        """Run it; see `PresenceScripts.run`."""


class Reconciliation:
    """Makes the store agree with the holdings of one instance.

    What its methods are given asks the store. They raise RedisUnavailable where that breaks, or
    where the lease is lost meanwhile, and can be called again then.

    Args:
        holdings: What the instance vouches for.
        grace: Seconds that a session which can be resumed is kept.
        clock: That of `Held.ends`.
        lost: Called for a session whose nick another has got.
        moved: Called for a session that was resumed on another instance.
    """

    def __init__(
        self,
        holdings: Holdings,
        *,
        grace: float,
        clock: Callable[[], float],
        lost: Callable[[str], None],
        moved: Callable[[str], None],
    ) -> None:
        self._holdings = holdings
        self._grace = grace
        self._clock = clock
        self._lost = lost
        self._moved = moved

    async def everything(self, run: Run) -> None:
        """Assert all sessions, also to a store that knows nothing, and settle what differs."""
        await self._assert(run)
        await self.compare(run)
        await self.pay(run)

    def differs(self, held: int) -> bool:
        """Whether it cannot be that the store has so many sessions of this instance.

        Replies come in order, so nothing but a release under way explains a difference.
        """
        return held != len(self._holdings.sessions) and not self._holdings.owed

    async def _assert(self, run: Run, sessions: Iterable[str] | None = None) -> None:
        for batch in self._holdings.batches(self._clock(), sessions):
            reply = await run("assert", batch)
            if reply.status != "ok":
                raise RedisUnavailable("the lease was lost again")
            asserted = _decode_asserted(reply.body)
            for session in asserted.lost:
                if self._holdings.forget(session):
                    self._lost(session)
            for session in asserted.moved:
                if self._holdings.forget(session):
                    self._moved(session)

    async def compare(self, run: Run) -> None:
        """Find the sessions over which the store and the holdings differ, and settle it.

        Whoever resumed a session announces it, and the announcement can be missed. The answer to a
        resumption here can be lost. And a replica that took over may lack a release, or that a
        session went elsewhere: its holder asserts it.
        """
        stored = _decode_held((await run("held")).body)
        missing = [session for session in self._holdings.sessions if session not in stored]
        strays = self._holdings.strays(stored)
        await self._assert(run, missing)
        while strays:
            some, strays = strays[:MOST_STRAYS], strays[MOST_STRAYS:]
            await run("disown", milliseconds(self._grace), *some)

    async def pay(self, run: Run) -> None:
        """Make releases and suspensions good that could not be made at their time."""
        while self._holdings.owed:
            session, reason = next(iter(self._holdings.owed.items()))
            reply = await run("release", session, reason)
            if reply.status != "ok":
                raise RedisUnavailable("the lease was lost again")
            self._holdings.owed.pop(session, None)
        for session in self._holdings.unmarked.difference(self._holdings.resuming):
            held = self._holdings.sessions.get(session)
            if held is not None and held.ends is not None:
                grace = milliseconds(max(0.0, held.ends - self._clock()))
                await run("suspend", session, grace, held.given)
            self._holdings.unmarked.discard(session)
