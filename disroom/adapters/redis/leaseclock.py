"""What the time says of a lease: whether this process stood still past it, or nobody answers."""

from __future__ import annotations

from collections.abc import Callable


class LeaseClock:
    """Keeps when it was looked at last, and when the store agreed last with what is held.

    Args:
        seconds: How long a lease lasts from when it was asked for.
        clock: Seconds that also pass while the machine sleeps.

    Attributes:
        now: The same clock.
    """

    __slots__ = ("_looked", "_renewed", "_seconds", "_unsure_since", "now")

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.now = clock
        self._seconds = seconds
        self._looked = clock()
        self._renewed = 0.0
        self._unsure_since: float | None = None

    @property
    def lapsed(self) -> bool:
        """Whether this process stood still past its lease, and what others did is not known yet.

        Being cut off from the store is something else: others may have acted then too, but nothing
        here can tell until the store is back.
        """
        return self._unsure_since is not None or self.now() > self._looked + self._seconds

    @property
    def unsure(self) -> bool:
        """Whether that was seen at a `look`."""
        return self._unsure_since is not None

    @property
    def unanswered(self) -> bool:
        """Whether the store has not answered for as long as a lease lasts."""
        return self.now() > self._renewed + self._seconds

    def look(self) -> float:
        """Look whether this process stood still since the last look, and return the time."""
        now = self.now()
        if now > self._looked + self._seconds:
            self._unsure_since = now
        self._looked = now
        return now

    def sure(self, asked: float) -> None:
        """Take note that the store agrees with what is held, by an answer to what was asked then.

        An answer from before this process stood still, read after it, says nothing.
        """
        self._renewed = asked
        if self._unsure_since is not None and asked >= self._unsure_since:
            self._unsure_since = None

    def go_on(self) -> None:
        """Be sure though nothing is known."""
        self._unsure_since = None
