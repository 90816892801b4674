"""What clients find: the instance that they come to, and what their listener asks of them."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from disroom.chat.hub import Hub
from disroom.transports.connections import Connections
from disroom.transports.outbox import Flusher


@dataclass(frozen=True, slots=True)
class Reception:
    """What all clients of an instance share.

    Attributes:
        reactor: For what waits.
        hub: Where sessions are opened.
        connections: Counts those of all listeners.
        flusher: Flushes every client's outbox.
        instance: Its name, for people.
    """

    reactor: IReactorTime
    hub: Hub
    connections: Connections
    flusher: Flusher
    instance: str


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What a listener asks of its clients, whatever they speak.

    Attributes:
        queue_bytes: What may wait for a client that does not read.
        flood: Requests a second, and at once; None for no limit.
        motd: The message of the day, a line each.
        proxied: A proxy says who connects before anything else is read.
        unread: Seconds that a client may take nothing of what fills its connection, 0 for no limit.
        unnamed: Seconds that a client may be without a name, 0 for no limit.
        idle: Seconds that a client may be silent, 0 for no limit.
    """

    queue_bytes: int = 1 << 20
    flood: tuple[float, int] | None = (20.0, 100)
    motd: tuple[str, ...] = ()
    proxied: bool = False
    unread: float = 60.0
    unnamed: float = 60.0
    idle: float = 0.0
