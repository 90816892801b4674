"""What is on its way to one client: bounded, in order, and in as few writes as can be.

1. What is written in one turn of the reactor leaves in one piece at its end.
2. While the transport has nothing buffered, the piece goes straight to the socket, and only what
   the socket did not take goes to the transport; TLS always goes through the transport.
3. The order is that of writing, whichever way a piece took: the socket is used only while nothing
   is buffered, here or in the transport. While the outbox is open it alone writes to the transport,
   so it looks there only at first and after it has handed something on.
4. While the transport is full, the queue here grows up to its bound. Beyond it the queue is dropped
   and the owner is told, once; what is written after that is dropped as well.
5. Of what the client itself asks for there is less: its next command waits while the transport is
   full, or while this turn's piece has more than ANSWER_BYTES. So what one turn hands to the
   transport is bounded, however many commands it brought. Of a client that leaves it waits only
   while the queue here is half full: it must be gone soon, and yet may read all it asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.tcp import Connection
from zope.interface import implementer

ANSWER_BYTES = 65536
"""What may be queued when a client's next command is carried out."""


class Flusher:
    """Flushes the outboxes that were written to, once a turn of the reactor.

    Args:
        reactor: Says when a turn ends.
        soon: The same for less, if there is such a way: calls in the next turn.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        soon: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._soon = soon or (lambda call: reactor.callLater(0, call))
        self._due: list[Outbox] = []

    def schedule(self, outbox: Outbox) -> None:
        """Have an outbox flushed at the end of this turn."""
        if not self._due:
            self._soon(self._flush)
        self._due.append(outbox)

    def _flush(self) -> None:
        due, self._due = self._due, []
        for outbox in due:
            outbox.flush()


@implementer(IPushProducer)
class Outbox:
    """The queue of one connection.

    Args:
        transport: The connection; the outbox registers itself as its producer.
        flusher: Shared by all connections.
        most: Bytes that the queue may hold.
        overflowed: Called once when the bound is passed, in the turn after it happened.
        filled: Told True when the transport is full, and False when it has room again.
    """

    __slots__ = (
        "_awaited",
        "_direct",
        "_filled",
        "_first",
        "_flusher",
        "_full",
        "_more",
        "_more_size",
        "_most",
        "_open",
        "_overflowed",
        "_scheduled",
        "_send",
        "_transport",
    )

    def __init__(
        self,
        transport: Any,
        flusher: Flusher,
        most: int,
        overflowed: Callable[[], None],
        filled: Callable[[bool], None] = lambda full: None,
    ) -> None:
        self._transport = transport
        self._flusher = flusher
        self._most = most
        self._overflowed: Callable[[], None] | None = overflowed
        self._filled = filled
        self._first = b""  # mostly all that a turn has: a list costs as much again
        self._more: list[bytes] = []
        self._more_size = 0
        self._scheduled = False
        self._full = False
        self._open = True
        self._awaited: Deferred[None] | None = None
        self._direct = isinstance(transport, Connection) and not transport.TLS
        self._send: Callable[[bytes], int] | None = None  # the socket's, while it is next
        transport.registerProducer(self, True)

    def write(self, data: bytes) -> None:
        """Queue whole lines or frames; never raises."""
        if not (data and self._open):
            return
        if self._first:
            self._more.append(data)
            self._more_size += len(data)
        else:
            self._first = data
        if not self._scheduled:  # written out here: it is done for each member of a room
            self._scheduled = True
            self._flusher.schedule(self)

    @property
    def waiting(self) -> int:
        """Bytes in the queue."""
        return len(self._first) + self._more_size

    @property
    def full(self) -> bool:
        """Whether the transport takes nothing just now, so that what is written waits here."""
        return self._full

    def room(self, leaving: bool = False) -> Deferred[None] | None:
        """What to wait for until another answer has a place; None where it has one.

        Fires as well when nothing is taken any more; never in the turn that it was asked for in.
        For one waiter at a time, which may cancel it and ask anew.
        """
        if not (self.waiting > self._most // 2 if leaving else self._crowded):
            return None
        self._awaited = Deferred()
        return self._awaited

    @property
    def _crowded(self) -> bool:
        return self._open and (self._full or self.waiting > ANSWER_BYTES)

    def write_first(self, data: bytes) -> None:
        """Send past the queue, between two lines or frames; first of all, once there is room.

        What waits for room that way is not in the order of writing.
        """
        if not (data and self._open):
            return
        if self._full:
            first, self._first = self._first, b""
            self.write(data)
            if first:
                self._more.insert(0, first)
                self._more_size += len(first)
        else:
            self._send = None
            self._transport.write(data)

    def flush(self) -> None:
        """Hand the queue on, unless the transport is full."""
        self._scheduled = False
        if self._full:
            if self.waiting > self._most:
                self.give_up()
        elif self._first:
            if self._more_size:
                data = self._take()
            else:
                data, self._first = self._first, b""
            send = self._send or self._look()
            try:
                sent = send(data) if send else 0
            except OSError:
                sent = 0  # the transport meets the same error and deals with it
            if sent < len(data):
                self._send = None
                self._transport.write(data[sent:])
        if self._awaited and not self._crowded:
            awaited, self._awaited = self._awaited, None
            awaited.callback(None)

    def _look(self) -> Callable[[bytes], int] | None:
        """Whether the socket is next: its ``send`` if so, kept for the next time."""
        transport = self._transport
        if (
            self._direct
            and transport.connected
            and not transport.disconnecting
            and not transport.dataBuffer
            and not transport._tempDataBuffer  # what FileDescriptor.write adds to
        ):
            self._send = transport.socket.send
        return self._send

    def _take(self) -> bytes:
        """Empty the queue."""
        data = b"".join((self._first, *self._more))
        self._drop()
        return data

    def _drop(self) -> None:
        self._first = b""
        self._more.clear()
        self._more_size = 0

    def give_up(self) -> None:
        """Drop the queue, take nothing more and tell the owner, as when the bound is passed."""
        self._open = False
        self._drop()
        told, self._overflowed = self._overflowed, None
        if told:
            told()

    def close(self) -> None:
        """Hand everything on and take nothing more; the transport may then lose its connection."""
        if self._first:
            self._transport.write(self._take())
        self._shut()
        self._transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """The transport is full."""
        self._full = True
        self._filled(True)

    def resumeProducing(self) -> None:
        """The transport has room again."""
        self._full = False
        self._filled(False)
        self.flush()

    def stopProducing(self) -> None:
        """The connection is gone."""
        self._drop()
        self._shut()

    def _shut(self) -> None:
        self._open = False
        self._send = None
        if self._awaited and not self._scheduled:
            self._scheduled = True
            self._flusher.schedule(self)
