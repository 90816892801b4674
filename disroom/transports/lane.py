"""What one client asks, carried out one thing after the other, no faster than it may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from disroom.coroutines import rest_of
from disroom.countdown import Countdown

Item = TypeVar("Item")

CROWDED = 256
"""Items that wait before no more are taken from the client."""

LEAVING_SECONDS = 5.0
"""How long a command of a client that leaves may wait for a place for its answer."""


class Pace:
    """A token bucket: ``burst`` at once, then ``rate`` a second."""

    __slots__ = (
        "_burst",
        "_counted_at",
        "_rate",
        "_reactor",
        "_tokens",
    )

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

    @property
    def overdrawn(self) -> bool:
        """Whether a whole burst is owed, as when tokens were used without waiting for them."""
        return self._tokens < -self._burst


class Lane(Generic[Item]):
    """A queue of one client's requests.

    An item that is put as the last, such as ``exit``, and those before it wait for no pace. They
    take their tokens all the same: whoever goes on after all is slowed down the more, and hurries
    nothing before that is made up for. So in any stretch of time the pace is exceeded by two bursts
    and CROWDED items at most.

    Args:
        reactor: Waits where the pace asks for it.
        work: Carries out one item; what it raises is logged, and the next item follows.
        crowded: Told True when as much waits as may, and False when there is place for one more.
        pace: None for as fast as it goes.
        room: Asked before each item: what to wait for until its answer has a place, if anything.
            It is told whether the item hurries; where it then takes LEAVING_SECONDS, it is asked no
            more.
    """

    __slots__ = (
        "_busy",
        "_crowded",
        "_held",
        "_hurried",
        "_pace",
        "_reactor",
        "_room",
        "_tell_crowded",
        "_waiting",
        "_work",
    )

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        work: Callable[[Item], Awaitable[None]],
        crowded: Callable[[bool], None],
        pace: Pace | None,
        room: Callable[[bool], Deferred[None] | None] = lambda hurried: None,
    ) -> None:
        self._reactor = reactor
        self._work = work
        self._tell_crowded = crowded
        self._pace = pace
        self._room = room
        self._waiting: list[Item] = []  # a deque has 600 bytes, each client's
        self._hurried = 0  # of those that wait, the first so many
        self._held: Deferred[Any] | None = None
        self._busy = False
        self._crowded = False

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or waiting."""
        return not self._busy

    def put(self, item: Item, *, last: bool = False) -> None:
        """Have an item carried out after all those before it; at once where there are none.

        Args:
            item: What is asked.
            last: The client means to go with it, so that it and those before it hurry.
        """
        self._waiting.append(item)
        hurry = last and not (self._pace and self._pace.overdrawn)
        if hurry:
            self._hurried = len(self._waiting)
        if not self._busy:
            self._busy = True
            _begin(self._work_off())
            return
        if hurry and self._held:
            self._held.cancel()
        self._look_at_crowd()

    def clear(self) -> None:
        """Drop what waits; what is under way goes on."""
        self._waiting.clear()
        self._hurried = 0

    async def _work_off(self) -> None:
        asks = True
        while self._waiting:
            if self._pace and (delay := self._pace.wait()) and not self._hurried:
                await self._hold(deferLater(self._reactor, delay))
            while asks and (room := self._room(self._hurried > 0)):
                asks = await self._hold(room)
            if not self._waiting:
                break
            if self._hurried:
                self._hurried -= 1
            item = self._waiting.pop(0)
            if self._crowded:
                self._look_at_crowd()
            try:
                await self._work(item)
            except Exception:
                self._log.failure("A client's request failed")
        self._busy = False
        if self._crowded:
            self._look_at_crowd()

    def _look_at_crowd(self) -> None:
        crowded = len(self._waiting) >= CROWDED
        if crowded is not self._crowded:
            self._crowded = crowded
            self._tell_crowded(crowded)

    async def _hold(self, until: Deferred[Any]) -> bool:
        """Wait until then, or until it is time to hurry; whether that did not take too long."""
        leaving = Countdown(LEAVING_SECONDS, self._reactor, until.cancel) if self._hurried else None
        self._held = until
        try:
            await until
        except CancelledError:
            return not (leaving and leaving.ended)
        finally:
            self._held = None
            if leaving:
                leaving.cancel()
        return True


def _begin(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine as far as it goes, which is mostly to its end, and the rest when it can.

    As a Deferred alone would, whose making costs more than what a line is about.
    """
    try:
        waits_for = work.send(None)
    except StopIteration:
        return
    Deferred.fromCoroutine(rest_of(work, waits_for))
