"""What a peer sent that no codec can use, and why a connection is closed; see `ChatError`."""

from __future__ import annotations

from disroom.chat.errors import ChatError


class UnknownCommand(ChatError):
    """The first word of a line is no verb."""

    code = "unknown-command"

    def __init__(self, word: str) -> None:
        super().__init__(
            f"there is no command {word!r}; to say something: send TEXT; for the verbs: help"
        )


class UnknownOp(ChatError):
    """The ``op`` of a request is none."""

    code = UnknownCommand.code

    def __init__(self, op: str) -> None:
        super().__init__(f"there is no op {op!r}")


class Usage(ChatError):
    """What follows a verb does not fit its syntax."""

    code = "usage"

    def __init__(self, syntax: str) -> None:
        super().__init__(f"write it like this: {syntax}")


class LineTooLong(ChatError):
    """A line has more bytes than are read; what there is of it is dropped.

    One that has sixteen times as many and still no end closes the connection.
    """

    code = "line-too-long"

    def __init__(self, most: int) -> None:
        super().__init__(f"a line has at most {most} bytes; send it in parts")


class DamagedLine(ChatError):
    """A telnet client sent commands in place of parts of letters.

    By the time this is known it has been asked for BINARY, and does so no more.
    """

    code = "damaged-line"

    def __init__(self) -> None:
        super().__init__(
            "your telnet client lost some letters of that line; it will not again, so send it again"
        )


class BadEncoding(ChatError):
    """A line is not UTF-8.

    Until Debian's telnet has been asked for BINARY it also drops the last bytes of A-ring and of
    Y-acute, and nothing is sent in their place. It is asked once it has sent a command, as it
    does for Ctrl-C.
    """

    code = "bad-encoding"

    def __init__(self) -> None:
        super().__init__(
            "that line is not UTF-8; set your terminal to UTF-8 and send it again"
            " (in telnet, press Ctrl-C first)"
        )


class EndlessSubnegotiation(ChatError):
    """A telnet subnegotiation goes on for too long; the connection is closed."""

    code = "endless-subnegotiation"

    def __init__(self) -> None:
        super().__init__("a telnet subnegotiation did not end; connect again")


class BadRequest(ChatError):
    """A request lacks a field, or a field is not what it must be; the message names it."""

    code = "bad-request"


class BadFrame(ChatError):
    """A frame or message holds no request: not MessagePack or JSON, or no map.

    The connection is closed, since nobody knows what was meant by it or by what follows.
    """

    code = "bad-frame"

    def __init__(self) -> None:
        super().__init__("that is no request: a map was expected, with op and id")


class FrameTooLong(ChatError):
    """A frame or message has more bytes than are read; the connection is closed."""

    code = "frame-too-long"

    def __init__(self, most: int) -> None:
        super().__init__(f"a request has at most {most} bytes; connect again")


class TelnetFlood(ChatError):
    """Telnet commands come without end and faster than they are read; the connection is closed."""

    code = "telnet-flood"

    def __init__(self) -> None:
        super().__init__("too many telnet commands; connect again")


class PingFlood(ChatError):
    """Pings and empty fragments of WebSocket come as `TelnetFlood` has it of telnet commands."""

    code = "ping-flood"

    def __init__(self) -> None:
        super().__init__("too many pings or fragments; connect again")


class SlowClient(ChatError):
    """The client does not read what it is sent; the connection is closed."""

    code = "slow-client"

    def __init__(self) -> None:
        super().__init__(
            "you do not read what you are sent, and too much is waiting; connect again"
        )


class ServerFull(ChatError):
    """There are as many connections as there can be; this one is closed."""

    code = "server-full"

    def __init__(self) -> None:
        super().__init__("server is full; try again later, or another server")


class TooManyConnections(ChatError):
    """There are as many connections from one address as there can be; this one is closed."""

    code = "too-many-connections"

    def __init__(self, most: int) -> None:
        super().__init__(f"your address has as many connections as it may, {most}; close one")


class Unnamed(ChatError):
    """The client took no name in time; the connection is closed."""

    code = "unnamed"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"you took no name within {seconds:g} s; connect again when you have one")


class Idle(ChatError):
    """The client sent no line for as long as is allowed; the connection is closed."""

    code = "idle"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"you sent nothing for {seconds:g} s; connect again")


class GoingDown(ChatError):
    """The instance stops; the connection is closed, and another instance will take the next."""

    code = "going-down"

    def __init__(self) -> None:
        super().__init__("this server is going down; connect again")
