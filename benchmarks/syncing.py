"""What it costs that NATS waits for the disk before it acknowledges: `sync_interval: always`.

Two NATS servers that differ in that alone, an instance on each, in turn in each round. How long the
disk itself takes is measured beside it, since nothing else here depends on the disk.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cores import pinned
from benchmarks.dialects import DISROOM, TEXT_BYTES
from benchmarks.load import entered
from benchmarks.shapes import RATED, STORING
from benchmarks.stage import SETTINGS, Stage
from benchmarks.traffic import Traffic, percentile
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer

INTERVALS = {"default": "", "always": "sync_interval: always"}
SYNCS = 200


def syncing(stage: Stage, *, rate: float, warm_up: float, seconds: float) -> dict[str, float]:
    """Messages stored a second, and from sending to delivery at a rate, either way."""
    figures = {"sync disk p50_ms": 1e3 * _disk_seconds(stage.directory)}
    for name, option in INTERVALS.items():
        with _instance(stage, name, option) as instance:
            addresses = [("127.0.0.1", instance.port)]
            with entered(DISROOM, addresses, STORING) as load:
                stored = Traffic(load, [instance.pid]).full_speed(warm_up, seconds)
            with entered(DISROOM, addresses, RATED) as load:
                rated = Traffic(load, [instance.pid]).at_rate(rate, warm_up, seconds)
        figures |= {
            f"sync {name} per_s": stored.messages / stored.seconds,
            f"sync {name} p50_ms": 1e3 * percentile(rated.waits, 50),
            f"sync {name} p99_ms": 1e3 * percentile(rated.waits, 99),
            f"sync {name} generator_percent": max(stored.busy, rated.busy),
        }
    return figures


@contextmanager
def _instance(stage: Stage, name: str, option: str) -> Iterator[DisroomProcess]:
    """An instance on a NATS of its own with this option, where those of the stage run too."""
    nats = NatsServer(stage.directory / f"sync-{name}", jetstream_config=option)
    env = SETTINGS | {"DISROOM_REDIS_PREFIX": f"sync-{name}"}
    with pinned(stage.layout.brokers):
        nats.start()
    with nats:
        instance = DisroomProcess(
            stage.directory, name=f"sync-{name}", redis=stage.redis.url, nats=[nats.url], env=env
        )
        with pinned(stage.layout.instance(0)):
            instance.start()
        with instance:
            yield instance


def _disk_seconds(directory: Path) -> float:
    """The median of what the disk takes to have one message more."""
    taken = []
    with (directory / "disk").open("ab", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(b"x" * TEXT_BYTES)
            begin = time.perf_counter()
            os.fsync(file.fileno())
            taken.append(time.perf_counter() - begin)
    return percentile(sorted(taken), 50)
