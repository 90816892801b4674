"""The table that a run prints: ratios to the yardsticks first, then figures, then the targets."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.results import Results, median
from benchmarks.shapes import CONNECTIONS, FANOUT, MEMBERS, ROOMS, Shape
from benchmarks.targets import slopes, targets

BUSY = " generator_percent"


def report(results: Results) -> list[str]:
    """Return the lines."""
    about = results.about
    lines = [
        f"{about['runs']} runs, medians; {about['cores']} cores: {about['layout']}",
        *(["QUICK: too short and too few to be compared"] if about["quick"] else []),
        *_latency(results),
        *_storing(results),
        *_fan_out(results),
        *_syncing(results),
        *_verbs(results),
        *_connecting(results),
        *_many_at_once(results),
        *_growth(results),
        *_targets(results),
        "",
    ]
    busy = [name for name in results.values if name.endswith(BUSY)]
    if busy:
        busiest = max(busy, key=results.median)
        what, percent = busiest.removesuffix(BUSY), results.median(busiest)
        lines.append(f"The generator was busy for {percent:.0f} % of its core at most ({what}).")
    lines += [f"INVALID, the generator was the limit: {what}" for what in results.overrun]
    lines += [f"NOT MEASURED: {reason}" for reason in results.missing]
    lines += [f"FAILED: {failure}" for failure in results.failures]
    return lines


def _table(
    title: str, heads: Iterable[str], rows: Iterable[tuple[str, Iterable[str]]]
) -> list[str]:
    lines = ["", f"{title:<44}" + "".join(f"{head:>13}" for head in heads)]
    lines += [f"  {name:<42}" + "".join(f"{cell:>13}" for cell in cells) for name, cells in rows]
    return lines


def _number(value: float) -> str:
    if value != value:
        return "-"
    if value >= 10_000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _latency(results: Results) -> list[str]:
    names = {"bare": "JetStream publish and republish, nats-py", "1": "one instance"}
    names |= {"2": "two instances", "4": "four instances"}
    rows = []
    for key, name in names.items():
        if f"latency {key} p50_ms" not in results.values:
            continue
        ratio = results.ratio(f"latency {key} p50_ms", "latency bare p50_ms")
        figures = [results.median(f"latency {key} {p}_ms") for p in ("p50", "p99", "p999")]
        cpu = results.median(f"latency {key} cpu_us")
        cells = [f"{ratio:.2f}", *map(_number, figures), _number(cpu)]
        rows.append((name, cells))
    heads = ("p50 / bare", "p50 ms", "p99 ms", "p99.9 ms", "CPU us/msg")
    return _table("Latency, 10 rooms x 20, 100 a second", heads, rows)


def _storing(results: Results) -> list[str]:
    rows = []
    names = {"storing bare": "publish_async, nats-py", "storing": "one instance"}
    names |= {"storing heard": "the same, in rooms of five"}
    names |= {"storing workers": "two workers behind one port"}
    names |= {"storing busy workers": "two workers, 100 senders"}
    for prefix, name in names.items():
        ratio = results.ratio(f"{prefix} per_s", "storing bare per_s")
        figures = (results.median(f"{prefix} per_s"), results.median(f"{prefix} cpu_us"))
        rows.append((name, [f"{ratio:.2f}", *map(_number, figures)]))
    heads = ("rate / bare", "stored/s", "CPU us/msg")
    return _table("Storing, 50 senders, each awaiting its own", heads, rows)


def _syncing(results: Results) -> list[str]:
    rows = []
    for key, name in (("default", "2m, the default"), ("always", "always")):
        prefix = f"sync {key}"
        ratio = results.ratio(f"{prefix} per_s", "sync default per_s")
        waits = (results.median(f"{prefix} {p}_ms") for p in ("p50", "p99"))
        rate = results.median(f"{prefix} per_s")
        rows.append((name, [f"{ratio:.2f}", *map(_number, (rate, *waits))]))
    where, disk = results.about.get("filesystem", "-"), results.median("sync disk p50_ms")
    rows.append((f"the disk alone, {where}, fsync", ["", "", _number(disk), ""]))
    heads = ("rate / 2m", "stored/s", "p50 ms", "p99 ms")
    return _table("NATS's sync_interval, 50 senders; 100 a second", heads, rows)


def _fan_out(results: Results) -> list[str]:
    rows = []
    for shape in FANOUT:
        ours, nats = f"fan-out {shape} DisRoom", f"fan-out {shape} NATS core"
        cells = [
            f"{results.ratio(f'{ours} cpu_us', f'{nats} cpu_us'):.2f}",
            f"{results.ratio(f'{ours} per_s', f'{nats} per_s'):.2f}",
        ]
        figures = [f"{who} {what}" for what in ("cpu_us", "per_s") for who in (ours, nats)]
        rows.append((str(shape), cells + [_number(results.median(name)) for name in figures]))
    heads = ("CPU / NATS", "rate / NATS", "CPU us", "NATS CPU us", "per s", "NATS per s")
    return _table("Fan-out, per delivery, beside core NATS", heads, rows)


def _verbs(results: Results) -> list[str]:
    rows = []
    for what in ("join", "leave", "users", "history 50"):
        for place in ("alone", "among 1000"):
            rows.append((f"{what}, {place}", _p50_p99(results, f"{what} {place}")))
    for what in ("join of a cold room", "history 50 of a cold room"):
        rows.append((what, _p50_p99(results, what)))
    return _table("Answers to one user", ("p50 ms", "p99 ms"), rows)


def _p50_p99(results: Results, name: str) -> list[str]:
    return [_number(results.median(f"{name} {p}_ms")) for p in ("p50", "p99")]


def _connecting(results: Results) -> list[str]:
    figures = ("per_s", "cpu_us", "rss_bytes", "idle_percent", "start_s")
    names = {"rooms of 20": "connecting"}
    names |= {name: f"connecting {name}" for name in CONNECTIONS}
    rows = [
        (name, [_number(results.median(f"{prefix} {figure}")) for figure in figures])
        for name, prefix in names.items()
    ]
    heads = ("per s", "CPU us", "bytes each", "idle CPU %", "start s")
    return _table("Connections that enter a room", heads, rows)


def _many_at_once(results: Results) -> list[str]:
    rows = []
    for name in results.values:
        kind, count, *_ = name.split()
        each = _number(results.median(f"{kind} {count} cpu_us"))
        if name == f"crowding {count} per_s":
            seconds = int(count) / results.median(name)
            rows.append((f"{count} enter one room", [_number(seconds), each, "", ""]))
        elif name == f"storm {count} back_s":
            waits, calm = (_p50_p99(results, f"storm {count}{how}") for how in ("", " calm"))
            back = _number(results.median(name))
            rows.append((f"{count} are cut off and come back", [back, each, *waits]))
            rows.append(("nobody does", ["", "", *calm]))
    heads = ("all in s", "CPU us each", "p50 ms", "p99 ms")
    return _table("Many at once; how long others elsewhere wait", heads, rows)


def _growth(results: Results) -> list[str]:
    lines = []
    for senders, window in ((1, 1), (4, 4)):
        shapes = [Shape(1, members, senders, window) for members in MEMBERS]
        title = f"CPU us a message, members ({senders} x window {window})"
        lines += _growing(results, title, shapes, [shape.members for shape in shapes])
        lines.append(f"  each member more: {_number(median(slopes(results, shapes)))} us")
    shapes = [Shape(rooms, 10, 1, 4) for rooms in ROOMS]
    return lines + _growing(results, "CPU us a message, rooms of 10", shapes, ROOMS)


def _growing(
    results: Results, title: str, shapes: Iterable[Shape], sizes: Iterable[int]
) -> list[str]:
    cells = [_number(results.message_cpu_us(shape)) for shape in shapes]
    return _table(title, map(str, sizes), [("one instance", cells)])


def _targets(results: Results) -> list[str]:
    rows = []
    for target in targets(results):
        limit = f"{'<=' if target.at_most else '>='} {_number(target.limit)}"
        cells = [target.verdict, _number(target.measured), f" {limit} {target.unit}".rstrip()]
        rows.append((target.what, cells))
    return _table("Targets", ("", "measured", "limit"), rows)
