"""Whether a connection is alive, told from the time alone.

The time is counted in beats. Whatever passes between two of them, the program did nothing meanwhile
(it was stopped, or its machine, or had no turn for its own work), and says nothing of the server.
"""

from __future__ import annotations

PING_SECONDS = 15.0
"""Without hearing anything for so long, the server is asked for a sign of life."""

DEAD_SECONDS = 25.0
"""Without hearing anything for so long, the connection is given up."""

HELLO_SECONDS = 10.0
"""How long the server may take to answer the first request, whatever else it says."""

STEADY_SECONDS = 5.0
"""A connection that is good for so long is one after whose loss no pause is needed."""

LONGEST_BEAT = 3.0
"""Seconds that a beat counts at the most, however long after the one before it comes."""


class Pulse:
    """Of one connection; its times are those of the ticks, so that they may be of any clock.

    Attributes:
        dead: Whether the connection should be given up.
        steady: Whether it has been good for a while.
    """

    def __init__(self) -> None:
        self.dead = False
        self.steady = False
        self._beaten: float | None = None
        self._age = 0.0
        self._silence: float | None = None  # from the first beat after something came
        self._asked = False

    def heard(self) -> None:
        """Take note that something came."""
        self._silence, self._asked = None, False

    def beat(self, now: float, *, welcomed: bool) -> bool:
        """Judge the connection; True if it is time to ask for a sign of life."""
        step = 0.0 if self._beaten is None else min(now - self._beaten, LONGEST_BEAT)
        self._beaten = now
        self._age += step
        self._silence = 0.0 if self._silence is None else self._silence + step
        if not welcomed:
            self.dead = self._age >= HELLO_SECONDS
            return False
        self.steady = self._age >= STEADY_SECONDS
        self.dead = self._silence >= DEAD_SECONDS
        ask = self._silence >= PING_SECONDS and not self._asked
        self._asked = self._asked or ask
        return ask
