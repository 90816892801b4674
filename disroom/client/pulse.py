"""Whether a connection is alive, told from the time alone."""

from __future__ import annotations

PING_SECONDS = 15.0
"""Without hearing anything for so long, the server is asked for a sign of life."""

DEAD_SECONDS = 25.0
"""Without hearing anything for so long, the connection is given up."""

HELLO_SECONDS = 10.0
"""How long the server may take to answer the first request, whatever else it says."""

STEADY_SECONDS = 5.0
"""A connection that is good for so long is one after whose loss no pause is needed."""


class Pulse:
    """Of one connection; its times are those of the ticks, so that they may be of any clock.

    Attributes:
        dead: Whether the connection should be given up.
        steady: Whether it has been good for a while.
    """

    def __init__(self) -> None:
        self.dead = False
        self.steady = False
        self._began: float | None = None
        self._heard: float | None = None
        self._asked = False

    def heard(self) -> None:
        """Take note that something came."""
        self._heard, self._asked = None, False

    def beat(self, now: float, *, welcomed: bool) -> bool:
        """Judge the connection; True if it is time to ask for a sign of life."""
        if self._began is None:
            self._began = now
        if self._heard is None:
            self._heard = now
        if not welcomed:
            self.dead = now - self._began >= HELLO_SECONDS
            return False
        self.steady = now - self._began >= STEADY_SECONDS
        self.dead = now - self._heard >= DEAD_SECONDS
        ask = now - self._heard >= PING_SECONDS and not self._asked
        self._asked = self._asked or ask
        return ask
