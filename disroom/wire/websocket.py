"""WebSocket (RFC 6455), the server's side: the handshake's rules, and frames in and out.

Frames are read by wsproto. ``twisted.web.websocket``, which is made on it too, gathers a fragmented
message without a bound, answers pings into a transport that may be full, and takes a connection
over by a private method. No extension and no subprotocol is negotiated: every message is whole in
one frame of ours, without compression, so that one frame serves all members of a room.
"""

from __future__ import annotations

import base64
import hashlib
from binascii import Error as Base64Error
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage

MOST_BYTES = 65536
"""The longest message that is read."""

VERSION = b"13"

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MOST_REASON = 123
_FINAL = 0x80


class Opcode(IntEnum):
    """What a frame is."""

    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Code(IntEnum):
    """Why a connection is closed (RFC 6455, section 7.4.1, and IANA's registry)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED = 1003
    NOT_UTF8 = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013


class HandshakeError(Exception):
    """A request is no WebSocket handshake that can be answered.

    Attributes:
        status: Of the HTTP response: 400, or 426 where another version would do.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def accept(
    *, upgrade: Iterable[bytes], connection: Iterable[bytes], version: bytes, key: bytes
) -> bytes:
    """Look at the headers of a handshake and return the value of ``Sec-WebSocket-Accept``.

    Raises:
        HandshakeError: They are not those of a handshake (section 4.2.1).
    """
    if b"websocket" not in _tokens(upgrade) or b"upgrade" not in _tokens(connection):
        raise HandshakeError("a WebSocket handshake was expected")
    if version != VERSION:
        raise HandshakeError("only version 13 of WebSocket is spoken", 426)
    try:
        nonce = base64.b64decode(key, validate=True)
    except Base64Error:
        nonce = b""
    if len(nonce) != 16:
        raise HandshakeError("Sec-WebSocket-Key is not 16 bytes in base64")
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())  # the RFC's choice


def _tokens(values: Iterable[bytes]) -> set[bytes]:
    return {token.strip().lower() for value in values for token in value.split(b",")}


def frame(opcode: Opcode, payload: bytes) -> bytes:
    """One frame of the server's: final, not masked."""
    size = len(payload)
    if size < 126:
        head = bytes((_FINAL | opcode, size))
    elif size < 65536:
        head = bytes((_FINAL | opcode, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FINAL | opcode, 127)) + size.to_bytes(8, "big")
    return head + payload


def close_frame(code: Code, reason: str = "") -> bytes:
    """The last frame of the server's; a reason that is too long is cut."""
    cut = reason.encode()[:_MOST_REASON].decode(errors="ignore").encode()
    return frame(Opcode.CLOSE, int(code).to_bytes(2, "big") + cut)


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing more is read: the client closes, or has broken the protocol.

    Attributes:
        code: What to answer.
        fault: What the client did wrong; empty where it just closes.
    """

    code: Code
    fault: str = ""


class WebSocketDecoder:
    """Puts messages together from what arrives, however it is split or fragmented.

    Keeps less than one message: what passes the greatest length is refused when the part that does
    arrives.

    Args:
        most: The longest message, in bytes of UTF-8 where it is text.

    Attributes:
        closed: Set once nothing more is read. Messages before it are still good.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._connection = Connection(ConnectionType.SERVER)
        self._most = most
        self._message = bytearray()
        self._pongs: list[bytes] = []
        self._overhead = 0
        self.closed: Closed | None = None

    def feed(self, data: bytes) -> list[tuple[Opcode, bytes]]:
        """Take what has arrived and return the messages that are complete with it, in order."""
        if self.closed:
            return []
        self._overhead += len(data)
        self._connection.receive_data(data)
        messages: list[tuple[Opcode, bytes]] = []
        for event in self._connection.events():
            match event:
                case TextMessage() | BytesMessage():
                    payload = event.data
                    part = payload.encode() if isinstance(payload, str) else bytes(payload)
                    self._message += part
                    self._overhead -= len(part)
                    if len(self._message) > self._most:
                        why = f"a message has at most {self._most} bytes"
                        self._stop(Closed(Code.TOO_BIG, why))
                        break
                    if event.message_finished:
                        opcode = Opcode.TEXT if isinstance(payload, str) else Opcode.BINARY
                        messages.append((opcode, bytes(self._message)))
                        self._message.clear()
                case Ping():
                    self._pongs.append(frame(Opcode.PONG, bytes(event.payload)))
                case CloseConnection():
                    self._stop(self._close(event))
                    break
        return messages

    def take_pongs(self) -> bytes:
        """The answers to pings, to be sent before anything that waits."""
        pongs, self._pongs = b"".join(self._pongs), []
        return pongs

    def take_overhead(self) -> int:
        """How many bytes have arrived, since this was last asked, that carry no message."""
        overhead, self._overhead = self._overhead, 0
        return overhead

    def _stop(self, closed: Closed) -> None:
        self.closed = closed
        self._message.clear()

    def _close(self, event: CloseConnection) -> Closed:
        if self._connection.state.name == "REMOTE_CLOSING":
            return Closed(Code.NORMAL)
        code = Code(event.code)
        fault = "text is not UTF-8" if code is Code.NOT_UTF8 else event.reason
        return Closed(code, fault or "the protocol was broken")
