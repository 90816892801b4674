"""Two users who talk steadily on a thread of their own, and what they notice of somebody else."""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from tests.cluster.chat import user
from tests.eventually import eventually_blocking
from tests.processes.client import LineClient
from tests.processes.disroom import DisroomProcess
from tests.processes.text_client import Clients

ROOM = "tea"
NICKS = ("ann", "bea")

PERIOD = 0.07
"""Seconds between two messages of one user: below the default limit of 20 commands a second."""

FEWEST = 24
"""Messages, read by both, before a behaviour is judged."""

MOST_DELAY = 0.25
"""Seconds, the 99th percentile, on a quiet machine."""

MOST_GROWTH = 64 << 20
"""Bytes of resident memory."""

_NEVER_SHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]"
)
_ID = re.compile(r": <(\d+)>$")


def worst(delays: list[float]) -> float:
    """The 99th percentile."""
    return sorted(delays)[math.ceil(len(delays) * 0.99) - 1]


@dataclass
class Seen:
    """What the two users had while something went on: seconds, bytes of growth, CPU used."""

    delays: list[float] = field(default_factory=list)
    growth: int = 0
    cpu: float = 0.0


class Company:
    """The two users, and the server that they are on. A context manager.

    Attributes:
        witness: Another company, at another server, where nobody disturbs meanwhile: the delays
            there are what the machine itself is to blame for.
    """

    def __init__(self, server: DisroomProcess) -> None:
        self.server = server
        self.witness: Company | None = None
        self._alone = 0.0
        self._clients = Clients()
        self._users: list[LineClient] = []
        self._looked_at = [0, 0]
        self._sent: list[float] = []
        self._read: list[dict[int, float]] = [{}, {}]
        self._peak = 0
        self._ending = threading.Event()
        self._trouble: BaseException | None = None
        self._thread = threading.Thread(target=self._talk, name="company", daemon=True)

    def __enter__(self) -> Self:
        self._users = [user(self._clients, self.server, nick, ROOM) for nick in NICKS]
        self._thread.start()
        self._alone = self._quiet()
        return self

    def __exit__(self, *exc: object) -> None:
        self._ending.set()
        self._thread.join()
        self._clients.close()

    @property
    def lines(self) -> list[str]:
        """What the first of the two has read so far."""
        return self._users[0].lines

    def sees(self, pattern: str, timeout: float = 10.0) -> str:
        """Wait until one of the two has read such a line, and return it."""

        def found() -> str | None:
            return next((line for line in self.lines[::-1] if re.search(pattern, line)), None)

        return eventually_blocking(found, timeout, f"{NICKS[0]} has no line with {pattern!r}")

    @contextmanager
    def undisturbed(self) -> Iterator[Seen]:
        """Go on, and then assert that the server lives and that the two noticed nothing.

        Nothing: all they said has come to both, in time, without a control character; and the
        server's memory has not grown by what a hostile client may not make it keep.
        """
        first, began, memory = len(self._sent), cpu_seconds(self.server), self.server.rss()
        at = [reader.raw.rindex(b"\n") + 1 for reader in self._users]
        elsewhere = self.witness.measuring() if self.witness else lambda: 0.0
        seen = Seen()
        self._peak = memory
        yield seen
        self._wait_for(max(first + FEWEST, len(self._sent)))
        seen.growth = self._peak - memory
        seen.cpu = cpu_seconds(self.server) - began
        seen.delays = self._delays(first)
        for reader, start in zip(self._users, at, strict=True):
            text = reader.raw[start : reader.raw.rindex(b"\n") + 1].decode().replace("\r\n", "")
            found = _NEVER_SHOWN.search(text)
            assert not found, ascii(text[max(0, found.start() - 80) : found.end() + 80])
        delay, alone = worst(seen.delays), max(self._alone, elsewhere())
        if delay >= MOST_DELAY:
            alone = max(alone, self._quiet())
        assert delay < max(MOST_DELAY, 5 * alone), (
            f"p99 is {delay * 1000:.0f} ms; without a hostile client it is {alone * 1000:.0f}"
        )
        assert seen.growth < MOST_GROWTH, f"{seen.growth >> 20} MiB more"
        print(
            f"p99 {delay * 1000:.1f} ms (alone {alone * 1000:.1f}) of {len(seen.delays)},"
            f" {seen.growth / (1 << 20):+.1f} MiB, {seen.cpu:.2f} s of CPU"
        )

    def measuring(self) -> Callable[[], float]:
        """Begin to measure; what is returned tells the 99th percentile since then."""
        first = len(self._sent)
        return lambda: worst(self._delays(first))

    def _quiet(self) -> float:
        first = len(self._sent)
        self._wait_for(first + FEWEST)
        return worst(self._delays(first))

    def _delays(self, first: int) -> list[float]:
        until = min(map(len, self._read))
        return [
            read[number] - self._sent[number]
            for read in self._read
            for number in range(first, until)
        ]

    def _wait_for(self, count: int) -> None:
        def all_read() -> bool:
            assert self.server.running, self.server.log_tail()
            assert self._trouble is None, self._trouble
            return min(map(len, self._read)) >= count

        eventually_blocking(all_read, 20.0, lambda: f"{count} sent, {[*map(len, self._read)]} read")

    def _talk(self) -> None:
        try:
            due = time.monotonic()
            while not self._ending.is_set():
                for talker in self._users:
                    due += PERIOD / len(self._users)
                    talker.send_line(f"send <{len(self._sent)}>")
                    self._sent.append(time.monotonic())
                    while (left := due - time.monotonic()) > 0:
                        self._clients.pump(left)
                        self._look()
                self._peak = max(self._peak, self.server.rss())
        except BaseException as error:
            self._trouble = error

    def _look(self) -> None:
        for index, reader in enumerate(self._users):
            assert not reader.ended, f"{NICKS[index]} was cut off: {reader.lines[-3:]}"
            new = reader.received[self._looked_at[index] :]
            self._looked_at[index] += len(new)
            for line in new:
                if found := _ID.search(line.text):
                    self._read[index][int(found[1])] = line.at


def cpu_seconds(server: DisroomProcess) -> float:
    """What an instance has used of the processor so far; Linux only."""
    with open(f"/proc/{server.pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0]) / 1e9
