"""What is done every so often, whatever goes wrong in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger


class Rounds:
    """Does something in rounds, each when the one before has ended and its time has come.

    Twisted's own `LoopingCall` ends for good at the first exception.

    Args:
        clock: The reactor.
        name: For the log.
        work: One round; what it raises is logged, and the next round comes all the same.
    """

    __slots__ = ("_loop", "_name", "_work")

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, name: str, work: Callable[[], Awaitable[None] | None]
    ) -> None:
        self._name = name
        self._work = work
        self._loop = LoopingCall(lambda: Deferred.fromCoroutine(self.round()))
        self._loop.clock = clock

    @property
    def running(self) -> bool:
        """Whether there will be a further round."""
        return self._loop.running

    def start(self, seconds: float, *, now: bool = False) -> None:
        """Begin; must not be running.

        Args:
            seconds: From the start of one round to that of the next.
            now: Whether the first is at once, or after so many seconds.
        """
        self._loop.start(seconds, now=now)

    def stop(self) -> None:
        """Begin no further round; one that is under way goes on. Idempotent."""
        if self._loop.running:
            self._loop.stop()

    async def round(self) -> None:
        """Do it once, besides; raises nothing."""
        try:
            waits_for = self._work()
            if waits_for is not None:
                await waits_for
        except Exception:
            self._log.failure("{what} failed", what=self._name)
