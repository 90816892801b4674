"""Talk in the rooms of a load: as fast as windows allow, or at a fixed rate; and what it costs."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.cores import cpu_seconds
from benchmarks.dialects import text
from benchmarks.load import Load
from benchmarks.room_stream import WrongDelivery

DRAIN_SECONDS = 20.0
AFTERWARDS_SECONDS = 0.1
"""How long something that must not come is waited for."""

SPIN_SECONDS = 0.0015
"""epoll waits for whole milliseconds; the rest of a wait is spun."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured between warming up and draining.

    Attributes:
        cpu: Seconds of CPU that the servers watched have used.
        busy: Percent of its core that the generator used.
        waits: Seconds from the due time of a message to each of its deliveries, sorted; empty
            where messages are not sent at due times.
    """

    seconds: float
    messages: int
    deliveries: int
    cpu: float
    busy: float
    waits: tuple[float, ...] = ()

    @property
    def cpu_us_per_delivery(self) -> float:
        """Microseconds of the servers' CPU."""
        return 1e6 * self.cpu / self.deliveries if self.deliveries else float("nan")

    @property
    def cpu_us_per_message(self) -> float:
        """Microseconds of the servers' CPU."""
        return 1e6 * self.cpu / self.messages if self.messages else float("nan")


@dataclass(frozen=True, slots=True)
class _Mark:
    at: float
    own: float
    cpu: float
    deliveries: int


class Traffic:
    """Sends in a load's rooms, and checks that everything sent arrives everywhere, once, in order.

    Args:
        load: Its rooms are entered and quiet.
        pids: The servers whose CPU is counted.
    """

    def __init__(self, load: Load, pids: Sequence[int]) -> None:
        self._load = load
        self._pids = pids
        self._sent = [[0] * load.shape.senders for _ in load.rooms]

    def full_speed(self, warm_up: float, seconds: float) -> Cost:
        """Keep every sender's window full.

        Raises:
            WrongDelivery: Something was lost, doubled or out of order.
        """
        load = self._load
        with _undisturbed():
            window = range(load.shape.window)
            for room in range(load.shape.rooms):
                self._say(room, [s for _ in window for s in range(load.shape.senders)])
            self._answer_until(time.perf_counter() + warm_up)
            before, messages = self._mark(), self._total()
            self._answer_until(before.at + seconds)
            after, messages = self._mark(), self._total() - messages
            self._drain()
        return self._cost(before, after, messages)

    def at_rate(
        self,
        rate: float,
        warm_up: float,
        seconds: float,
        meanwhile: Callable[[float], bool] | None = None,
    ) -> Cost:
        """Send so many messages a second, whatever comes back; room after room, then the senders.

        A message sent late counts from when it was due.

        Args:
            rate: How many.
            warm_up: For how long nothing is measured.
            seconds: For how long it is then, at the most.
            meanwhile: Does something else, and waits: for so many seconds at the most, and no
                longer than until this load can be attended to. When it returns True, no more is
                sent.

        Raises:
            WrongDelivery: Something was lost, doubled or out of order.
        """
        load = self._load
        due_at: dict[tuple[int, int, int], float] = {}
        waits: list[float] = []
        rooms = {id(stream): room for room, stream in enumerate(load.streams)}
        load.received = []

        def note() -> None:
            assert load.received is not None
            for at, stream, member, start in load.received:
                room = rooms[id(stream)]
                for sender, seq in stream.between(start, stream.positions[member]):
                    waits.append(at - due_at[room, sender, seq])
            load.received.clear()

        with _undisturbed():
            begin = time.perf_counter()
            before = self._mark()
            warm = int(rate * warm_up)
            over, number = False, 0
            while not over and number < int(rate * (warm_up + seconds)):
                due = begin + number / rate
                while (left := due - time.perf_counter()) > 0:
                    wait = max(0.0, left - SPIN_SECONDS)
                    if meanwhile is not None:
                        over = meanwhile(wait)
                        wait = 0.0
                    load.pump(wait)
                    note()
                if number == warm:
                    before = self._mark()
                    waits.clear()
                room, sender = number % load.shape.rooms, number // load.shape.rooms
                sender %= load.shape.senders
                due_at[room, sender, self._sent[room][sender]] = due
                self._say(room, [sender])
                number += 1
            after = self._mark()
            self._drain(note)
        load.received = None
        return self._cost(before, after, number - warm, tuple(sorted(waits)))

    def _say(self, room: int, senders: Iterable[int]) -> None:
        """Have these senders say their next message; one that is there twice says two."""
        load, name, sent = self._load, self._load.rooms[room], self._sent[room]
        pieces: dict[int, list[bytes]] = {}
        for sender in senders:
            said = load.dialect.say(name, text(sender, sent[sender]))
            sent[sender] += 1
            pieces.setdefault(sender, []).append(said)
        for sender, said_by_it in pieces.items():
            load.send(load.sender(room, sender), b"".join(said_by_it))

    def _answer_until(self, deadline: float) -> None:
        """Replace each message that everybody has by another of its sender."""
        load = self._load
        streams = load.streams
        while (left := deadline - time.perf_counter()) > 0:
            for room in load.pump(min(left, 0.1)):
                completed = streams[room].completed()
                if completed:
                    self._say(room, [sender for sender, _ in completed])

    def _drain(self, note: Callable[[], None] = lambda: None) -> None:
        load = self._load
        deadline = time.perf_counter() + DRAIN_SECONDS
        while not self._all_there():
            load.pump(0.01)
            note()
            if time.perf_counter() > deadline:
                raise WrongDelivery(
                    f"{load.dialect.name}, {load.shape}: {self._total()} messages were sent, and "
                    f"not all came within {DRAIN_SECONDS:g} s"
                )
        quiet = time.perf_counter() + AFTERWARDS_SECONDS
        while time.perf_counter() < quiet:
            load.pump(0.01)
        if not self._all_there():
            raise WrongDelivery(f"{load.dialect.name}, {load.shape}: more came than was sent")

    def _all_there(self) -> bool:
        return all(
            stream.check_end(sent)
            for stream, sent in zip(self._load.streams, self._sent, strict=True)
        )

    def _total(self) -> int:
        return sum(map(sum, self._sent))

    def _mark(self) -> _Mark:
        deliveries = sum(stream.deliveries for stream in self._load.streams)
        cpu = cpu_seconds(self._pids)
        return _Mark(time.perf_counter(), time.process_time(), cpu, deliveries)

    @staticmethod
    def _cost(before: _Mark, after: _Mark, messages: int, waits: tuple[float, ...] = ()) -> Cost:
        seconds = after.at - before.at
        return Cost(
            seconds=seconds,
            messages=messages,
            deliveries=after.deliveries - before.deliveries,
            cpu=after.cpu - before.cpu,
            busy=100 * (after.own - before.own) / seconds,
            waits=waits,
        )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of sorted values that so many percent of them do not exceed."""
    if not values:
        return float("nan")
    rank = -(-len(values) * percent // 100)
    return values[max(0, min(len(values), int(rank)) - 1)]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep the garbage collector from stopping the generator."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
