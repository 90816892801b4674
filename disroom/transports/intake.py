"""Whether one client is read: not while anything holds it back.

To read less is what slows a client down, but it hides what only reading shows: telnet's commands,
which are to be answered at once, and that the client is gone. So

1. while what was read waits to be carried out, reading goes on until LOOK_AHEAD bytes wait besides;
2. a flood of what asks for nothing (telnet's commands, WebSocket's pings), which nothing else
   bounds, ends the connection after FLOOD_SECONDS.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from disroom.countdown import EXCUSED, standstills
from disroom.transports.lane import Pace

LOOK_AHEAD = 65536
"""Bytes without telnet that may wait to be cut into lines when more is read."""

OVERHEAD_BYTES = 16384
"""Bytes a second, and at once, that ask for nothing: telnet's commands, WebSocket's pings.

They make no requests, so no limit on those sees them. A million of them a second takes a core, and
whoever leans on Ctrl-C in telnet sends 200.
"""

FLOOD_SECONDS = 10.0
"""For so long a client may send more of them than that, without a second's pause."""

_PAUSE_SECONDS = 1.0


class Intake:
    """Pauses a client's transport and reads it on, for two reasons that know nothing of each other.

    Args:
        reactor: Waits.
        read: Told False to read no further, and True to read on.
        flooded: Told once that too much asked for nothing, for too long.
    """

    __slots__ = (
        "_due",
        "_flood_began",
        "_flooded",
        "_full",
        "_late",
        "_pace",
        "_reactor",
        "_read",
        "_rested_at",
        "_resting",
        "_stopped",
    )

    def __init__(
        self,
        reactor: IReactorTime,
        read: Callable[[bool], None],
        flooded: Callable[[], None],
    ) -> None:
        self._reactor = reactor
        self._read = read
        self._flooded = flooded
        self._pace: Pace | None = None  # few clients send any
        self._full = False
        self._late = 0
        self._resting: IDelayedCall | None = None
        self._flood_began = self._rested_at = self._due = reactor.seconds()
        self._stopped = False

    def waits(self, size: int) -> None:
        """Hold the client back while so many bytes wait, if these are too many."""
        full = size >= LOOK_AHEAD
        if full is not self._full:
            held = self.held
            self._full = full
            self._changed(held)

    def took_overhead(self, size: int) -> None:
        """Count bytes that asked for nothing, and hold the client back for a while for too many.

        They have been answered by then, so that an answer is late only for what follows a flood.
        """
        if not size or self._stopped:
            return
        if self._pace is None:
            self._pace = Pace(self._reactor, OVERHEAD_BYTES, OVERHEAD_BYTES)
        delay = self._pace.wait(size)
        if not delay or self._resting:
            return
        now = self._reactor.seconds()
        if now > self._rested_at + _PAUSE_SECONDS:
            self._flood_began = now
        elif now >= self._flood_began + FLOOD_SECONDS:
            self._flooded()
            return
        held = self.held
        self._due = now + delay
        self._resting = self._reactor.callLater(delay, self._rested)
        self._changed(held)

    def stop(self) -> None:
        """Change nothing any more. Idempotent."""
        self._stopped = True
        if self._resting:
            self._resting.cancel()
            self._resting = None

    @property
    def held(self) -> bool:
        """Whether nothing is read just now."""
        return self._full or self._resting is not None

    def _rested(self) -> None:
        self._resting = None
        self._rested_at = self._reactor.seconds()
        self._late = standstills(self._late, self._due, self._rested_at)
        if 0 < self._late <= EXCUSED:
            self._flood_began = self._rested_at  # what came meanwhile comes at once
        self._changed(True)

    def _changed(self, before: bool) -> None:
        if self.held is not before and not self._stopped:
            self._read(before)
