"""Lines over a connection: cut out of what telnet, netcat or a program that writes lines sends."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from disroom.transports.client import Client
from disroom.transports.reception import ClientSettings, Reception
from disroom.transports.sockets import said_goodbye
from disroom.transports.terminal import Terminal, Unreadable
from disroom.wire.errors import LineTooLong
from disroom.wire.line import WELCOME, LineFormat, encode
from disroom.wire.lineinput import LineInput
from disroom.wire.telnet import Telnet

ENDLESS_LINES = 16
"""A line of this many times the greatest length, still without an end, closes the connection."""

_HTTP_REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"This is a chat server, not a web server: connect with telnet or nc.\n"
)

_LONG_REQUEST = re.compile(rb"[A-Z]+ /")
"""How a browser begins; whoever made it come here chose an address of any length."""

_EXIT = re.compile(rb"[ \t]*/?(?:exit|quit)[ \t]*", re.IGNORECASE)
"""Of which lines it is known before their turn that they may be the client's last."""


@dataclass(frozen=True, slots=True)
class LineSettings(ClientSettings):
    """What a listener of the text protocol asks of its connections.

    Attributes:
        line_bytes: The longest line that is read, without its end.
        telnet: Clients are telnet: negotiate at once.
    """

    line_bytes: int = 4096
    telnet: bool = False


@implementer(IHalfCloseableProtocol)
class LineProtocol(LineReceiver):
    """One connection that speaks lines.

    Attributes:
        client: Once the connection is made.
    """

    __slots__ = (
        "MAX_LENGTH",
        "_buffer",
        "_busyReceiving",
        "_first",
        "_input",
        "_owner",
        "_rest",
        "_skipped",
        "_telnet",
        "client",
        "connected",
        "line_mode",
        "paused",
        "transport",
    )

    delimiter = b"\n"
    transport: Any
    client: Client

    def __init__(self, factory: LineFactory) -> None:
        # Twisted's own as well: one attribute beside the slots takes a dict for each client.
        self.transport = None
        self.connected = 0
        self.paused = False
        self.line_mode = 1
        self._buffer = b""
        self._busyReceiving = False
        self._owner = factory
        self.MAX_LENGTH = factory.settings.line_bytes
        self._telnet = Telnet(negotiate_at_once=factory.settings.telnet)
        self._input = LineInput(self._telnet)
        self._first = True
        self._rest = b""
        self._skipped = 0

    def connectionMade(self) -> None:
        """Greet the client, or turn it away."""
        owner = self._owner
        self.client = Client(
            owner.reception,
            owner.settings,
            self.transport,
            lambda client: Terminal(client, owner.format),
            self._take,
        )
        greeted = self.client.arrive()
        self._reply_to_telnet()
        if greeted:
            self.client.write(encode([WELCOME, *owner.settings.motd]))

    def dataReceived(self, data: bytes) -> None:
        """Take telnet out, make every line end one, and cut into lines."""
        if not self.client.may_speak():
            return
        lines = self._input.feed(data)
        plain = lines is data  # and nothing is to be done for telnet
        if not plain:
            self._reply_to_telnet()
        if self._is_next_line(lines):
            self.lineReceived(lines[:-1])
        else:
            with self.client.gathering:
                self._cut(lines)
        if plain:
            return
        self._end_input()
        self.client.intake.took_overhead(self._telnet.take_size())

    def _is_next_line(self, data: bytes) -> bool:
        """Whether it is one line, as most that is read is, and may be taken now."""
        return (
            0 <= data.find(b"\n") == len(data) - 1 <= self.MAX_LENGTH
            and not self._buffer
            and not self.paused
            and self.line_mode == 1
        )

    def _cut(self, data: bytes) -> None:
        """Cut data, and what waits from before, into lines, as far as these are taken."""
        super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        while self._rest and not self.client.closing:
            rest, self._rest = self._rest, b""
            super().dataReceived(rest)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self.client.intake.waits(len(self._buffer) if self.paused else 0)
        self._end_input()

    def _take(self, on: bool) -> None:
        self.paused = not on
        if on and not self._busyReceiving:
            self._cut(b"")

    def _reply_to_telnet(self) -> None:
        """Answer at once and past the queue: telnet shows nothing until it is answered."""
        replies = self._telnet.take_replies()
        if replies:
            self.client.outbox.write_first(replies)

    def lineReceived(self, line: bytes) -> None:
        """Put a line into the lane."""
        self.client.heard()
        if self._first:
            self._first = False
            if line.rpartition(b" ")[2].startswith(b"HTTP/1."):
                self._refuse_http()
                return
        self.client.put(line, last=_EXIT.fullmatch(line) is not None)

    def _refuse_http(self) -> None:
        self.client.session.close("")
        self.client.hang_up(_HTTP_REFUSAL)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Drop a line that is too long, up to its end."""
        if self._first and _LONG_REQUEST.match(line):
            self._refuse_http()
            return
        self.client.put(LineTooLong(self.MAX_LENGTH))
        head, end, rest = line.partition(self.delimiter)
        if end:
            self._rest = rest
        else:
            self._skipped = len(head)
            self.setRawMode()  # type: ignore[no-untyped-call]  # Twisted's is untyped

    def rawDataReceived(self, data: bytes) -> None:
        """Look for the end of a line that is being dropped."""
        head, end, rest = data.partition(self.delimiter)
        self._skipped += len(head)
        if end:
            self.line_mode = 1
            self._rest = rest
        elif self._skipped > self.MAX_LENGTH * ENDLESS_LINES:
            self.client.end_with(Unreadable(LineTooLong(self.MAX_LENGTH)))

    def readConnectionLost(self) -> None:
        """Take what is there as the last line, though it has no end."""
        self.client.end_input(complete=False)
        self._end_input()

    def _end_input(self) -> None:
        if self.paused:
            return
        if fault := self._telnet.fault:
            self.client.end_with(Unreadable(fault))
        if not self.client.input_ended:
            return
        if self._buffer and self.line_mode:
            last, self._buffer = self._buffer, b""
            self.lineReceived(last)
        self.client.end_input()

    def writeConnectionLost(self) -> None:
        """Never asked for; the whole connection follows."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Say so to the client's session, once that has what was sent before a clean end."""
        if said_goodbye(self.transport, reason):
            self.readConnectionLost()
        self.client.lose()


class LineFactory(ServerFactory):
    """Makes the connections of one kind of listener.

    Args:
        reception: Of the instance.
        format: Shared by all listeners of the text protocol, so that an event is formatted once.
        settings: Of this listener.
    """

    noisy = False

    def __init__(self, reception: Reception, *, format: LineFormat, settings: LineSettings) -> None:
        self.reception = reception
        self.format = format
        self.settings = settings

    def buildProtocol(self, addr: IAddress | None) -> LineProtocol:
        """Make the protocol of a new connection."""
        return LineProtocol(self)
