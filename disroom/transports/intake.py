"""Whether one client is read: not while anything holds it back."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from disroom.transports.lane import Pace

TELNET_BYTES = 16384
"""Bytes of telnet commands a second, and at once.

They make no lines, so no limit on commands sees them. A million of them a second takes a core, and
whoever leans on Ctrl-C sends 200.
"""


class Intake:
    """Pauses a client's transport and reads it on, for two reasons that know nothing of each other.

    Args:
        reactor: Waits.
        read: Told False to read no further, and True to read on.
    """

    def __init__(self, reactor: IReactorTime, read: Callable[[bool], None]) -> None:
        self._reactor = reactor
        self._read = read
        self._pace = Pace(reactor, TELNET_BYTES, TELNET_BYTES)
        self._crowded = False
        self._resting: IDelayedCall | None = None
        self._stopped = False

    def crowd(self, crowded: bool) -> None:
        """Hold the client back, or no more, since too much waits to be carried out."""
        held = self._held
        self._crowded = crowded
        self._changed(held)

    def took_telnet(self, size: int) -> None:
        """Count bytes that were telnet's, and hold the client back for a while if it is too many.

        They have been answered by then, so that an answer is late only for what follows a flood.
        """
        if not size or self._stopped:
            return
        delay = self._pace.wait(size)
        if delay and not self._resting:
            held = self._held
            self._resting = self._reactor.callLater(delay, self._rested)
            self._changed(held)

    def stop(self) -> None:
        """Change nothing any more. Idempotent."""
        self._stopped = True
        if self._resting:
            self._resting.cancel()
            self._resting = None

    @property
    def _held(self) -> bool:
        return self._crowded or self._resting is not None

    def _rested(self) -> None:
        self._resting = None
        self._changed(True)

    def _changed(self, before: bool) -> None:
        if self._held is not before and not self._stopped:
            self._read(before)
