"""What must hold for any bytes at all; each target raises AssertionError where it does not.

No target needs atheris, so that the tests replay the corpus with the same functions. The first byte
of an input says how the rest is split: into packets of so many bytes.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from disroom.chat.errors import ChatError
from disroom.chat.text import clean
from disroom.wire import commands
from disroom.wire.errors import BadFrame
from disroom.wire.frame import LENGTH_BYTES, FrameDecoder
from disroom.wire.frame import encode as encode_frame
from disroom.wire.line import error_line
from disroom.wire.lineedit import DAMAGE, decode_line
from disroom.wire.lineinput import LineInput
from disroom.wire.requests import MOST_ID, OPS, RequestDecoder, from_json, from_messagepack
from disroom.wire.telnet import MAX_SUBNEGOTIATION, Instruction, Telnet
from disroom.wire.verbs import parse
from disroom.wire.websocket import Code, Opcode, WebSocketDecoder

MOST_REPLIES = 3 * (2 * 256 + 2)
"""Bytes of three for each answer that is given once: DO BINARY, and a WONT and a DONT an option."""

MOST_BODY = 512
"""The longest frame that is read here, so that an input which passes it can be short."""

_WILL_TIMING_MARK = b"\xff\xfb\x06"
_HERE = b"[yes]\r\n"

# Telnet in one expression, to compare the state machine with: what it takes out of the data, and
# the doubled IAC. An IAC before any other byte is data. What is cut off at the end is kept back.
_TELNET = re.compile(
    rb"\xff\xff|\xff[\xec-\xf9]|\xff[\xfb-\xfe].|\xff\xfa(?:[^\xff]|\xff[^\xf0])*?\xff\xf0"
    rb"|\xff(?:[\xfb-\xfe]|\xfa(?:[^\xff]|\xff[^\xf0])*\xff?)?\Z",
    re.DOTALL,
)
_NEVER_SHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
_TOKEN = re.compile(r"[a-z0-9=_-]+")


def telnet(data: bytes) -> None:
    """Take telnet out of any bytes: the same however they are split, with bounded replies."""
    step, stream = _split_size(data), data[1:]
    whole, pieces = Telnet(), Telnet()
    tokens = whole.feed(stream)
    replies = whole.take_replies()
    split_tokens, split_replies = [], b""
    for packet in _packets(stream, step):
        split_tokens += pieces.feed(packet)
        split_replies += pieces.take_replies()
    kept = _data(tokens)
    assert kept == _data(split_tokens)
    assert _instructions(tokens) == _instructions(split_tokens)
    assert replies.replace(_HERE, b"") == split_replies.replace(_HERE, b"")
    assert (whole.fault is None) is (pieces.fault is None)
    once = replies.replace(_HERE, b"").replace(_WILL_TIMING_MARK, b"")
    assert len(once) <= MOST_REPLIES
    assert b"\xff\xfb" not in once, "WILL stops the local echo of Debian's telnet"
    if b"\xff" not in stream:
        assert not replies
        assert kept == stream
    if len(stream) < MAX_SUBNEGOTIATION:
        assert whole.fault is None
        assert kept == _TELNET.sub(lambda found: found[0][:1] * (found[0] == b"\xff" * 2), stream)


def line(data: bytes) -> None:
    """Read any bytes as lines and commands: nothing but a ChatError, and nothing unclean."""
    step, stream = _split_size(data), data[1:]
    whole = LineInput(Telnet()).feed(stream)
    split = LineInput(Telnet())
    assert whole == b"".join(split.feed(packet) for packet in _packets(stream, step))
    assert len(whole) <= len(stream)
    assert DAMAGE not in whole or b"\xff" in stream
    for raw in whole.split(b"\n"):
        for talk in (False, True):
            _command(raw, talk)


def frame(data: bytes) -> None:
    """Read any bytes as frames and requests: the same however they are split, nothing kept back."""
    step, stream = _split_size(data), data[1:]
    whole, pieces = FrameDecoder(MOST_BODY), FrameDecoder(MOST_BODY)
    bodies = whole.feed(stream)
    assert bodies == [body for packet in _packets(stream, step) for body in pieces.feed(packet)]
    assert (whole.fault is None) is (pieces.fault is None)
    rest = stream
    for body in bodies:
        assert rest.startswith(encode_frame(body))
        rest = rest[LENGTH_BYTES + len(body) :]
    size = int.from_bytes(rest[:LENGTH_BYTES], "big")
    if whole.fault:
        assert len(rest) >= LENGTH_BYTES
        assert size > MOST_BODY
    else:
        assert len(rest) < LENGTH_BYTES or len(rest) - LENGTH_BYTES < size <= MOST_BODY
    for body in bodies:
        _request(body, from_messagepack, msgspec.msgpack.Decoder(dict[str, Any]).decode)


def json(data: bytes) -> None:
    """Read any bytes as one request in JSON."""
    _request(data, from_json, msgspec.json.Decoder(dict[str, Any]).decode)


def websocket(data: bytes) -> None:
    """Read any bytes as WebSocket: the same however they are split, and bounded."""
    step, stream = _split_size(data), data[1:]
    whole, pieces = WebSocketDecoder(MOST_BODY), WebSocketDecoder(MOST_BODY)
    messages = whole.feed(stream)
    split = [each for packet in _packets(stream, step) for each in pieces.feed(packet)]
    assert messages == split
    if whole.closed != pieces.closed:  # text that is both is refused for what is seen first
        assert whole.closed and whole.closed.code is Code.NOT_UTF8
        assert pieces.closed and pieces.closed.code is Code.TOO_BIG
    assert whole.take_pongs() == pieces.take_pongs()
    for opcode, message in messages:
        assert len(message) <= MOST_BODY
        if opcode is Opcode.TEXT:
            message.decode()
    carried = sum(len(message) for _, message in messages)
    if not whole.closed:
        assert whole.take_overhead() == pieces.take_overhead() <= len(stream) - carried


TARGETS: dict[str, Callable[[bytes], None]] = {
    "line": line,
    "telnet": telnet,
    "frame": frame,
    "json": json,
    "websocket": websocket,
}
"""By the names of their directories in the corpus."""


def _command(raw: bytes, talk: bool) -> None:
    try:
        command = parse(decode_line(raw), talk=talk)
    except ChatError as error:
        _shown(error_line(error))
        return
    _names(command)
    text = getattr(command, "text", None)
    if text is not None:
        _shown(text)
        assert text == clean(text).strip() != ""


def _names(command: commands.Command | None) -> None:
    for name in (getattr(command, "room", None), getattr(command, "nick", None)):
        if name is not None:
            _shown(name.display)
            assert _TOKEN.fullmatch(name.token), name
            assert type(name).parse(name.display) == name
            assert type(name).from_token(name.token) == name


def _request(body: bytes, decoder: RequestDecoder, decode: Callable[[bytes], Any]) -> None:
    """Decode a request: what is refused says why, and what is understood is really there."""
    try:
        request = decoder.decode(body)
    except BadFrame:
        return
    try:
        fields = decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        fields = {}  # with something in a field that is passed over
    assert request.id is None or 0 <= request.id <= MOST_ID
    assert not fields or request.id in (None, fields.get("id"))
    assert request.key == "" or re.fullmatch("[A-Za-z0-9_-]{1,64}", request.key)
    if isinstance(request.asked, ChatError):
        _shown(request.asked.message)
        assert len(request.asked.message) < 200
    else:
        assert not fields or fields["op"] in OPS
        _names(request.asked)


def _shown(text: str) -> None:
    assert not _NEVER_SHOWN.search(text), ascii(text)


def _split_size(data: bytes) -> int:
    return max(data[0], 1) if data else 1


def _packets(stream: bytes, size: int) -> Iterator[bytes]:
    return (stream[at : at + size] for at in range(0, len(stream), size))


def _data(tokens: list[bytes | Instruction]) -> bytes:
    return b"".join(token for token in tokens if isinstance(token, bytes))


def _instructions(tokens: list[bytes | Instruction]) -> list[tuple[int, Instruction]]:
    """Each instruction with the number of bytes before it."""
    found, before = [], 0
    for token in tokens:
        if isinstance(token, bytes):
            before += len(token)
        else:
            found.append((before, token))
    return found
