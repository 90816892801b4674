"""The text protocol over a connection: telnet, netcat, or a program that writes lines."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
)
from twisted.internet.protocol import ServerFactory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from disroom.chat.errors import ChatError
from disroom.chat.names import Nick, RoomName
from disroom.chat.tokens import Seen
from disroom.transports.client import Client
from disroom.transports.dispatch import dispatch, post
from disroom.transports.reception import ClientSettings, Reception
from disroom.transports.sockets import said_goodbye
from disroom.wire import commands
from disroom.wire.errors import LineTooLong
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
from disroom.wire.verbs import parse

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


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """In the lane: what follows cannot be read."""

    why: ChatError


@implementer(IHalfCloseableProtocol)
class LineProtocol(LineReceiver):
    """One connection that speaks lines.

    Attributes:
        client: Once the connection is made.
        event: See `ISpeech`.
    """

    __slots__ = (
        "MAX_LENGTH",
        "_buffer",
        "_busyReceiving",
        "_first",
        "_input",
        "_joining",
        "_owner",
        "_rest",
        "_skipped",
        "_talking",
        "_telnet",
        "client",
        "connected",
        "event",
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
        self.event = factory.format.event
        self._telnet = Telnet(negotiate_at_once=factory.settings.telnet)
        self._input = LineInput(self._telnet)
        self._first = True
        self._rest = b""
        self._skipped = 0
        self._talking = False
        self._joining: RoomName | None = None

    # The connection.

    def connectionMade(self) -> None:
        """Greet the client, or turn it away."""
        owner = self._owner
        self.client = Client(owner.reception, owner.settings, self.transport, self, self._take)
        greeted = self.client.arrive()
        self._reply_to_telnet()
        if greeted:
            self._say(WELCOME, *owner.settings.motd)

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
            self.client.end_with(_Unreadable(LineTooLong(self.MAX_LENGTH)))

    def readConnectionLost(self) -> None:
        """Take what is there as the last line, though it has no end."""
        self.client.end_input(complete=False)
        self._end_input()

    def _end_input(self) -> None:
        if self.paused:
            return
        if fault := self._telnet.fault:
            self.client.end_with(_Unreadable(fault))
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

    # What the client asks.

    async def obey(self, item: bytes | ChatError | _Unreadable) -> None:
        """Carry out a line, or say what is wrong with it."""
        try:
            if not isinstance(item, bytes):
                await self._refuse(item)
                return
            rest = self._obey_line(decode_line(item))
            if rest is not None:
                await rest
        except ChatError as error:
            self._say(error_line(error))
            self._prompt_again()
        except Exception:
            self._say("Error: this server made a mistake; try something else (internal)")
            raise

    async def _refuse(self, item: ChatError | _Unreadable) -> None:
        if isinstance(item, ChatError):
            raise item
        await self.client.close_for(item.why)

    def _obey_line(self, line: str) -> Awaitable[object] | None:
        """Carry out a line, and return what is still to be waited for.

        No coroutine, since every message passes here; nor is what leads from here to the session.
        """
        if self._joining and not line.startswith("/"):
            return self._take_name(self._joining, line.strip())
        self._joining = None
        command = parse(line, talk=self._talking)
        if command is None:
            return None
        own = _OWN.get(type(command))
        return own(self, command) if own else self._ask(command)

    def _post(self, command: commands.Post) -> Awaitable[object]:
        return post(self.client.session, command)

    async def _ask(self, command: commands.Command) -> None:
        answer = await dispatch(self.client.session, command)
        self.client.write(self._owner.format.reply(answer))

    async def _join(self, command: commands.Join) -> None:
        if self.client.session.nick is None:
            self._joining = command.room
            self._prompt_again()
        else:
            await self._ask(command)

    async def _take_name(self, room: RoomName, name: str) -> None:
        """Read the answer to ``Enter your user ID:``; an empty line takes the question back."""
        if name:
            await self.client.session.name(Nick.parse(name))
            self._joining = None
            await self._ask(commands.Join(room))
        else:
            self._joining = None
            self._say("-- no name, so not joined")

    def _prompt_again(self) -> None:
        if self._joining and not self.client.input_ended:
            self.client.write(PROMPT)

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
        history_most = self.client.reception.hub.limits.history_most
        self._say(*help_lines(command.verb, history_most))

    async def _motd(self, _: commands.ShowMotd) -> None:
        motd = self._owner.settings.motd
        self._say(*motd, "-- that was it" if motd else "-- there is no message of the day")

    async def _resume(self, command: commands.Resume) -> None:
        await self.client.resume(command.token, Seen(), self._owner.format.reply)

    async def _exit(self, _: commands.Exit) -> None:
        await self.client.exit()

    # What the client is told.

    def error(self, error: ChatError) -> bytes:
        """Write an error; see `ISpeech`."""
        return encode([error_line(error)])

    def farewell(self, error: ChatError | None) -> bytes:
        """Write the last lines; see `ISpeech`."""
        return encode([*([error_line(error)] if error else []), GOODBYE])

    def _say(self, *lines: str) -> None:
        self.client.write(encode(lines))

    def _refuse_http(self) -> None:
        self.client.session.close("")
        self.client.hang_up(_HTTP_REFUSAL)


_OWN: dict[type[Any], Callable[[LineProtocol, Any], Awaitable[object]]] = {
    commands.Say: LineProtocol._post,
    commands.Act: LineProtocol._post,
    commands.SetTopic: LineProtocol._post,
    commands.Join: LineProtocol._join,
    commands.Talk: LineProtocol._talk,
    commands.Ping: LineProtocol._ping,
    commands.Help: LineProtocol._help,
    commands.ShowMotd: LineProtocol._motd,
    commands.Resume: LineProtocol._resume,
    commands.Exit: LineProtocol._exit,
}
"""The verbs that are not just asked of the session and answered."""


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
