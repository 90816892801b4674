"""The processes that are measured: brokers, instances of the service, yardsticks; each pinned."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from benchmarks.cores import Layout, pinned
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.redis import RedisServer

STREAM = "DISROOM"
BARE_STREAM = "BARE"
BARE_SUBJECT = "bare.room"

SETTINGS = {
    "DISROOM_PRESENCE_SETTLE": "100ms",
    "DISROOM_STREAM_MAX_BYTES": "4GiB",
}


class Stage:
    """Brokers with any number of instances, and a plain NATS server; a context manager.

    Args:
        directory: For logs and data.
        layout: Who runs where.
    """

    def __init__(self, directory: Path, layout: Layout) -> None:
        self.directory = directory
        self.layout = layout
        self.instances: list[DisroomProcess] = []
        self._with_workers: dict[int, DisroomProcess] = {}
        self.start_seconds: list[float] = []
        self.nats = NatsServer(directory / "nats")
        self.redis = RedisServer(directory / "redis")
        self.plain_nats = NatsServer(
            directory / "plain",
            name="plain",
            jetstream=False,
            # Its own pings would come between the messages that all members receive alike.
            extra_config='ping_interval: "1h"',
        )
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with self._open:
            with pinned(self.layout.brokers):
                self._open.enter_context(self.nats)
                self._open.enter_context(self.redis)
            with pinned(self.layout.instance(0)):
                self._open.enter_context(self.plain_nats)
            self.instance(0)
            self._make_bare_stream()
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def instance(self, number: int) -> DisroomProcess:
        """An instance, counted from 0; those up to it are started if need be."""
        while len(self.instances) <= number:
            self.instances.append(self._open.enter_context(self.fresh(len(self.instances))))
        return self.instances[number]

    def with_workers(self, count: int) -> DisroomProcess:
        """An instance of so many workers, on the cores of all instances; started if need be."""
        if count not in self._with_workers:
            server = self._new(f"workers{count}", [f"--workers={count}"])
            with pinned(self.layout.instances):
                self._with_workers[count] = self._open.enter_context(server)
        return self._with_workers[count]

    def addresses(self, count: int) -> list[tuple[str, int]]:
        """Where the first so many instances listen."""
        return [("127.0.0.1", self.instance(number).port) for number in range(count)]

    def pids(self, count: int) -> list[int]:
        """The processes of the first so many instances."""
        return [self.instance(number).pid for number in range(count)]

    def fresh(self, number: int, name: str = "") -> DisroomProcess:
        """Start another instance, which the caller ends."""
        instance = self._new(name or f"instance{number}")
        begin = time.perf_counter()
        with pinned(self.layout.instance(number)):
            instance.start()
        self.start_seconds.append(time.perf_counter() - begin)
        return instance

    def _new(self, name: str, options: Sequence[str] = ()) -> DisroomProcess:
        return DisroomProcess(
            self.directory,
            name=name,
            redis=self.redis.url,
            nats=[self.nats.url],
            options=options,
            env=SETTINGS,
        )

    def _make_bare_stream(self) -> None:
        """Make a stream like the service's, for the client library alone."""
        with self.nats.connect() as nats:
            config = nats.stream_info(STREAM)["config"]
            config |= {
                "name": BARE_STREAM,
                "subjects": [BARE_SUBJECT],
                "republish": {"src": BARE_SUBJECT, "dest": "bare.live"},
                "max_bytes": 1 << 30,
            }
            nats.jetstream(f"STREAM.CREATE.{BARE_STREAM}", config)

    def bare(self, what: str, seconds: float, cores: Sequence[int]) -> dict[str, float]:
        """Run the client library alone, in a process of its own (see `benchmarks.bare`)."""
        command = [sys.executable, "-m", "benchmarks.bare", what, self.nats.url, str(seconds)]
        with pinned(cores):
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        figures: dict[str, Any] = json.loads(done.stdout)
        return {name: float(figure) for name, figure in figures.items()}
