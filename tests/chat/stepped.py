"""A runtime whose clock moves when it is told to, and that counts its ids."""

import heapq
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from disroom.adapters.runtime import Signal
from disroom.chat.interfaces import IRuntime


@implementer(IRuntime)
class SteppedRuntime:
    """The clock is `time`, which a test sets; ids are ``id-1``, ``id-2``, ...

    Attributes:
        failures: What spawned work raised; a test ends by looking that there is nothing.
    """

    def __init__(self, time: float = 1_000_000.0) -> None:
        self.time = time
        self.failures: list[Failure] = []
        self._ids = 0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._timers_made = 0

    def monotonic(self) -> float:
        """The time."""
        return self.time

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Call something when `pass_time` comes to it."""
        self._timers_made += 1
        heapq.heappush(self._timers, (self.time + seconds, self._timers_made, do))

    def pass_time(self, seconds: float) -> None:
        """Let time go by, with what is to be called meanwhile, each at its time."""
        until = self.time + seconds
        while self._timers and self._timers[0][0] <= until:
            due, _, do = heapq.heappop(self._timers)
            self.time = max(self.time, due)
            do()
        self.time = until

    def spawn(self, work: Coroutine[Any, Any, None], what: str) -> None:
        """Run a coroutine as far as it goes, and the rest when it can; keep its failure."""
        Deferred.fromCoroutine(work).addErrback(self.failures.append)

    def signal(self) -> Signal:
        """Make a signal that has not fired."""
        return Signal()

    def fresh_id(self) -> str:
        """Make the next id."""
        self._ids += 1
        return f"id-{self._ids}"
