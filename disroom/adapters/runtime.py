"""What the domain needs of the event loop, on Twisted."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from disroom.chat.interfaces import IRuntime, ISignal

IDS_AT_ONCE = 256
_ID_BYTES = 18
"""24 characters, of which an id has 22."""


@implementer(ISignal)
class Signal:
    """Something that happens once."""

    def __init__(self) -> None:
        self.fired = False
        self._waiting: list[Deferred[None]] = []

    def fire(self) -> None:
        """Let it happen: those who wait go on at once, in the order in which they came."""
        self.fired = True
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def wait(self) -> Deferred[None]:
        """Return when it has happened."""
        deferred: Deferred[None] = Deferred()
        if self.fired:
            deferred.callback(None)
        else:
            self._waiting.append(deferred)
        return deferred


@implementer(IRuntime)
class TwistedRuntime:
    """The system's clock that nobody sets, Deferreds, and a reactor's timers.

    Not to be shared by processes: ids are made in advance.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._ids: list[str] = []

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        """Call something once; the reactor logs its failure."""
        self._reactor.callLater(seconds, do)

    def spawn(self, work: Coroutine[Any, Any, None], what: str) -> None:
        """Run a coroutine as far as it goes, and the rest when it can; log its failure."""
        Deferred.fromCoroutine(work).addErrback(
            lambda failure: self._log.failure("Failed while {what}", failure, what=what)
        )

    def signal(self) -> Signal:
        """Make a signal that has not fired."""
        return Signal()

    def fresh_id(self) -> str:
        """Make an id of 132 random bits: 22 URL-safe characters."""
        if not self._ids:
            # Asking the system for each costs a tenth of what a stored message does.
            random = secrets.token_urlsafe(IDS_AT_ONCE * _ID_BYTES)
            self._ids = [random[at : at + 22] for at in range(0, len(random), 24)]
        return self._ids.pop()
