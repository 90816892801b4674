"""What the benchmarks share: a message as the log brings it, and limits that hold anywhere."""

import time
import timeit
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from disroom.chat.events import Message
from disroom.chat.names import Nick, RoomName

TEXT = "the quick brown fox jumps over the lazy dog, and over the dog..."

Guard = Callable[[float], None]


@pytest.fixture(scope="session")
def unit() -> float:
    """The seconds that a known bit of Python takes here: about 0.11 us where this was written."""
    words = "a", "b c"
    times = timeit.repeat(lambda: f"{words[0]}: {words[1]}".encode().split(b" ", 1), number=10_000)
    return min(times) / 10_000


@pytest.fixture
def guard(benchmark: BenchmarkFixture, unit: float) -> Guard:
    """Fails where the least time measured is more than so many units.

    The least, since other work on the machine can only add to it. Limits are about twice what was
    measured when they were set.
    """

    def check(most: float) -> None:
        if benchmark.stats is not None:  # it is with --benchmark-disable
            took = benchmark.stats.stats.min / unit
            assert took <= most, f"it took {took:.1f} units, and {most:g} are allowed"

    return check


@pytest.fixture
def message() -> Message:
    """A message of 64 bytes."""
    room, nick = RoomName.parse("general"), Nick.parse("alice")
    return Message(room, 4811, time.time(), "k" * 22, "said", nick, "s" * 22, TEXT)
