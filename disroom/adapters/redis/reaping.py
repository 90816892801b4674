"""Takes out of the store whom nobody vouches for any more.

They are the sessions of instances that are gone, and those that nobody resumed in time. Whichever
instance is told of them at its tick does it. A script takes some of them and says how many are
left, so that the store is not held up for long, however many there are.
"""

from __future__ import annotations

from typing import Any

import msgspec

from disroom.adapters.redis.reconciliation import Run
from disroom.adapters.redis.scripts import TickReply, milliseconds

_decode_count = msgspec.msgpack.Decoder(int).decode


class Reaping:
    """Reaps instances and buries sessions.

    What its methods are given asks the store; they raise RedisUnavailable where that breaks.

    Args:
        reactor: Keeps the time.
        grace: Seconds that a session which can be resumed is kept when its instance goes.
        seconds: After so many a round ends; what is left is for the next, here or elsewhere.
    """

    def __init__(self, *, reactor: Any, grace: float, seconds: float) -> None:
        self._reactor = reactor
        self._grace = milliseconds(grace)
        self._seconds = seconds

    async def round(self, run: Run, told: TickReply) -> None:
        """Reap and bury whom a tick has told of, as far as the time goes."""
        until = self._reactor.seconds() + self._seconds
        for incarnation in told.reaping:
            while await self._reap(run, incarnation):
                if self._reactor.seconds() > until:
                    return
        while told.over and await self._bury(run):
            if self._reactor.seconds() > until:
                return

    async def all_of(self, run: Run, incarnation: str) -> None:
        """Take all sessions of an incarnation out, however long it takes."""
        while await self._reap(run, incarnation):
            pass

    async def _reap(self, run: Run, incarnation: str) -> int:
        """Take some of a gone incarnation's sessions out; how many are left."""
        return _decode_count((await run("reap", incarnation, self._grace)).body)

    async def _bury(self, run: Run) -> int:
        """End some of the sessions that nobody holds or resumed in time; how many are left."""
        return _decode_count((await run("bury")).body)
