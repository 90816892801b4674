"""A program run by a test: its log, its signals, its end."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from tests.eventually import eventually_blocking

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 5.0


class StartError(AssertionError):
    """A program ended, or did not answer in time, while it was waited for; has its log's tail."""


class Exit(NamedTuple):
    """How a program ended: its exit status (negative: the signal) and its output."""

    code: int
    output: str


def die_with_parent() -> Callable[[], None]:
    """Return a preexec_fn that has the child killed when its parent ends, however it ends.

    It also lets the child be interrupted, as a terminal would, where whoever started the tests, a
    shell in the background, say, has them ignore that.

    Linux only; elsewhere a killed test run leaves its children. To the kernel the parent is the
    *thread* that starts the child, so start children from the main thread.
    """
    if sys.platform != "linux":
        return lambda: None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork, where nothing can go wrong
    parent = os.getpid()

    def ask() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended between the fork and the request
            os._exit(1)

    return ask


class Child:
    """A child process with its output in a file: a synchronous thing, and a context manager.

    Subclasses define `start`, which calls `_launch` and then `_wait_ready`. A child dies with the
    test's process. It can be started again after it has ended; the log goes on in the same file.

    Args:
        name: Of the log file and in error messages.
        directory: Where the program runs and the log is; made if missing.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.directory = directory
        self.log = directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False
        self._log_start = 0  # the log's size at the latest start
        directory.mkdir(parents=True, exist_ok=True)

    def start(self) -> Self:
        """Start the program and wait until it is ready."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        if not self.running:
            self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the program, if it runs, and give back what it used; harmless when done twice."""
        self.stop()

    @property
    def pid(self) -> int:
        """The process id of the latest start."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it is started and has not ended (a paused one runs)."""
        return self._process is not None and self._process.poll() is None

    @property
    def answering(self) -> bool:
        """Whether it runs and is not paused."""
        return self.running and not self._paused

    def kill(self) -> None:
        """Send SIGKILL and wait for the end; harmless when it has ended."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_SECONDS)

    def terminate(self) -> None:
        """Send SIGTERM and do not wait."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal and do not wait."""
        os.kill(self.pid, number)

    def stop(self) -> None:
        """End it with SIGTERM, also when paused; with SIGKILL if it is not gone after 5 s."""
        if self._process is None or not self.running:
            return
        self.terminate()
        self.resume()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def restart(self) -> Self:
        """Stop it if it runs and start it again: same port, same data."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """Freeze it (SIGSTOP); when this returns, none of its threads runs any more."""
        os.kill(self.pid, signal.SIGSTOP)
        self._paused = True
        # WNOWAIT leaves an exit status, should it have ended instead, for Popen to collect.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Let a paused one go on; harmless when it is not paused or has ended."""
        self._paused = False
        if self.running:
            os.kill(self.pid, signal.SIGCONT)

    def wait_exit(self, timeout: float = 15.0) -> Exit:
        """Wait, `timeout` seconds at most, until it has ended by itself."""
        assert self._process is not None, f"{self.name} was never started"
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} still runs after {timeout} s:\n{self.log_tail()}"
            ) from None
        return Exit(code, self.output())

    def output(self) -> str:
        """What it has written to standard output and error since its latest start."""
        if not self.log.exists():
            return ""
        return self.log.read_bytes()[self._log_start :].decode(errors="replace")

    def log_tail(self, lines: int = 30) -> str:
        """Its output's last lines."""
        return "\n".join(self.output().splitlines()[-lines:])

    def rss(self) -> int:
        """Its resident memory in bytes; Linux only."""
        resident = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(resident) * os.sysconf("SC_PAGE_SIZE")

    def _launch(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        assert not self.running, f"{self.name} runs already"
        self._paused = False
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if env is None else {**os.environ, **env},
                # Safe beside a proxy's thread: it runs no code that could wait for a lock.
                preexec_fn=die_with_parent(),
            )

    def _wait_ready(self, answers: Callable[[], object], timeout: float = 15.0) -> None:
        """Wait until `answers()` is true; its OSErrors mean not yet. Failing, kill the program."""

        def ready_or_ended() -> bool:
            if not self.running:
                return True
            with contextlib.suppress(OSError):
                return bool(answers())
            return False

        try:
            eventually_blocking(ready_or_ended, timeout, f"{self.name} is not ready")
        except AssertionError as late:
            self.kill()
            raise StartError(f"{late}\n{self.log_tail()}") from None
        if not self.running:
            raise StartError(f"{self.name} ended: {self.wait_exit().code}\n{self.log_tail()}")
