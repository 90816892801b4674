"""The text protocol over a connection: telnet, netcat, or a program that writes lines."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IReactorTime,
)
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from disroom.chat.errors import ChatError
from disroom.chat.events import Event
from disroom.chat.hub import Hub
from disroom.chat.interfaces import IMember
from disroom.chat.names import Nick, RoomName
from disroom.transports.connections import Connections
from disroom.transports.dispatch import dispatch
from disroom.transports.intake import Intake
from disroom.transports.lane import Lane, Pace
from disroom.transports.outbox import Flusher, Outbox
from disroom.transports.patience import Patience
from disroom.transports.sockets import host_of, tune
from disroom.wire import commands
from disroom.wire.errors import LineTooLong, ServerFull, SlowClient, TooManyConnections
from disroom.wire.line import (
    GOODBYE,
    PONG,
    PROMPT,
    WELCOME,
    LineFormat,
    encode,
    error_line,
    help_lines,
)
from disroom.wire.lineedit import decode_line
from disroom.wire.lineinput import LineInput
from disroom.wire.telnet import Telnet

ENDLESS_LINES = 16
"""A line of this many times the greatest length, still without an end, closes the connection."""

LINGER_SECONDS = 5.0
"""How long a closed connection may take to read what it was sent."""

LINGER_BYTES = 65536
"""For as many that still wait in the queue it is given a second more."""

_HTTP_REFUSAL = (
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n"
    b"This is a chat server, not a web server: connect with telnet or nc.\n"
)

_LONG_REQUEST = re.compile(rb"[A-Z]+ /")
"""How a browser begins; whoever made it come here chose an address of any length."""

_EXIT = re.compile(rb"[ \t]*/?(?:exit|quit)[ \t]*", re.IGNORECASE)
"""Of which lines it is known before their turn that they may be the client's last."""

_HALF_CLOSED = object()
"""In the lane: the client will send nothing more."""


@dataclass(frozen=True, slots=True)
class LineSettings:
    """What a listener asks of its connections.

    Attributes:
        line_bytes: The longest line that is read, without its end.
        queue_bytes: What may wait for a client that does not read.
        flood: Commands a second, and at once; None for no limit.
        motd: The message of the day, a line each.
        telnet: Clients are telnet: negotiate at once.
        proxied: A proxy says who connects before anything else is read.
        unnamed: Seconds that a client may be without a name, 0 for no limit.
        idle: Seconds that a client may be silent, 0 for no limit.
    """

    line_bytes: int = 4096
    queue_bytes: int = 1 << 20
    flood: tuple[float, int] | None = (20.0, 100)
    motd: tuple[str, ...] = ()
    telnet: bool = False
    proxied: bool = False
    unnamed: float = 60.0
    idle: float = 0.0


@implementer(IMember, IHalfCloseableProtocol)
class LineProtocol(LineReceiver):
    """One connection that speaks lines."""

    delimiter = b"\n"
    transport: Any
    _log = Logger()

    def __init__(self, factory: LineFactory) -> None:
        settings = factory.settings
        self._owner = factory
        self.MAX_LENGTH = settings.line_bytes
        self._telnet = Telnet(negotiate_at_once=settings.telnet)
        self._input = LineInput(self._telnet)
        self._intake = Intake(factory.reactor, self._read_on)
        pace = Pace(factory.reactor, *settings.flood) if settings.flood else None
        self._lane: Lane[bytes | ChatError | object] = Lane(
            factory.reactor,
            self._obey,
            self._intake.crowd,
            pace,
            lambda leaving: self._outbox.room(leaving),
        )
        self._first = True
        self._rest = b""
        self._skipped = 0
        self._talking = False
        self._joining: RoomName | None = None
        self._input_ended = False
        self._closing = False
        self._lost = False
        self._located = False
        self._patience: Patience | None = None
        self._abort: IDelayedCall | None = None

    # The connection.

    def connectionMade(self) -> None:
        """Greet the client, or turn it away."""
        tune(self.transport)
        self._outbox = Outbox(
            self.transport, self._owner.flusher, self._owner.settings.queue_bytes, self._overflowed
        )
        try:
            self._owner.connections.admit(self)
        except ServerFull:
            self._turn_away()
            return
        self._session = self._owner.hub.connect(self)
        self._reply_to_telnet()
        if not self._owner.settings.proxied:
            self._locate()
        if self._closing:
            return
        self._patience = Patience(
            self._owner.reactor,
            unnamed=self._owner.settings.unnamed,
            idle=self._owner.settings.idle,
            named=lambda: self._session.nick is not None,
            give_up=self.close,
        )
        self._say(WELCOME, *self._owner.settings.motd)

    def _locate(self) -> None:
        """Count the connection for its address, or close it; a proxy tells the address first."""
        self._located = True
        try:
            self._owner.connections.locate(self, host_of(self.transport))
        except TooManyConnections as error:
            self.close(error)

    def _turn_away(self) -> None:
        """Say that the server is full, and close.

        At once where it can be: by the next turn of the reactor a burst may have brought more than
        there are descriptors left for, and Twisted closes what it has none for without a word.
        """
        if isinstance(self.transport, Connection) and not self.transport.TLS:
            self._closing = True
            self._say(error_line(ServerFull()))
            self._outbox.flush()
            self.transport.connectionLost(Failure(ConnectionDone()))
        else:
            self._hang_up(error_line(ServerFull()))

    def dataReceived(self, data: bytes) -> None:
        """Take telnet out, make every line end one, and cut into lines."""
        if self._closing:
            return
        if not self._located:
            self._locate()
            if self._closing:
                return
        lines = self._input.feed(data)
        self._reply_to_telnet()
        super().dataReceived(lines)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        while self._rest and not self._closing:
            rest, self._rest = self._rest, b""
            super().dataReceived(rest)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        if self._telnet.fault and not self._closing:
            self.close(self._telnet.fault)
        self._intake.took_telnet(self._telnet.take_size())

    def _reply_to_telnet(self) -> None:
        """Answer at once and past the queue: telnet shows nothing until it is answered."""
        replies = self._telnet.take_replies()
        if replies:
            self._outbox.write_first(replies)

    def lineReceived(self, line: bytes) -> None:
        """Put a line into the lane."""
        if self._patience:
            self._patience.heard()
        if self._first:
            self._first = False
            if line.rpartition(b" ")[2].startswith(b"HTTP/1."):
                self._refuse_http()
                return
        self._lane.put(line, last=_EXIT.fullmatch(line) is not None)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Drop a line that is too long, up to its end."""
        if self._first and _LONG_REQUEST.match(line):
            self._refuse_http()
            return
        self._lane.put(LineTooLong(self.MAX_LENGTH))
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
            self.close(LineTooLong(self.MAX_LENGTH))

    def _read_on(self, on: bool) -> None:
        if on:
            self.resumeProducing()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        else:
            self.pauseProducing()  # type: ignore[no-untyped-call]  # Twisted's is untyped

    def readConnectionLost(self) -> None:
        """Carry out what was asked, then close: nc -N and pipes end their input like this."""
        if self._closing:
            return
        self._input_ended = True
        if self._buffer and self.line_mode:
            last, self._buffer = self._buffer, b""
            self.lineReceived(last)
        self._lane.put(_HALF_CLOSED, last=True)

    def writeConnectionLost(self) -> None:
        """Never asked for; the whole connection follows."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End the session, unless a client that closed early still has requests in the lane."""
        if self._patience:
            self._patience.stop()
        if self._abort and self._abort.active():
            self._abort.cancel()
        self._intake.stop()
        self._owner.connections.forget(self)
        self._outbox.stopProducing()
        if not self._closing and not (self._input_ended and not self._lane.idle):
            self._lane.clear()
            self._session.close("connection lost")
        self._closing = self._lost = True

    # What the client asks.

    async def _obey(self, item: bytes | ChatError | object) -> None:
        presence = self._owner.hub.presence
        if presence.lapsed:
            await presence.confirm()  # who lost their nick is closed then
        try:
            if item is _HALF_CLOSED:
                await self._exit()
            elif isinstance(item, ChatError):
                raise item
            else:
                await self._obey_line(decode_line(cast(bytes, item)))
        except ChatError as error:
            self._say(error_line(error))
            self._prompt_again()
        except Exception:
            self._say("Error: this server made a mistake; try something else (internal)")
            raise

    async def _obey_line(self, line: str) -> None:
        if self._joining and not line.startswith("/"):
            await self._take_name(self._joining, line.strip())
            return
        self._joining = None
        command = commands.parse(line, talk=self._talking)
        if command is None:
            return
        own = _OWN.get(type(command))
        if own:
            await own(self, command)
        elif isinstance(command, commands.Join) and self._session.nick is None:
            self._joining = command.room
            self._prompt_again()
        else:
            await self._carry_out(command)

    async def _carry_out(self, command: commands.Command) -> None:
        answer = await dispatch(self._session, command)
        if answer is not None:
            self._outbox.write(self._owner.format.reply(answer))

    async def _take_name(self, room: RoomName, name: str) -> None:
        """Read the answer to ``Enter your user ID:``; an empty line takes the question back."""
        if name:
            await self._session.name(Nick.parse(name))
            self._joining = None
            await self._carry_out(commands.Join(room))
        else:
            self._joining = None
            self._say("-- no name, so not joined")

    def _prompt_again(self) -> None:
        if self._joining and not self._input_ended:
            self._outbox.write(PROMPT)

    async def _talk(self, command: commands.Talk) -> None:
        self._talking = command.on
        self._say(
            "-- talk on: lines are said; a command starts with /, as in /talk off"
            if command.on
            else "-- talk off: to say something: send TEXT"
        )

    async def _ping(self, _: commands.Ping) -> None:
        self._say(PONG)

    async def _help(self, command: commands.Help) -> None:
        self._say(*help_lines(command.verb))

    async def _motd(self, _: commands.ShowMotd) -> None:
        motd = self._owner.settings.motd
        self._say(*motd, "-- that was it" if motd else "-- there is no message of the day")

    async def _exit(self, _: commands.Exit | None = None) -> None:
        await self._session.exit()
        if self._lost or not self._closing:
            self._hang_up(GOODBYE)

    # What the client is told.

    def deliver(self, event: Event) -> None:
        """Send an event."""
        line = self._owner.format.event(event)
        if line:
            self._outbox.write(line)

    def close(self, error: ChatError | None) -> None:
        """Say goodbye, with the reason if there is one, and close."""
        if self._closing:
            return
        self._session.close(error.code.replace("-", " ") if error else "")
        self._hang_up(*([error_line(error)] if error else []), GOODBYE)

    def _say(self, *lines: str) -> None:
        self._outbox.write(encode(lines))

    def _refuse_http(self) -> None:
        self._outbox.write(_HTTP_REFUSAL)
        self._session.close("")
        self._hang_up()

    def _overflowed(self) -> None:
        """The client does not read: tell it why, in case it ever does, and close."""
        self._log.warn("Closing {peer}: it does not read", peer=self.transport.getPeer())
        self._session.close("not reading")
        self.transport.write(encode([error_line(SlowClient())]))
        self._hang_up()

    def _hang_up(self, *lines: str) -> None:
        """Send the last lines and close; what is not read in a while is dropped."""
        self._closing = True
        self._intake.stop()
        if self._patience:
            self._patience.stop()
        self._lane.clear()
        if self._lost:
            return
        self._say(*lines)
        linger = LINGER_SECONDS + self._outbox.waiting / LINGER_BYTES
        self._outbox.close()
        self.transport.loseConnection()
        self._abort = self._owner.reactor.callLater(linger, self.transport.abortConnection)


_OWN: dict[type[Any], Callable[[LineProtocol, Any], Awaitable[None]]] = {
    commands.Talk: LineProtocol._talk,
    commands.Ping: LineProtocol._ping,
    commands.Help: LineProtocol._help,
    commands.ShowMotd: LineProtocol._motd,
    commands.Exit: LineProtocol._exit,
}
"""The verbs that concern the connection alone."""


class LineFactory(ServerFactory):
    """Makes the connections of one kind of listener.

    Args:
        reactor: For what waits.
        hub: Where sessions are opened.
        connections: Counts those of all listeners.
        flusher: Shared by all listeners.
        format: Shared by all listeners of the text protocol, so that an event is formatted once.
        settings: Of this listener.
    """

    noisy = False

    def __init__(
        self,
        *,
        reactor: IReactorTime,
        hub: Hub,
        connections: Connections,
        flusher: Flusher,
        format: LineFormat,
        settings: LineSettings,
    ) -> None:
        self.reactor = reactor
        self.hub = hub
        self.connections = connections
        self.flusher = flusher
        self.format = format
        self.settings = settings

    def buildProtocol(self, addr: IAddress | None) -> LineProtocol:
        """Make the protocol of a new connection."""
        return LineProtocol(self)
