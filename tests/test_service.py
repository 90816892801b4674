"""The order of starting and stopping, and its deadlines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure

from disroom.service import STOP_SECONDS, DisroomService, NamedPart, Periodic, Steps


class Reactor(Clock):
    """Time by hand; `stopped` says whether the reactor was."""

    stopped = False

    def stop(self) -> None:
        """Take note of it."""
        self.stopped = True


class Refused(Exception):
    """What a part says when it cannot start."""


class FakePart:
    """A part that notes what is asked of it, and waits where it is told to."""

    def __init__(
        self,
        name: str,
        history: list[str],
        *,
        start: Callable[[], Deferred[None]] | None = None,
        stop: Callable[[], Deferred[None]] | None = None,
    ) -> None:
        self._name = name
        self._history = history
        self._start = start
        self._stop = stop

    async def start(self) -> None:
        """Start."""
        self._history.append(f"start {self._name}")
        if self._start:
            await self._start()

    async def stop(self) -> None:
        """Stop."""
        self._history.append(f"stop {self._name}")
        if self._stop:
            await self._stop()


class World:
    """A service whose parts, and whose ready notifications, write one history."""

    def __init__(self) -> None:
        self.reactor = Reactor()
        self.history: list[str] = []
        self.parts: list[NamedPart] = []
        self.service = DisroomService(
            self.parts,
            reactor=self.reactor,
            ready=lambda ready: self.history.append("ready" if ready else "stopping"),
            foreground=False,
        )

    def part(self, name: str, **does: Any) -> None:
        """Add a part."""
        self.parts.append(NamedPart(name, FakePart(name, self.history, **does), (Refused,)))

    def start(self) -> None:
        """Start, as far as it goes."""
        self.service.startService()
        self.reactor.advance(0)

    def stop(self) -> float:
        """Stop; the seconds that it took, at the most 60."""
        stopped = self.service.stopService()
        begun = self.reactor.seconds()
        while not stopped.called and self.reactor.seconds() < begun + 60:
            self.reactor.advance(0.1)
        return self.reactor.seconds() - begun


def failing(error: Exception) -> Callable[[], Deferred[None]]:
    """Return what fails like this."""

    def fail() -> Deferred[None]:
        raise error

    return fail


@contextmanager
def logged() -> Iterator[list[str]]:
    """Collect what is logged above info, as `level text`."""
    texts: list[str] = []
    with capturedLogs() as events:
        yield texts
    for event in events:
        if event["log_level"] > LogLevel.info:
            texts.append(f"{event['log_level'].name} {formatEvent(event)}")


def test_order() -> None:
    """Each part is there before what needs it; stopping begins with the news of it."""
    world = World()
    for name in ("log", "presence", "listeners"):
        world.part(name)
    world.start()
    assert world.history == ["start log", "start presence", "start listeners", "ready"]
    world.history.clear()
    assert world.stop() == 0
    assert world.history == ["stopping", "stop listeners", "stop presence", "stop log"]


def test_nothing_is_started_before_the_reactor_runs() -> None:
    """Asyncio's loop does not run yet in startService."""
    world = World()
    world.part("log")
    world.service.startService()
    assert world.history == []


def test_a_part_that_cannot_start() -> None:
    """Its reason is one line, nothing after it is started, and everything before it stopped."""
    world = World()
    world.part("log")
    world.part("presence", start=failing(Refused("Redis: wrong password")))
    world.part("listeners")
    with logged() as texts:
        world.start()
    assert texts == ["critical Cannot start: presence: Redis: wrong password"]
    assert world.reactor.stopped
    world.stop()
    assert world.history == ["start log", "start presence", "stopping", "stop presence", "stop log"]


def test_a_part_that_breaks() -> None:
    """What nobody expected is logged whole, and ends the start as well."""
    world = World()
    world.part("log", start=failing(ZeroDivisionError("oops")))
    with logged() as texts:
        world.start()
    assert len(texts) == 1 and texts[0].startswith("critical Cannot start")
    assert world.reactor.stopped


def test_a_stop_during_the_start() -> None:
    """What is under way is given up, and is not called a failure."""
    world = World()
    world.part("log")
    world.part("presence", start=Deferred)
    world.part("listeners")
    with logged() as texts:
        world.start()
        assert world.stop() == 0
    assert texts == []
    assert world.history == ["start log", "start presence", "stopping", "stop presence", "stop log"]
    assert not world.reactor.stopped  # it stops already


def test_a_part_that_does_not_stop() -> None:
    """It is given up after 2 s, and the others still stop in order."""
    world = World()
    world.part("log")
    world.part("presence", stop=Deferred)
    world.part("listeners")
    world.start()
    world.history.clear()
    with logged() as texts:
        assert world.stop() == pytest.approx(2.0, abs=0.2)
    assert world.history == ["stopping", "stop listeners", "stop presence", "stop log"]
    assert texts == ["warn presence: not stopped in time"]


def test_many_parts_that_do_not_stop() -> None:
    """All together they have 4.5 s; each is told to stop nevertheless."""
    world = World()
    for name in "abcdef":
        world.part(name, stop=Deferred)
    world.start()
    with logged():
        assert world.stop() == pytest.approx(STOP_SECONDS, abs=0.7)
    assert [entry for entry in world.history if entry.startswith("stop ")] == [
        f"stop {name}" for name in "fedcba"
    ]


def test_a_part_that_fails_to_stop() -> None:
    """The others are stopped all the same."""
    world = World()
    world.part("log")
    world.part("presence", stop=failing(ZeroDivisionError("oops")))
    world.start()
    with logged() as texts:
        assert world.stop() == 0
    assert world.history[-2:] == ["stop presence", "stop log"]
    assert texts == ["critical presence did not stop cleanly"]


def test_steps() -> None:
    """A part of two calls is begun and ended."""
    history: list[str] = []
    steps = Steps(lambda: history.append("begin"), lambda: history.append("end"))
    Deferred.fromCoroutine(steps.start())
    Deferred.fromCoroutine(steps.stop())
    assert history == ["begin", "end"]


def test_periodic_work() -> None:
    """Rounds do not overlap, one that fails does not end them, and a stop does."""
    reactor = Reactor()
    rounds: list[Deferred[None]] = []

    async def work() -> None:
        rounds.append(Deferred())
        await rounds[-1]

    periodic = Periodic(reactor, "The round", 1.0, work)
    Deferred.fromCoroutine(periodic.start())
    reactor.pump([1.0] * 3)
    assert len(rounds) == 1
    with logged() as texts:
        rounds[0].errback(Failure(ZeroDivisionError("oops")))
    assert texts == ["critical The round failed"]
    reactor.advance(1.0)
    assert len(rounds) == 2
    rounds[1].callback(None)
    Deferred.fromCoroutine(periodic.stop())
    Deferred.fromCoroutine(periodic.stop())
    reactor.pump([1.0] * 3)
    assert len(rounds) == 2
