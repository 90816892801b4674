"""How Twisted's reactor reads on the loop that it is given, and how it keeps the time."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import capturedLogs
from twisted.python import context
from twisted.python.failure import Failure
from twisted.python.log import ILogContext

from disroom.eventloop import EventLoop


class Reader(Protocol):
    """What is connected.

    Attributes:
        reads: What is done each time.
        lost: Why the reactor gave it up.
        loses: What is done then.
    """

    def __init__(self) -> None:
        self.reads: Callable[[], None] = lambda: None
        self.lost: list[Failure] = []
        self.loses: Callable[[], None] = lambda: None

    def dataReceived(self, data: bytes) -> None:
        """Something has come."""
        self.reads()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The reactor gives it up."""
        self.lost.append(reason)
        self.loses()


class Stage:
    """A loop with a reactor and a connection on it."""

    def __init__(self) -> None:
        self.loop = EventLoop()
        self.reactor: Any = AsyncioSelectorReactor(self.loop)
        self.here, self.there = socket.socketpair()
        self.reader = Reader()
        factory: Any = Factory.forProtocol(lambda: self.reader)
        self.reactor.adoptStreamConnection(self.here.fileno(), socket.AF_UNIX, factory)

    def send(self) -> None:
        """Send something and have it read, within a second."""
        read: asyncio.Future[None] = self.loop.create_future()
        reads = self.reader.reads

        def note() -> None:
            self.loop.call_soon(read.set_result, None)
            reads()

        self.reader.reads = note
        self.there.send(b"x")
        self.run(read)
        self.reader.reads = reads

    def run(self, until: asyncio.Future[Any]) -> Any:
        """Run the loop until then, a second at most; beside the tests' own, so in a thread."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self.loop.run_until_complete, asyncio.wait_for(until, 1)).result()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """The stage."""
    stage = Stage()
    with closing(stage.loop), stage.here, stage.there:
        yield stage
        stage.reactor.removeAll()


def test_a_connection_is_read_without_a_log_context(stage: Stage) -> None:
    """What costs more than all else of the reactor is left out, each time."""
    prefixes = []
    stage.reader.reads = lambda: prefixes.append(context.get(ILogContext).get("system"))
    stage.send()
    stage.send()
    assert prefixes == ["-", "-"]


def test_a_connection_whose_reading_fails_is_given_up(stage: Stage) -> None:
    """It is told why, and so is the log."""

    def fail() -> None:
        raise RuntimeError("broken")

    stage.reader.reads = fail
    with capturedLogs() as logs:
        stage.send()
    assert [reason.type for reason in stage.reader.lost] == [RuntimeError]
    assert [log["log_failure"].type for log in logs] == [RuntimeError]


def test_a_failure_to_give_a_connection_up_is_logged(stage: Stage) -> None:
    """Nothing that goes wrong with a connection is passed over in silence."""

    def fail() -> None:
        raise RuntimeError("broken")

    def fail_again() -> None:
        raise KeyError("worse")

    stage.reader.reads = fail
    stage.reader.loses = fail_again
    with capturedLogs() as logs:
        stage.send()
    assert [log["log_failure"].type for log in logs] == [RuntimeError, KeyError]


def test_other_readers_are_called_as_asyncio_calls_them(stage: Stage) -> None:
    """The loop is asyncio's in everything else."""
    here, there = socket.socketpair()
    with here, there:
        read: asyncio.Future[str] = stage.loop.create_future()
        stage.loop.add_reader(here, read.set_result, "called")
        there.send(b"x")
        assert stage.run(read) == "called"
        stage.loop.remove_reader(here)


@pytest.mark.parametrize("hours", [-1, 1])
def test_timers_heed_no_setting_of_the_clock(hours: int) -> None:
    """Whoever sets the machine's clock neither holds up what is due nor has it done too early."""
    program = f"""
import time
true = time.time
time.time = lambda: true() + put
put = 0
from disroom.eventloop import install_reactor
install_reactor()
from twisted.internet import reactor
def end(what):
    print(what)
    reactor.stop()
reactor.callLater(0.2, end, "in time")
reactor.callLater(60, print, "too early")
put = {hours} * 3600
reactor.callLater(0, lambda: None)
reactor.run()
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False
    )
    assert (ran.stdout, ran.stderr) == ("in time\n", "")
