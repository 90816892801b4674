"""What one client asks, carried out one thing after the other, no faster than it may."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

Item = TypeVar("Item")

CROWDED = 256
"""Items that wait before the client is read no further."""


class Pace:
    """A token bucket: ``burst`` at once, then ``rate`` a second."""

    def __init__(self, reactor: IReactorTime, rate: float, burst: int) -> None:
        self._reactor = reactor
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._counted_at = reactor.seconds()

    def wait(self, tokens: int = 1) -> float:
        """Take tokens and return the seconds after which they may be used."""
        now = self._reactor.seconds()
        left = min(self._burst, self._tokens + (now - self._counted_at) * self._rate)
        self._tokens = left - tokens
        self._counted_at = now
        return max(0.0, -self._tokens / self._rate)


class Lane(Generic[Item]):
    """A queue of one client's requests.

    Args:
        reactor: Waits where the pace asks for it.
        work: Carries out one item; what it raises is logged, and the next item follows.
        crowded: Told True when too much waits, and False when all of it is done.
        pace: None for as fast as it goes.
        room: Asked before each item: what to wait for until its answer has a place, if anything.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        work: Callable[[Item], Awaitable[None]],
        crowded: Callable[[bool], None],
        pace: Pace | None,
        room: Callable[[], Deferred[None] | None] = lambda: None,
    ) -> None:
        self._reactor = reactor
        self._work = work
        self._tell_crowded = crowded
        self._pace = pace
        self._room = room
        self._waiting: deque[Item] = deque()
        self._busy = False
        self._crowded = False

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or waiting."""
        return not self._busy

    def put(self, item: Item) -> None:
        """Have an item carried out after all those before it; at once where there are none."""
        self._waiting.append(item)
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._work_off())
        elif len(self._waiting) >= CROWDED and not self._crowded:
            self._crowded = True
            self._tell_crowded(True)

    def clear(self) -> None:
        """Drop what waits; what is under way goes on."""
        self._waiting.clear()

    async def _work_off(self) -> None:
        while self._waiting:
            if self._pace and (delay := self._pace.wait()):
                await deferLater(self._reactor, delay)
            while room := self._room():
                await room
            if not self._waiting:
                break
            try:
                await self._work(self._waiting.popleft())
            except Exception:
                self._log.failure("A client's request failed")
        self._busy = False
        if self._crowded:
            self._crowded = False
            self._tell_crowded(False)
