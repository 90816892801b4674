"""Who runs on which core, and what it used of it. Linux only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Layout:
    """The cores of each part.

    Attributes:
        instances: One for each instance in turn, also for the yardsticks that take its place.
        brokers: NATS and Redis.
        generator: This process.
    """

    instances: tuple[int, ...]
    brokers: frozenset[int]
    generator: int

    @classmethod
    def of(cls, cores: Iterable[int]) -> Layout:
        """Lay the parts out: the generator always has a core of its own.

        With two cores the instances and their brokers share the other one; with three the brokers
        have one; from four on a second instance has its own as well.
        """
        *others, generator = sorted(cores)
        if not others:
            raise SystemExit("the benchmark needs two cores: one of them is the generator's")
        count = 1 if len(others) < 3 else 2
        return cls(tuple(others[:count]), frozenset(others[count:] or others), generator)

    def instance(self, number: int) -> frozenset[int]:
        """The core of an instance, counted from 0."""
        return frozenset({self.instances[number % len(self.instances)]})

    def __str__(self) -> str:
        return (
            f"instances on core {_listed(self.instances)}, brokers on {_listed(self.brokers)}, "
            f"the generator on {self.generator}"
        )


@contextmanager
def pinned(cores: Iterable[int]) -> Iterator[None]:
    """Pin this process meanwhile; what it starts stays there (Go counts its cores at its start)."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pids: Iterable[int]) -> float:
    """The CPU time that processes have used, all threads, user and system; in steps of 10 ms."""
    ticks = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        user, system = stat.rpartition(")")[2].split()[11:13]
        ticks += int(user) + int(system)
    return ticks / TICKS


def _listed(cores: Iterable[int]) -> str:
    return "+".join(map(str, sorted(cores)))
