"""Who talks to whom: the shapes that are measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """Rooms, the members of each, and who sends.

    Attributes:
        senders: Of the members of each room; the first so many.
        window: Messages that a sender may have under way. One ends when its last copy has arrived,
            which is the only rule that treats every server alike.
    """

    rooms: int
    members: int
    senders: int = 1
    window: int = 1

    def __str__(self) -> str:
        return f"{self.rooms} x {self.members}, {self.senders} x window {self.window}"


FANOUT = (
    Shape(1, 100, 1, 1),
    Shape(1, 100, 10, 16),
    Shape(1, 1000, 4, 4),
    Shape(100, 10, 1, 4),
)
"""One lone message after the other; a lively room; a huge one; many small ones."""

RATED = Shape(10, 20, 20)
"""Latency at a fixed rate: everybody talks in turn."""

STORING = Shape(50, 1)
"""Fifty people, each waiting for its receipt, with nobody else to deliver to."""

HEARD = Shape(50, 5)
"""The same with four others in each room: what a delivery takes in such company."""

MEMBERS = (10, 100, 1000)
ROOMS = (1, 10, 100)
INSTANCES = (1, 2, 4)
"""How cost grows."""

CONNECTIONS = {
    "10,000 in rooms of 20": Shape(500, 20),
    "10,000 in one room": Shape(1, 10_000),
}
"""As many as an instance is to take, of which most have nothing to say."""
