"""The connection of one client: what is read of it and written to it, within bounds, and its end.

Nothing is known here of what its bytes say, nor of who speaks. A connection that is closed is given
some time to read what it was sent: LINGER_SECONDS, and more where much waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from disroom.countdown import Countdown
from disroom.transports.intake import Intake
from disroom.transports.outbox import Flusher, Outbox
from disroom.transports.sockets import host_of, tune, unsent
from disroom.transports.stall import Stall

LINGER_SECONDS = 5.0
"""How long a closed connection may take to read what it was sent."""

LINGER_BYTES = 65536
"""For as many that still wait in the queue it is given a second more."""


class ClientConnection:
    """Reads, writes and closes.

    Args:
        transport: The connection, which has been made.
        reactor: Keeps the time.
        flusher: Shared by all connections.
        queue_bytes: What may wait for a client that does not read.
        unread: Seconds that it may take nothing of what fills its connection, 0 for no limit.
        not_reading: Called once when either is passed; nothing more can be written then.
        flooded: Called once when too much asks for nothing, for too long.

    Attributes:
        outbox: What is on its way to the client.
        intake: Whether it is read.
    """

    __slots__ = (
        "_abort",
        "_lost",
        "_reactor",
        "_stall",
        "_transport",
        "_unread",
        "intake",
        "outbox",
    )

    def __init__(
        self,
        transport: Any,
        *,
        reactor: IReactorTime,
        flusher: Flusher,
        queue_bytes: int,
        unread: float,
        not_reading: Callable[[], None],
        flooded: Callable[[], None],
    ) -> None:
        tune(transport)
        self._transport = transport
        self._reactor = reactor
        self._unread = unread
        self._stall: Stall | None = None  # most are never full
        self._abort: Countdown | None = None
        self._lost = False
        self.outbox = Outbox(transport, flusher, queue_bytes, not_reading, self._filled)
        self.intake = Intake(reactor, self._read, flooded)

    @property
    def peer(self) -> Any:
        """The address at the other end, as Twisted has it."""
        return self._transport.getPeer()

    @property
    def host(self) -> str | None:
        """The IP address at the other end, None where there is none."""
        return host_of(self._transport)

    def read_no_more(self) -> None:
        """Leave what else the client sends where it is."""
        self.intake.stop()
        self._read(False)

    def _read(self, on: bool) -> None:
        if on:
            self._transport.resumeProducing()
        else:
            self._transport.pauseProducing()

    def _filled(self, full: bool) -> None:
        """The transport is full, or has room again."""
        if self._stall is None:
            transport = self._transport
            self._stall = Stall(
                self._reactor,
                seconds=self._unread,
                unsent=lambda: unsent(transport),
                give_up=self.outbox.give_up,
            )
        self._stall.filled(full)

    # The end.

    def hang_up(self, last: bytes = b"") -> None:
        """Send the last bytes and close; what is not read in a while is dropped."""
        self._let_be()
        if self._lost:
            return
        self.outbox.write(last)
        linger = LINGER_SECONDS + self.outbox.waiting / LINGER_BYTES
        self.outbox.close()
        self._transport.loseConnection()
        self._abort = Countdown(linger, self._reactor, self._transport.abortConnection)

    def cut_off(self, last: bytes) -> None:
        """Send the last bytes to who does not read, in case it ever does, and close."""
        self._transport.write(last)  # nothing goes by the outbox any more
        self.hang_up()

    def turn_away(self, last: bytes) -> None:
        """Send the only bytes and close, as there are too many connections.

        At once where it can be: by the next turn of the reactor a burst may have brought more than
        there are descriptors left for, and Twisted closes what it has none for without a word.
        """
        if isinstance(self._transport, tcp.Connection) and not self._transport.TLS:
            self.outbox.write(last)
            self.outbox.flush()
            self._transport.connectionLost(Failure(ConnectionDone()))
        else:
            self.hang_up(last)

    def lose(self) -> None:
        """Take note that the connection is gone."""
        if self._abort:
            self._abort.cancel()
        self._let_be()
        self.outbox.stopProducing()
        self._lost = True

    def _let_be(self) -> None:
        """Hold the client back no more, and watch no more whether it reads."""
        self.intake.stop()
        if self._stall:
            self._stall.stop()
