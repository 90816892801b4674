"""How long a client may take: to choose a name, and from one line to the next.

It is looked at several times while it may be silent, and a time in which the event loop stood still
does not count: what the client has sent then is not read yet. See `disroom.countdown.EXCUSED`.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from disroom.chat.errors import ChatError
from disroom.countdown import STEPS, standstills, uncounted
from disroom.wire.errors import Idle, Unnamed


class Patience:
    """Watches one client; one timer, which is set anew only when it has run out.

    Args:
        reactor: Keeps the time.
        unnamed: Seconds until a name must have been taken, 0 for no limit.
        idle: Seconds without a line, 0 for no limit.
        named: Whether the client has a name.
        give_up: Called once, with the reason.
    """

    __slots__ = (
        "_due",
        "_give_up",
        "_heard_at",
        "_idle",
        "_late",
        "_looked_at",
        "_named",
        "_reactor",
        "_since",
        "_timer",
        "_unnamed",
    )

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        unnamed: float,
        idle: float,
        named: Callable[[], bool],
        give_up: Callable[[ChatError], None],
    ) -> None:
        self._reactor = reactor
        self._unnamed = unnamed
        self._idle = idle
        self._named = named
        self._give_up = give_up
        self._since = self._heard_at = self._looked_at = self._due = reactor.seconds()
        self._late = 0
        self._timer: IDelayedCall | None = None
        self._look()

    def heard(self) -> None:
        """Take note of a line."""
        self._heard_at = self._reactor.seconds()

    def stop(self) -> None:
        """Watch no more. Idempotent."""
        if self._timer and self._timer.active():
            self._timer.cancel()

    def _look(self) -> None:
        now = self._reactor.seconds()
        self._late = standstills(self._late, self._due, now)
        missed = uncounted(self._late, self._looked_at, self._due, now)
        self._since += missed
        self._heard_at = min(now, self._heard_at + missed)
        limits: list[tuple[float, float, ChatError]] = []
        if self._unnamed and not self._named():
            limits.append((self._since + self._unnamed, self._unnamed, Unnamed(self._unnamed)))
        if self._idle:
            limits.append((self._heard_at + self._idle, self._idle, Idle(self._idle)))
        if not limits:
            return
        until, seconds, error = min(limits, key=lambda limit: limit[0])
        left = until - now
        if left > 0:
            delay = min(left, seconds / STEPS)
            self._looked_at, self._due = now, now + delay
            self._timer = self._reactor.callLater(delay, self._look)
        else:
            self._give_up(error)
