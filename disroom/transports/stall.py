"""Whether a client takes anything of what waits for it."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from disroom.countdown import standstills, uncounted

LOOKS = 4
"""How often it is looked at within the time that a client has."""


class Stall:
    """Gives up a client whose transport is full and sends nothing, though the connection lives.

    A frozen program, or one that asks and never reads, acknowledges keepalives and probes for ever:
    its kernel does. Slowness is no stall: a full transport is given nothing more, so whatever is
    unsent less than at the look before was taken. While it is not full nothing is looked at, and
    there is no timer. A time in which the event loop stood still does not count; see
    `disroom.countdown.EXCUSED`.

    Args:
        reactor: Keeps the time.
        seconds: For which nothing may be taken, 0 for no limit; noticed a quarter late at most.
        unsent: How many bytes are still on their way.
        give_up: Called once.
    """

    __slots__ = (
        "_due",
        "_full",
        "_give_up",
        "_late",
        "_least",
        "_looked_at",
        "_reactor",
        "_seconds",
        "_taken_at",
        "_timer",
        "_unsent",
    )

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        seconds: float,
        unsent: Callable[[], int],
        give_up: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._seconds = seconds
        self._unsent = unsent
        self._give_up = give_up
        self._full = False
        self._least = self._late = 0
        self._taken_at = self._looked_at = self._due = 0.0
        self._timer: IDelayedCall | None = None

    def filled(self, full: bool) -> None:
        """Take note that the transport is full, or has room again."""
        self._full = full and self._seconds > 0
        if self._full:
            self._least = self._unsent()
            self._taken_at = self._reactor.seconds()
            if self._timer is None:
                self._look_later()

    def stop(self) -> None:
        """Look no more. Idempotent."""
        self._full = False
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        delay = self._seconds / LOOKS
        self._looked_at = self._reactor.seconds()
        self._due = self._looked_at + delay
        self._timer = self._reactor.callLater(delay, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._full:
            return
        left, now = self._unsent(), self._reactor.seconds()
        self._late = standstills(self._late, self._due, now)
        missed = uncounted(self._late, self._looked_at, self._due, now)
        self._taken_at = min(now, self._taken_at + missed)
        if left < self._least:
            self._least, self._taken_at = left, now
        if now - self._taken_at < self._seconds:
            self._look_later()
        else:
            self._full = False
            self._give_up()
