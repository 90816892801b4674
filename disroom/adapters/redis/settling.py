"""The settle window, as far as an instance was told of it.

A store that may lack something settles: for a while instances assert what they hold, and nothing is
given away that somebody may still assert. The store says how long that takes; nothing announces its
end, so it is waited for here.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from disroom.adapters.runtime import Signal

SETTLE_MARGIN = 0.01
"""Seconds by which a settle window is waited for longer than it lasts."""


class SettleWindow:
    """Waits for the end of the window that is open.

    Args:
        reactor: Waits.
        ended: Called at the end of a window.
    """

    def __init__(self, reactor: IReactorTime, ended: Callable[[], None]) -> None:
        self._reactor = reactor
        self._tell_ended = ended
        self._timer: IDelayedCall | None = None
        self._ended = Signal()

    def told(self, seconds: float) -> None:
        """Take note that a window is open for so long yet; nothing of one of which 0 is left."""
        if seconds <= 0:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._reactor.callLater(seconds + SETTLE_MARGIN, self._end)

    async def over(self) -> None:
        """Wait until no window is open."""
        while self._timer is not None:
            await self._ended.wait()

    def close(self) -> None:
        """Wait for nothing any more; whoever waits here is not told. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        ended, self._ended = self._ended, Signal()
        ended.fire()
        self._tell_ended()
