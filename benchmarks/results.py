"""The figures of a run: medians, and a JSON file that can be compared with another's."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.shapes import Shape

NOISE_PERCENT = 5.0
"""A difference of less says nothing, even where the rounds' ranges are apart."""

FEWEST_RUNS = 3
"""With fewer, the range of the rounds tells nothing of chance."""

BUSY_PERCENT = 90.0
"""A generator that is busier may have been what limited the run."""


class NotMeasured(Exception):
    """A scenario cannot be measured on this machine; says why."""


@dataclass
class Results:
    """What was measured, a value for each round.

    Attributes:
        values: By the figure's name (see `benchmarks.scenarios`).
        about: The machine and how it was measured.
        failures: Scenarios that had to be given up, with the reason.
        missing: Those that cannot be measured on this machine, with the reason.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def add(self, figures: dict[str, float]) -> None:
        """Take the figures of one scenario of one round."""
        for name, value in figures.items():
            self.values.setdefault(name, []).append(value)

    def rounds(self, name: str) -> list[float]:
        """The value of each round; none where it was not measured."""
        return self.values.get(name, [])

    def median(self, name: str) -> float:
        """The median over the rounds; NaN where it was not measured."""
        return median(self.rounds(name))

    def ratio(self, name: str, yardstick: str) -> float:
        """The median of the rounds' ratios; see `ratio`."""
        return ratio(self.rounds(name), self.rounds(yardstick))

    def message_rounds(self, shape: Shape) -> list[float]:
        """The instance's CPU for a message of a shape in each round, wherever it was measured."""
        names = [f"fan-out {shape} DisRoom message_cpu_us"]
        names += [f"growth {what} {shape} message_cpu_us" for what in ("members", "rooms")]
        return next((self.rounds(name) for name in names if name in self.values), [])

    def message_cpu_us(self, shape: Shape) -> float:
        """The median of `message_rounds`."""
        return median(self.message_rounds(shape))

    @property
    def overrun(self) -> list[str]:
        """What a generator too busy has made worthless."""
        return [
            name.removesuffix(" generator_percent")
            for name in self.values
            if name.endswith("generator_percent") and self.median(name) > BUSY_PERCENT
        ]

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {name: [_short(v) for v in found] for name, found in self.values.items()}
        document = {
            "about": self.about,
            "failures": self.failures,
            "missing": self.missing,
            "values": values,
        }
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote."""
        document = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            document["values"],
            document["about"],
            document["failures"],
            document.get("missing", []),  # which older files do not have
        )


def median(values: Sequence[float]) -> float:
    """The median; NaN of none."""
    return statistics.median(values) if values else float("nan")


def ratio(values: Iterable[float], yardstick: Iterable[float]) -> float:
    """The median of the rounds' ratios: noise that meets both in a round is in neither."""
    pairs = zip(values, yardstick, strict=False)
    return median([value / other for value, other in pairs if other])


def about(*, runs: int, quick: bool, layout: str, directory: Path) -> dict[str, Any]:
    """What a reader must know of a run, and nothing that names the machine.

    Args:
        runs: How many rounds.
        quick: Whether they are short.
        layout: Who runs on which core.
        directory: Where the brokers' data is.
    """
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "runs": runs,
        "quick": quick,
        "cores": os.cpu_count(),
        "layout": layout,
        "filesystem": filesystem(directory),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def filesystem(directory: Path) -> str:
    """The type of the file system that a directory is on; Linux only."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    here = directory.resolve()
    on = [(len(at), kind) for _, at, kind, *_ in mounts if here.is_relative_to(at)]
    return max(on)[1] if on else "unknown"


def compare(before: Results, after: Results) -> list[str]:
    """Lines for the figures of two runs, the most changed first.

    Where the ranges of the rounds overlap, or the medians differ by less than 5 %, the difference
    may be chance; these are only counted.
    """
    lines = []
    chance = 0
    for name in before.values.keys() & after.values.keys():
        old, new = before.values[name], after.values[name]
        if name.endswith("generator_percent") or not before.median(name) * after.median(name) > 0:
            continue
        ratio = after.median(name) / before.median(name)
        apart = max(old) < min(new) or max(new) < min(old)
        if not apart or abs(ratio - 1) < NOISE_PERCENT / 100:
            chance += 1
            continue
        better = (ratio > 1) == name.endswith("per_s")
        verdict = "better" if better else "WORSE"
        medians = f"{before.median(name):12.4g} -> {after.median(name):12.4g}"
        lines.append((abs(math.log(ratio)), f"{ratio:7.2f} x {verdict:7} {medians}  {name}"))
    lines.sort(reverse=True)
    shown = [line for _, line in lines]
    if min(before.about["runs"], after.about["runs"]) < FEWEST_RUNS:
        shown.insert(0, f"Fewer than {FEWEST_RUNS} rounds: what is below may be chance")
    only = before.values.keys() ^ after.values.keys()
    shown.append(f"{chance} figures within the noise, {len(only)} in one of the runs alone")
    return shown


def _short(value: float) -> float:
    return float(f"{value:.5g}")
