"""Starting again what has ended."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from disroom.children import keep
from disroom.children.keeping import STEADY_SECONDS


class Flickering:
    """Something that ends whenever the test says so."""

    def __init__(self) -> None:
        self.starts = 0
        self.end: Deferred[str] = Deferred()

    def ended(self) -> Deferred[str]:
        """Wait for the test."""
        self.end = Deferred()
        return self.end

    async def again(self) -> None:
        """Count a start."""
        self.starts += 1


def test_pauses_double_and_are_short_again_for_what_ran_well() -> None:
    """What dies at each start is tried ever more rarely; what ran for a while is back at once."""
    clock, program = Clock(), Flickering()
    keeping = keep(clock, ended=program.ended, again=program.again, longest_pause=0.5)
    with capturedLogs() as events:
        for pause in (0.1, 0.2, 0.4, 0.5, 0.5):
            started = program.starts
            program.end.callback("it ended")
            clock.advance(pause - 0.01)
            assert program.starts == started
            clock.advance(0.02)
            assert program.starts == started + 1
        clock.advance(STEADY_SECONDS + 1)
        program.end.callback("it was killed")
        clock.advance(0.11)
    assert program.starts == 6
    assert formatEvent(events[1]) == "it ended; starting it again in 0.2 s"
    assert formatEvent(events[-1]) == "it was killed; starting it again in 0.1 s"
    keeping.cancel()


def test_it_ends_quietly_when_it_is_told_to_and_never_otherwise() -> None:
    """A stop leaves no line in the log; a mistake does, since nothing is looked after any more."""
    with capturedLogs() as events:
        program = Flickering()
        keep(Clock(), ended=program.ended, again=program.again, longest_pause=1.0).cancel()
        assert not events
        program = Flickering()
        keep(Clock(), ended=program.ended, again=program.again, longest_pause=1.0)
        program.end.errback(ZeroDivisionError())
    (event,) = events
    assert event["log_failure"].check(ZeroDivisionError)
