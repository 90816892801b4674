"""How long something may take: time in which the event loop turns."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from disroom.countdown import STEPS, Countdown


def counting(seconds: float) -> tuple[Countdown, Clock, list[float]]:
    """A countdown that has just begun, its clock, and when it was over."""
    clock, over = Clock(), list[float]()
    countdown = Countdown(seconds, clock, lambda: over.append(clock.seconds()))
    return countdown, clock, over


def test_it_takes_its_time() -> None:
    """Whoever waits for a broker that does not answer waits as long as is written."""
    countdown, clock, over = counting(2.0)
    clock.pump([0.125] * 15)
    assert not over and not countdown.ended
    clock.pump([0.125] * 100)
    assert over == [2.0] and countdown.ended
    countdown.cancel()
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize("when", range(STEPS))
def test_a_standstill_is_a_step(when: int) -> None:
    """However long the loop stood still, what came meanwhile is read; nobody waits much longer."""
    _, clock, over = counting(STEPS)
    clock.pump([1.0] * when)
    clock.advance(60.5)
    assert not over
    clock.pump([0.5] * 2 * STEPS)
    assert over == [60.5 + max(STEPS - 1, when + 1)]


def test_a_loop_that_is_always_late_makes_nothing_take_for_ever() -> None:
    """On a machine that has no processor to spare, a wait ends one step later at most."""
    _, clock, over = counting(STEPS)
    clock.pump([2.0] * (STEPS + 1))
    assert over == [2.0 * (STEPS + 1)]


def test_what_is_cancelled_is_never_over() -> None:
    """Nothing is left of a wait that has ended."""
    countdown, clock, over = counting(2.0)
    clock.pump([0.25] * 3)
    countdown.cancel()
    countdown.cancel()
    assert not clock.getDelayedCalls()
    clock.pump([0.25] * 10)
    assert not over and not countdown.ended
