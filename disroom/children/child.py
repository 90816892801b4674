"""A child process: its start, its output, its end."""

import contextlib
import os
import resource
import signal
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.interfaces import (
    IProcessTransport,
    IReactorProcess,
    IReactorTime,
)
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import Interface

Guard = Literal["pdeathsig", "pipe"]

SHIM = Path(__file__).with_name("shim.py")
TERM_SECONDS = 2.0
KILL_SECONDS = 1.0  # after SIGKILL only a process stuck in the kernel takes any time
KEPT_LINES = 20
LONGEST_LINE = 1000  # bytes

log = Logger()


class IChildReactor(IReactorProcess, IReactorTime, Interface):
    """What children need of the reactor."""


def default_guard() -> Guard:
    """Return the way to kill orphans that fits this system."""
    return "pdeathsig" if sys.platform == "linux" else "pipe"


def spawn(
    reactor: IReactorProcess,
    child: "Child",
    command: Sequence[str],
    *,
    descriptors: Mapping[int, int],
    guard: Guard,
    env: Mapping[str, str] | None = None,
) -> None:
    """Start a program through the shim, in a session of its own.

    Call it from the thread that lives as long as the process does, the reactor's: to the kernel the
    thread is the parent.

    Args:
        reactor: Spawns the process.
        child: What becomes of it.
        command: The executable's path and its arguments.
        descriptors: What it has open besides its standard streams, and as which number.
        guard: How it is made to end with us.
        env: Its environment; by default `inherited_environment`.

    Raises:
        OSError: The system refuses another process.
    """
    _withhold_what_is_beyond_our_limit()
    reactor.spawnProcess(
        child,
        sys.executable,
        [sys.executable, "-I", "-S", str(SHIM), guard, str(os.getpid()), *command],
        env=inherited_environment() if env is None else env,
        childFDs={0: "w", 1: "r", 2: "r", **descriptors},
    )


def _withhold_what_is_beyond_our_limit() -> None:
    """Have children not inherit descriptors whose numbers our limit on open files does not allow.

    We have such where whoever started us opened them and lowered the limit then. Twisted has a
    child close all that it inherits, and to be told to close these glibc refuses the child: EBADF.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError):  # a system without /dev/fd
        for descriptor in map(int, os.listdir("/dev/fd")):
            if 0 <= limit <= descriptor:  # -1: no limit
                os.set_inheritable(descriptor, False)


def inherited_environment() -> dict[str, str]:
    """Return ours without our settings, which may hold credentials: /proc shows what it is."""
    return {key: value for key, value in os.environ.items() if not key.startswith("DISROOM_")}


class Child(ProcessProtocol):
    """A running, or ended, child process.

    Attributes:
        exit: How it ended, in words that follow its name; None while it runs.
        tail: The last lines it wrote to standard output and error.
    """

    transport: IProcessTransport

    def __init__(self, reactor: IChildReactor, name: str) -> None:
        self._reactor = reactor
        self._name = name
        self._waiting: list[Deferred[None]] = []
        self._partial = b""
        self.exit: str | None = None
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)

    @property
    def pid(self) -> int:
        """Its process id; 0 when it has ended."""
        return self.transport.pid or 0

    def ended(self) -> Deferred[None]:
        """Return a new Deferred that fires when it has ended and all its output has been read."""
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        if self.exit is None:
            self._waiting.append(waiting)
        else:
            waiting.callback(None)
        return waiting

    async def stop(self, patience: float = TERM_SECONDS) -> None:
        """End it: SIGTERM, and SIGKILL if it runs on.

        Args:
            patience: Seconds until the SIGKILL; a second later this returns in any case.
        """
        for name, seconds in (("TERM", patience), ("KILL", KILL_SECONDS)):
            with contextlib.suppress(ProcessExitedAlready):
                self.transport.signalProcess(name)
            with contextlib.suppress(TimeoutError):
                await self.ended().addTimeout(seconds, self._reactor)
                return
        log.error("{name}, process {pid}, does not end", name=self._name, pid=self.pid)

    def outReceived(self, data: bytes) -> None:
        """Keep the last lines."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-LONGEST_LINE:]
        for line in lines:
            text = line[-LONGEST_LINE:].decode(errors="replace").strip()
            if text:
                self.tail.append(text)

    errReceived = outReceived

    def processExited(self, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        """Let go of the guard, if there is one: it waits for the end of standard input."""
        self.transport.closeStdin()

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        """Tell all who wait."""
        self.outReceived(b"\n")
        self.exit = _in_words(reason.value)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)


def _in_words(reason: BaseException | None) -> str:
    match reason:
        case ProcessTerminated(signal=int(number)):
            return f"was ended by {signal.Signals(number).name}"
        case ProcessTerminated(exitCode=status):
            return f"ended with status {status}"
        case ProcessDone():
            return "ended with status 0"
    return f"ended: {reason}"
