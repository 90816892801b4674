"""What is done every so often, whatever goes wrong in between."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from disroom.rounds import Rounds


def test_a_round_that_fails_is_told_and_the_next_one_comes() -> None:
    """Nothing that is done every so often ends for good because of one bad moment."""
    clock, times = Clock(), list[float]()

    def work() -> None:
        times.append(clock.seconds())
        if len(times) == 1:
            raise ZeroDivisionError

    rounds = Rounds(clock, "The round", work)
    rounds.start(2.0)
    with capturedLogs() as events:
        clock.pump([1.0] * 4)
    assert times == [2.0, 4.0] and rounds.running
    assert [event["what"] for event in events] == ["The round"]
    rounds.stop()
    rounds.stop()
    clock.pump([1.0] * 4)
    assert times == [2.0, 4.0] and not rounds.running


def test_the_first_round_can_be_at_once() -> None:
    """What is due when something starts is not put off."""
    clock, times = Clock(), list[float]()
    rounds = Rounds(clock, "The round", lambda: times.append(clock.seconds()))
    rounds.start(2.0, now=True)
    assert times == [0.0]
