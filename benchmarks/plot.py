"""How cost grows with members, rooms and instances, as a picture."""

from __future__ import annotations

from pathlib import Path

from benchmarks.results import Results
from benchmarks.shapes import INSTANCES, MEMBERS, ROOMS, Shape


def plot(results: Results, path: Path) -> None:
    """Draw a PNG of a full run.

    Raises:
        SystemExit: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise SystemExit("a plot needs matplotlib: pip install '.[bench]'") from missing
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    members, rooms, instances = figure.subplots(1, 3)
    for label, senders, window in (("one at a time", 1, 1), ("4 senders, window 4", 4, 4)):
        shapes = [Shape(1, count, senders, window) for count in MEMBERS]
        costs = [results.message_cpu_us(shape) for shape in shapes]
        members.plot(MEMBERS, costs, marker="o", label=label)
    members.set(title="members of a room", xscale="log", yscale="log", ylabel="CPU µs a message")
    members.legend(fontsize="small")
    costs = [results.message_cpu_us(Shape(count, 10, 1, 4)) for count in ROOMS]
    rooms.plot(ROOMS, costs, marker="o")
    rooms.set(title="rooms of 10, a sender each", xscale="log", ylim=0)
    costs = [results.median(f"latency {count} cpu_us") for count in INSTANCES]
    instances.plot(INSTANCES, costs, marker="o", label="CPU µs a message, all together")
    waits = [1e3 * results.median(f"latency {count} p50_ms") for count in INSTANCES]
    instances.plot(INSTANCES, waits, marker="s", label="latency p50, µs")
    instances.set(title="instances (10 rooms of 20, 100/s)", xticks=INSTANCES, ylim=0)
    instances.legend(fontsize="small")
    for axes in (members, rooms, instances):
        axes.grid(visible=True, alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
