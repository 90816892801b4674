"""What a transport is tried on: one instance of a chat in memory, and a clock moved by hand."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from disroom.chat.limits import Limits
from disroom.transports.connections import Connections
from disroom.transports.outbox import Flusher
from disroom.transports.reception import Reception
from tests.chat.world import Instance, World

TURN_SECONDS = 0.125
"""How long a turn of the loop takes at the most."""


class House:
    """A server's inside; each transport's tests add the way in.

    Args:
        most: Connections that there may be.
        per_address: From one address; 0 for no limit.
        limits: Of the instance.
        beside: A house of which this is another instance.
    """

    def __init__(
        self,
        *,
        most: int = 100,
        per_address: int = 0,
        limits: Limits | None = None,
        beside: House | None = None,
    ) -> None:
        self.clock = Clock()
        self.world: World = beside.world if beside else World(limits=limits)
        self.instance: Instance = self.world.two if beside else self.world.one
        self.connections = Connections(most, per_address)
        self.reception = Reception(
            self.clock,
            self.instance.hub,
            self.connections,
            Flusher(self.clock),
            "two" if beside else "one",
        )

    def turn(self, seconds: float = 0.0) -> None:
        """Let time go by."""
        self.world.runtime.time += seconds
        whole = int(seconds / TURN_SECONDS)
        self.clock.pump([TURN_SECONDS] * whole)
        self.clock.advance(seconds - whole * TURN_SECONDS)

    def stand_still(self, seconds: float) -> None:
        """Let time go by in which nothing is read, and nothing done that is due; then that is."""
        self.world.runtime.time += seconds
        self.clock.advance(seconds)


class FarEnd:
    """The client's side of a connection to a house.

    Args:
        house: Where to.
        factory: What serves it there.
        transport: What is in between.
    """

    def __init__(self, house: House, factory: Any, transport: StringTransport) -> None:
        self.house = house
        self.transport: Any = transport
        self.protocol: Any = factory.buildProtocol(None)
        self.protocol.makeConnection(transport)

    def type(self, *pieces: bytes) -> None:
        """Send bytes, a packet each."""
        for piece in pieces:
            self.protocol.dataReceived(piece)

    def lose(self) -> None:
        """Break off."""
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def paused(self) -> bool:
        """Whether the server reads no further."""
        return bool(self.transport.producerState == "paused")

    @property
    def closed(self) -> bool:
        """Whether the server has closed, or is about to when everything is read."""
        return bool(self.transport.disconnecting)
