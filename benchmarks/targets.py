"""What DisRoom is to reach, and whether a run shows it.

The limits for deliveries are ratios to what core NATS takes in the same round, since what they rest
on was measured beside core NATS on another machine, in the shapes of `benchmarks.shapes.FANOUT`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.results import Results, median, ratio
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


def slopes(results: Results, shapes: Sequence[Shape]) -> list[float]:
    """The cost of one delivery more in each round, in microseconds.

    It is the line between the smallest of the shapes and the largest.
    """
    small, large = shapes[0], shapes[-1]
    rounds = zip(results.message_rounds(small), results.message_rounds(large), strict=False)
    return [(most - least) / (large.members - small.members) for least, most in rounds]


def stored(results: Results) -> float:
    """The fixed cost of a message, in microseconds: what it takes with no member to deliver to."""
    one, several = (results.rounds(f"storing{heard} cpu_us") for heard in ("", " heard"))
    more = STORING.members / (HEARD.members - STORING.members)
    return median([few - more * (many - few) for few, many in zip(one, several, strict=False)])


def targets(results: Results) -> list[Target]:
    """All of them."""
    nats = [results.rounds(f"fan-out {shape} NATS core cpu_us") for shape in FANOUT]
    lone = slopes(results, [Shape(1, members) for members in MEMBERS])
    lively = slopes(results, [Shape(1, members, 4, 4) for members in MEMBERS])
    found = [
        Target(
            "a delivery more / NATS, 1 x window 1",
            ratio(lone, nats[0]),
            TOLERANCE * PROTOTYPE_THERE[0] / NATS_THERE[0],
        ),
        Target(
            "a delivery more / NATS, 4 x window 4",
            ratio(lively, nats[2]),
            TOLERANCE * PROTOTYPE_THERE[2] / NATS_THERE[2],
        ),
        *(
            Target(
                f"a delivery / NATS, {shape}",
                ratio(results.rounds(f"fan-out {shape} DisRoom cpu_us"), beside),
                best / nats_there,
            )
            for shape, beside, best, nats_there in zip(
                FANOUT, nats, BEST_THERE, NATS_THERE, strict=True
            )
        ),
        Target("a stored message, before its deliveries", stored(results), 25, "us"),
        Target("a stored message and one delivery", results.median("storing cpu_us"), 25, "us"),
    ]
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
