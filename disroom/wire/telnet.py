"""Telnet's commands and negotiation, taken out of a byte stream (RFC 854, 855, 856, 860).

- Nothing is said before the peer's first command has shown it to be telnet: nc and plink -raw
  print whatever they are sent. Then, once: DO BINARY, which keeps Debian's telnet from turning
  bytes of letters into commands. Never WILL BINARY: it breaks that program's local echo.
- Every other option is refused, ours and the peer's. Refusing ECHO and SUPPRESS-GO-AHEAD (RFC 857,
  858) is what leaves echo and line editing to the client: Debian's telnet and PuTTY edit locally
  exactly as long as the server has agreed to neither.
- No answer about an option is given twice, so that a peer which answers answers starts no loop.
- DO TIMING-MARK is answered each time: telnet shows no output after Ctrl-C until it is. The answer
  is WILL: all that came before it has been taken in, which is what the mark asserts.
- FF followed by a byte that is no command is data: it comes from Latin-1, not from telnet.
"""

from collections.abc import Iterable
from enum import Enum, IntEnum, auto
from typing import NamedTuple

from disroom.chat.errors import ChatError
from disroom.wire.errors import EndlessSubnegotiation

MAX_SUBNEGOTIATION = 4096
"""Bytes after IAC SB, the closing IAC SE among them."""

BINARY = 0
TIMING_MARK = 6

_NOTHING: frozenset[bytes] = frozenset()  # one for all, since it has 200 bytes
_HERE = b"[yes]\r\n"
_IAC = 0xFF  # a number is looked for in a sixth of the time that bytes are


class Command(IntEnum):
    """The byte after IAC (RFC 854; the first three RFC 1184, END_OF_RECORD RFC 885)."""

    END_OF_FILE = 0xEC
    SUSPEND = 0xED
    ABORT = 0xEE
    END_OF_RECORD = 0xEF
    SE = 0xF0
    NOP = 0xF1
    DATA_MARK = 0xF2
    BREAK = 0xF3
    INTERRUPT = 0xF4
    ABORT_OUTPUT = 0xF5
    ARE_YOU_THERE = 0xF6
    ERASE_CHARACTER = 0xF7
    ERASE_LINE = 0xF8
    GO_AHEAD = 0xF9
    SB = 0xFA
    WILL = 0xFB
    WONT = 0xFC
    DO = 0xFD
    DONT = 0xFE
    IAC = 0xFF


class Instruction(NamedTuple):
    """A command that concerns the line being typed, at its place in the data.

    Attributes:
        command: One of those in `LINE_COMMANDS`.
        binary: The peer's WILL BINARY came before it, so that it is certainly meant; otherwise
            Debian's telnet makes the same bytes from the second or later byte of a letter.
    """

    command: Command
    binary: bool


Token = bytes | Instruction

LINE_COMMANDS = frozenset(
    {
        Command.SUSPEND,
        Command.ABORT,
        Command.BREAK,
        Command.INTERRUPT,
        Command.ABORT_OUTPUT,
        Command.ERASE_CHARACTER,
        Command.ERASE_LINE,
    }
)


class _State(IntEnum):  # of int for its hash, which is taken for each byte
    DATA = auto()
    IAC = auto()
    OPTION = auto()
    SUB = auto()
    SUB_IAC = auto()
    ENDLESS = auto()


class _Effect(Enum):
    KEEP = auto()
    KEEP_WITH_IAC = auto()
    OBEY = auto()
    NOTE_VERB = auto()
    NEGOTIATE = auto()
    OPEN = auto()
    COUNT = auto()
    DROP = auto()


_ANY = range(256)
_VERBS = range(Command.WILL, Command.IAC)

# (in this state, on these bytes, go to, and do); a later row overrides an earlier one.
_ROWS: tuple[tuple[_State, Iterable[int], _State, _Effect], ...] = (
    (_State.DATA, _ANY, _State.DATA, _Effect.KEEP),
    (_State.DATA, [Command.IAC], _State.IAC, _Effect.DROP),
    (_State.IAC, _ANY, _State.DATA, _Effect.KEEP_WITH_IAC),
    (_State.IAC, range(Command.END_OF_FILE, Command.SB), _State.DATA, _Effect.OBEY),
    (_State.IAC, [Command.SB], _State.SUB, _Effect.OPEN),
    (_State.IAC, _VERBS, _State.OPTION, _Effect.NOTE_VERB),
    (_State.IAC, [Command.IAC], _State.DATA, _Effect.KEEP),
    (_State.OPTION, _ANY, _State.DATA, _Effect.NEGOTIATE),
    (_State.SUB, _ANY, _State.SUB, _Effect.COUNT),
    (_State.SUB, [Command.IAC], _State.SUB_IAC, _Effect.COUNT),
    (_State.SUB_IAC, _ANY, _State.SUB, _Effect.COUNT),
    (_State.SUB_IAC, [Command.SE], _State.DATA, _Effect.DROP),
    (_State.ENDLESS, _ANY, _State.ENDLESS, _Effect.DROP),
)

_TABLE: dict[_State, dict[int, tuple[_State, _Effect]]] = {
    state: {
        byte: (to, effect) for at, bytes_, to, effect in _ROWS if at is state for byte in bytes_
    }
    for state in _State
}


class _Binary(Enum):
    """Whether the peer sends BINARY; our own side never does."""

    UNASKED = auto()
    ASKED = auto()
    ON = auto()
    OFF = auto()


_BINARY_TABLE = {
    (_Binary.ASKED, Command.WILL): _Binary.ON,
    (_Binary.ASKED, Command.WONT): _Binary.OFF,
    (_Binary.ON, Command.WONT): _Binary.OFF,
}


class Telnet:
    """The state of telnet on one connection.

    Memory is bounded: two answers an option at most, and nothing is kept of a subnegotiation.

    Args:
        negotiate_at_once: The peer is known to be telnet: DO BINARY is the first reply, there
            before any data is fed.
    """

    __slots__ = (
        "_binary",
        "_length",
        "_replies",
        "_said",
        "_size",
        "_state",
        "_verb",
    )

    def __init__(self, *, negotiate_at_once: bool = False) -> None:
        self._state = _State.DATA
        self._verb = 0
        self._length = 0
        self._size = 0
        self._binary = _Binary.UNASKED
        self._said = _NOTHING
        self._replies = b""
        if negotiate_at_once:
            self._ask_binary()

    @property
    def fault(self) -> ChatError | None:
        """Why the connection must be closed; all data from there on is dropped."""
        return EndlessSubnegotiation() if self._state is _State.ENDLESS else None

    def take_replies(self) -> bytes:
        """Return what must be sent now, ahead of anything queued, and forget it."""
        replies, self._replies = self._replies, b""
        return replies

    def take_size(self) -> int:
        """Return how many bytes of what was fed were no data, and count anew."""
        size, self._size = self._size, 0
        return size

    def feed(self, data: bytes) -> list[Token]:
        """Return the data without telnet, and the instructions at their places in it.

        However the bytes are split over calls, the joined result and the replies are the same,
        but for ARE_YOU_THERE, which is answered once a call.
        """
        if self._state is _State.DATA and _IAC not in data:
            return [data]
        tokens: list[Token] = []
        here = False
        at = 0
        while at < len(data):
            if self._state is _State.DATA:
                run, at = at, data.find(_IAC, at)
                if at < 0:
                    at = len(data)
                if at > run:
                    tokens.append(data[run:at])
                    continue
            byte = data[at]
            at += 1
            self._state, effect = _TABLE[self._state][byte]
            match effect:
                case _Effect.DROP:
                    pass
                case _Effect.KEEP:
                    tokens.append(bytes([byte]))
                case _Effect.KEEP_WITH_IAC:
                    tokens.append(bytes([Command.IAC, byte]))
                case _Effect.OBEY:
                    self._ask_binary()
                    if byte in LINE_COMMANDS:
                        tokens.append(Instruction(Command(byte), self._binary is _Binary.ON))
                    here = here or byte == Command.ARE_YOU_THERE
                case _Effect.NOTE_VERB:
                    self._verb = byte
                case _Effect.NEGOTIATE:
                    self._ask_binary()
                    self._negotiate(self._verb, byte)
                case _Effect.OPEN:
                    self._ask_binary()
                    self._length = 0
                case _Effect.COUNT:
                    self._count()
        if here:
            self._replies += _HERE
        self._size += len(data) - sum(len(t) for t in tokens if isinstance(t, bytes))
        return tokens

    def _count(self) -> None:
        self._length += 1
        if self._length >= MAX_SUBNEGOTIATION:
            self._state = _State.ENDLESS

    def _ask_binary(self) -> None:
        if self._binary is _Binary.UNASKED:
            self._binary = _Binary.ASKED
            self._say_once(Command.DO, BINARY)

    def _negotiate(self, verb: int, option: int) -> None:
        if verb == Command.DO and option == TIMING_MARK:
            self._replies += bytes([Command.IAC, Command.WILL, TIMING_MARK])
        elif verb == Command.DO:
            self._say_once(Command.WONT, option)
        elif option == BINARY:
            was_on = self._binary is _Binary.ON
            self._binary = _BINARY_TABLE.get((self._binary, Command(verb)), self._binary)
            if was_on and self._binary is _Binary.OFF:
                self._say_once(Command.DONT, BINARY)
        elif verb == Command.WILL:
            self._say_once(Command.DONT, option)

    def _say_once(self, verb: Command, option: int) -> None:
        answer = bytes([Command.IAC, verb, option])
        if answer not in self._said:
            self._said |= {answer}
            self._replies += answer
