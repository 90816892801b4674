"""Start and stop, in order, each under one deadline."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import deferLater
from twisted.logger import Logger

from disroom.rounds import Rounds

STOP_SECONDS = 4.5
"""All of stopping; a stop that hangs would hang twistd, which ignores a second SIGTERM."""


class StartError(Exception):
    """The service cannot start; the message is one line and says what to do."""


class Part(Protocol):
    """Something that is started before what needs it and stopped after."""

    async def start(self) -> object:
        """Return when it works; raise an exception with a clear message when it will not."""

    async def stop(self) -> None:
        """Return when it is stopped; called once, also after a failed start."""


@dataclass(frozen=True, slots=True)
class NamedPart:
    """A part of the service, named for the log.

    Attributes:
        expected: Exceptions that `Part.start` raises with a message for the operator.
        seconds: How long its stop may take at the most.
    """

    name: str
    part: Part
    expected: tuple[type[Exception], ...] = ()
    seconds: float = 2.0


class DisroomService(Service):
    """The whole instance.

    Args:
        parts: In the order of starting; stopped the other way round.
        reactor: Stopped where a start fails.
        ready: Called with True once all parts work, and with False when stopping begins.
        foreground: Whether a failed start can still set the exit status.
        adopted: Called with the application that the service becomes a part of.
        cannot_start: Called, in place of the log, with the reason why it cannot.
        stop_seconds: All of stopping.
    """

    name = "disroom"
    _log = Logger()

    def __init__(
        self,
        parts: Sequence[NamedPart],
        *,
        reactor: Any,
        ready: Callable[[bool], None],
        foreground: bool = True,
        adopted: Callable[[Any], None] = lambda parent: None,
        cannot_start: Callable[[str], None] | None = None,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._parts = parts
        self._reactor = reactor
        self._ready = ready
        self._foreground = foreground
        self._adopted = adopted
        self._cannot_start = cannot_start or self._log_reason
        self._stop_seconds = stop_seconds
        self._started: list[NamedPart] = []
        self._starting: Deferred[None] | None = None
        self._given_up = False

    def setServiceParent(self, parent: Any) -> None:
        """Join the application; the last moment to say where its log goes."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._adopted(parent)

    def startService(self) -> None:
        """Begin to start; a failure stops the reactor."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._failed)

    async def _start(self) -> None:
        await deferLater(self._reactor, 0)  # asyncio's loop is not running yet
        for part in self._parts:
            self._started.append(part)
            try:
                await part.part.start()
            except part.expected as error:
                raise StartError(f"{part.name}: {error}") from error
        self._starting = None
        self._ready(True)

    def _failed(self, failure: Any) -> None:
        self._starting = None
        if self._given_up:  # what is cancelled may fail with anything
            return
        if failure.check(StartError):
            self._cannot_start(failure.getErrorMessage())
        else:
            self._log.failure("Cannot start", failure)
        if self._foreground:
            exit_with_failure()
        with suppress(ReactorNotRunning):  # a signal came first
            self._reactor.stop()

    def _log_reason(self, reason: str) -> None:
        self._log.critical("Cannot start: {reason}", reason=reason)

    def stopService(self) -> Deferred[None]:
        """Stop everything that was started, within `stop_seconds`."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._given_up = True
        if self._starting:
            self._starting.cancel()
        self._ready(False)
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        deadline = self._reactor.seconds() + self._stop_seconds
        for part in reversed(self._started):
            # Without time left a part is still told to stop, and what it does at once is done.
            seconds = min(part.seconds, max(deadline - self._reactor.seconds(), 0.0))
            try:
                await _within(part.part.stop(), seconds, self._reactor)
            except TimeoutError:
                self._log.warn("{part}: not stopped in time", part=part.name)
            except Exception:
                self._log.failure("{part} did not stop cleanly", part=part.name)


@dataclass(frozen=True, slots=True)
class Steps:
    """A part that takes no time: one call to start it, one to stop it."""

    begin: Callable[[], None]
    end: Callable[[], None]

    async def start(self) -> None:
        """Begin."""
        self.begin()

    async def stop(self) -> None:
        """End."""
        self.end()


class Periodic:
    """A part that does something every so often; see `Rounds`.

    Args:
        name: For the log.
        seconds: From the start of one round to that of the next.
        work: One round.
    """

    def __init__(
        self, reactor: Any, name: str, seconds: float, work: Callable[[], Awaitable[None] | None]
    ) -> None:
        self._seconds = seconds
        self._rounds = Rounds(reactor, name, work)

    async def start(self) -> None:
        """Begin with the first round."""
        self._rounds.start(self._seconds, now=True)

    async def stop(self) -> None:
        """Begin no further round."""
        self._rounds.stop()


async def _within(work: Awaitable[None], seconds: float, reactor: Any) -> None:
    async def run() -> None:
        await work

    await Deferred.fromCoroutine(run()).addTimeout(seconds, reactor)


def exit_with_failure() -> None:
    """Let the process end with status 1: twistd exits with 0 after any stop of the reactor."""

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    atexit.register(leave)
