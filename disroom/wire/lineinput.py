"""A client's bytes to lines that end in LF: telnet taken out, every line end made one.

What telnet asks of the line being typed stays in the data, at its place, as the marks that
`disroom.wire.lineedit` knows: ERASE, KILL and DAMAGE. So it survives the buffer of whoever cuts the
data into lines.
"""

import re

from disroom.wire.lineedit import DAMAGE, ERASE, KILL
from disroom.wire.telnet import Command, Instruction, Telnet, Token

# Ctrl-C, Ctrl-\ and Ctrl-Z each drop the line typed so far, as they do in a terminal (termios,
# NOFLSH unset). ABORT_OUTPUT concerns what we send, of which nothing can be taken back.
_MARKS = {
    Command.INTERRUPT: KILL,
    Command.ABORT: KILL,
    Command.BREAK: KILL,
    Command.SUSPEND: KILL,
    Command.ERASE_LINE: KILL,
    Command.ERASE_CHARACTER: ERASE,
    Command.ABORT_OUTPUT: b"",
}

_INNER = rb"[\x80-\xbf\r]"
_INSIDE_CHARACTER = re.compile(
    rb"(?:[\xc2-\xdf]|[\xe0-\xef]%b?|[\xf0-\xf4]%b{0,2})\Z" % (_INNER, _INNER)
)
_LONGEST_INSIDE = 3
_CR = 0x0D
_SECOND_HALVES = b"\n\0"


class LineInput:
    r"""The input side of one text connection.

    LF, CRLF, CR NUL and a lone CR each end a line, and each is given as LF; of a pair split over
    two packets the second half is dropped.

    Debian's telnet, before WILL BINARY, sends a command in place of some inner bytes of UTF-8
    letters. That differs from the same command given by a user in its place alone: the character
    before it is incomplete. So it is damage there, and an instruction anywhere else.

    Args:
        telnet: The connection's telnet state, which this object feeds; its replies and its fault
            are for the caller to look at after each `feed`.
    """

    __slots__ = ("_after_cr", "_tail", "_telnet")

    def __init__(self, telnet: Telnet) -> None:
        self._telnet = telnet
        self._after_cr = False
        self._tail = b""

    def feed(self, data: bytes) -> bytes:
        """Return what the data adds to the lines; a CR in it is DAMAGE and nothing else."""
        tokens = self._telnet.feed(data)
        if len(tokens) == 1:
            return self._piece(tokens[0])
        return b"".join([self._piece(token) for token in tokens])

    def _piece(self, token: Token) -> bytes:
        piece = self._one_end(token) if isinstance(token, bytes) else self._mark(token)
        if len(piece) < _LONGEST_INSIDE:
            self._tail += piece
        else:
            self._tail = piece
        self._tail = self._tail[-_LONGEST_INSIDE:]
        return piece

    def _one_end(self, data: bytes) -> bytes:
        if self._after_cr and data:
            self._after_cr = False
            if data[0] in _SECOND_HALVES:
                data = data[1:]
        if _CR not in data:
            return data
        self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r\0", b"\n").replace(b"\r", b"\n")

    def _mark(self, instruction: Instruction) -> bytes:
        if not instruction.binary and _INSIDE_CHARACTER.search(self._tail):
            return DAMAGE
        return _MARKS[instruction.command]
