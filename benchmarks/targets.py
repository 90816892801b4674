"""What DisRoom is to reach, and whether a run shows it.

The limits on CPU are ratios: what they rest on was measured beside core NATS on another machine, in
the shapes of `benchmarks.shapes.FANOUT`, and is rescaled by what core NATS takes in the same run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.results import Results
from benchmarks.shapes import CONNECTIONS, FANOUT, HEARD, MEMBERS, STORING, Shape

NATS_THERE = (8.2, 0.27, 1.65, 3.3)
"""Microseconds of CPU a delivery."""

PROTOTYPE_THERE = (6.0, 0.14, 0.69, 2.2)
"""A prototype of the fan-out in Twisted that stored nothing."""

BEST_THERE = (4.6, 0.39, 0.89, 1.9)
"""The least of ngircd, InspIRCd and Ergo, which store nothing."""

TOLERANCE = 1.25


@dataclass(frozen=True, slots=True)
class Target:
    """A figure and its limit.

    Attributes:
        at_most: Whether the limit is the greatest allowed; otherwise it is the least.
    """

    what: str
    measured: float
    limit: float
    unit: str = ""
    at_most: bool = True

    @property
    def verdict(self) -> str:
        """Whether it is met."""
        if math.isnan(self.measured) or math.isnan(self.limit):
            return "not measured"
        met = self.measured <= self.limit if self.at_most else self.measured >= self.limit
        return "met" if met else "missed"


def slope(results: Results, shapes: Sequence[Shape]) -> float:
    """The cost of one delivery more, in microseconds: the line between the smallest and largest."""
    small, large = shapes[0], shapes[-1]
    difference = results.message_cpu_us(large) - results.message_cpu_us(small)
    return difference / (large.members - small.members)


def stored(results: Results) -> float:
    """The fixed cost of a message, in microseconds: what it takes with no member to deliver to."""
    one, several = (results.median(f"storing{heard} cpu_us") for heard in ("", " heard"))
    delivery = (several - one) / (HEARD.members - STORING.members)
    return one - STORING.members * delivery


def targets(results: Results) -> list[Target]:
    """All of them."""
    nats = [results.median(f"fan-out {shape} NATS core cpu_us") for shape in FANOUT]
    scales = [now / there for now, there in zip(nats, NATS_THERE, strict=True)]
    lone = slope(results, [Shape(1, members) for members in MEMBERS])
    lively = slope(results, [Shape(1, members, 4, 4) for members in MEMBERS])
    found = [
        Target(
            "a delivery more, one sender, window 1",
            lone,
            TOLERANCE * PROTOTYPE_THERE[0] * scales[0],
            "us",
        ),
        Target(
            "a delivery more, 4 senders, window 4",
            lively,
            TOLERANCE * PROTOTYPE_THERE[2] * scales[2],
            "us",
        ),
        Target("a stored message, before its deliveries", stored(results), 25, "us"),
        Target("a stored message and one delivery", results.median("storing cpu_us"), 25, "us"),
    ]
    for shape, best, scale in zip(FANOUT, BEST_THERE, scales, strict=True):
        measured = results.median(f"fan-out {shape} DisRoom cpu_us")
        found.append(Target(f"a delivery in all, {shape}", measured, best * scale, "us"))
    milliseconds = [
        ("join among 1000, p50", "join among 1000 p50_ms", 1),
        ("leave among 1000, p50", "leave among 1000 p50_ms", 1),
        ("users among 1000, p50", "users among 1000 p50_ms", 1),
        ("history of 50, active room, p50", "history 50 among 1000 p50_ms", 1),
        ("history of 50, cold room, p50", "history 50 of a cold room p50_ms", 10),
    ]
    return [
        *found,
        Target(
            "latency p50 / bare JetStream's",
            results.ratio("latency 1 p50_ms", "latency bare p50_ms"),
            3,
        ),
        Target(
            "latency p50, two instances / one",
            results.ratio("latency 2 p50_ms", "latency 1 p50_ms"),
            1.2,
        ),
        Target(
            "stored a second / bare nats-py's",
            results.ratio("storing per_s", "storing bare per_s"),
            0.8,
            at_most=False,
        ),
        Target(
            "a stored message, two workers / one",
            results.ratio("storing workers cpu_us", "storing cpu_us"),
            1.15,
        ),
        Target(
            "the same with 50 senders on each",
            results.ratio("storing busy workers cpu_us", "storing cpu_us"),
            1.15,
        ),
        *(
            Target(
                f"shares of {name.removeprefix('shares of ').removesuffix('_percent')}, uneven by",
                results.median(name),
                20,
                "%",
            )
            for name in results.values
            if name.startswith("shares of ")
        ),
        *(Target(what, results.median(name), limit, "ms") for what, name, limit in milliseconds),
        Target("memory a connection", results.median("connecting rss_bytes"), 8192, "bytes"),
        *(
            Target(
                f"the same, {name}", results.median(f"connecting {name} rss_bytes"), 8192, "bytes"
            )
            for name in CONNECTIONS
        ),
        Target("start with warm brokers", results.median("connecting start_s"), 1, "s"),
    ]
