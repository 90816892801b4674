"""Many who are cut off at once and come back at once, and what the others notice of it."""

from __future__ import annotations

import select
import time

from benchmarks.cores import cpu_seconds
from benchmarks.dialects import DISROOM
from benchmarks.load import SET_UP_SECONDS, Load, entered
from benchmarks.shapes import Shape
from benchmarks.stage import Stage
from benchmarks.traffic import Traffic, percentile

OTHERS = Shape(1, 5, 5)
"""In a room of their own, where they talk at a steady rate."""

AT_A_TURN = 16
"""Of those who come back: the generator is to be punctual for the others."""


def storm(stage: Stage, crowd: int, *, rate: float, seconds: float) -> dict[str, float]:
    """The users of one room, all cut off, until they are in it again; and the others' latency.

    Of the others for so many seconds without the storm, and from its beginning to its end. The CPU
    for each who comes back is counted until all have been told, without that of the others' talk.

    Raises:
        TimeoutError: Not all were back within a minute.
    """
    addresses, pids = stage.addresses(1), stage.pids(1)
    with (
        Load(DISROOM, addresses, Shape(1, crowd), ramp=crowd) as many,
        entered(DISROOM, addresses, OTHERS) as others,
    ):
        many.set_up()
        many.settle()
        talk = Traffic(others, pids)
        calm = talk.at_rate(rate, seconds / 4, seconds)
        cpu = cpu_seconds(pids)
        weather = _Storm(many, others)
        stormy = talk.at_rate(rate, 0.0, SET_UP_SECONDS, weather.go_on)
        weather.end()
        many.settle()
        cpu = cpu_seconds(pids) - cpu - stormy.messages * calm.cpu / calm.messages
    name = f"storm {crowd}"
    return {
        f"{name} back_s": weather.seconds,
        f"{name} cpu_us": 1e6 * cpu / crowd,
        f"{name} p50_ms": 1e3 * percentile(stormy.waits, 50),
        f"{name} p99_ms": 1e3 * percentile(stormy.waits, 99),
        f"{name} calm p50_ms": 1e3 * percentile(calm.waits, 50),
        f"{name} calm p99_ms": 1e3 * percentile(calm.waits, 99),
        f"{name} generator_percent": stormy.busy,
    }


class _Storm:
    """Cuts off those who are many, and has them come back while the others are attended to.

    Attributes:
        seconds: How long it took until all were back.
    """

    def __init__(self, many: Load, others: Load) -> None:
        self.seconds = 0.0
        self._many = many
        self._began = 0.0
        self._either = select.epoll()
        for load in (many, others):
            self._either.register(load.fileno(), select.EPOLLIN)

    def go_on(self, wait: float) -> bool:
        """Begin, or attend to some and wait for anybody; returns whether all are back."""
        if not self._began:
            self._began = time.perf_counter()
            self._many.cut_off()
        self._many.bring_in(0.0, AT_A_TURN)
        self.seconds = time.perf_counter() - self._began
        if not self._many.all_in:
            self._either.poll(wait)
        return self._many.all_in

    def end(self) -> None:
        """Raise a TimeoutError if not all are back."""
        self._either.close()
        if not self._many.all_in:
            raise TimeoutError(f"not all who were cut off came back within {self.seconds:.0f} s")
