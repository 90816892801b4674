"""How long something may take, counted in steps that the event loop makes.

While the loop stands still (the process is frozen or has no processor, or something here takes
seconds) nothing is sent or read. A timer that has run out by then fires in the turn that follows,
before what came in time has been read, or when what asked for it has only just been sent: everybody
would be told that a broker does not answer which was well all the time, and clients would be closed
for their silence, who were not heard.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

STEPS = 8
"""Into so many a time is divided; a standstill counts as one."""

LATE_SECONDS = 0.25
"""A timer that is called so much too late tells that the loop stood still."""

EXCUSED = 8
"""So many timers in a row may tell so, and nothing of what passed before them counts. Of more than
these what passed until they were due does: a loop that never keeps up is to wait for nobody for
ever."""


def stood_still(due: float, now: float) -> bool:
    """Whether the loop stood still when a timer was due that is called now."""
    return now - due > LATE_SECONDS


def standstills(before: int, due: float, now: float) -> int:
    """How many timers in a row tell that the loop stood still, with the one that is called now.

    Args:
        before: How many did before it.
        due: When it was due.
        now: The time.
    """
    return before + 1 if stood_still(due, now) else 0


def uncounted(late: int, looked_at: float, due: float, now: float) -> float:
    """How many of the seconds before a timer that is called now do not count; see `EXCUSED`.

    Args:
        late: As `standstills` tells, with this timer.
        looked_at: When it was set.
        due: When it was due.
        now: The time.
    """
    return now - (looked_at if late <= EXCUSED else due) if late else 0.0


class Countdown:
    """Calls something once a time has passed while the loop was turning.

    It is divided into `STEPS` timers, one after the other, and one more where the loop stood still
    in the last: what came meanwhile is read before it is over. So it takes that time and what as
    many turns of the loop take: hardly anything, or as long as it stood still.

    Args:
        seconds: The time.
        clock: The reactor.
        over: Called at the end, unless it is cancelled.

    Attributes:
        ended: Whether the time has passed.
    """

    __slots__ = ("_clock", "_left", "_over", "_step", "_timer", "ended")

    def __init__(self, seconds: float, clock: IReactorTime, over: Callable[[], object]) -> None:
        self.ended = False
        self._step = seconds / STEPS
        self._left = STEPS
        self._clock = clock
        self._over = over
        self._timer = clock.callLater(self._step, self._passed)

    def cancel(self) -> None:
        """Count no more. Idempotent, also after the end."""
        if self._timer.active():
            self._timer.cancel()

    def _passed(self) -> None:
        self._left -= 1
        if self._left > 0 or (not self._left and self._late):
            self._timer = self._clock.callLater(self._step, self._passed)
        else:
            self.ended = True
            self._over()

    @property
    def _late(self) -> bool:
        return stood_still(self._timer.getTime(), self._clock.seconds())
