"""What a message takes on the wire: python -m benchmarks.sizes.

A sensor says ``23.5 °C`` in a room. The bytes are those of the service's own codecs with ids of
their real length; WebSocket adds its frame (RFC 6455). HTTP is what Python's client and server send
with as few headers as they can (no Server, no Date, no cookies), over a connection that is kept
open. TCP and TLS, the same for all, are not counted.
"""

from __future__ import annotations

import http.client
import io
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

import msgspec

from disroom.chat.events import Message
from disroom.chat.names import Nick, RoomName
from disroom.wire import frame, messages
from disroom.wire.line import LineFormat
from disroom.wire.messageformat import stored_message, to_json, to_messagepack

ID = "kQ3vXw1o9TzYb2LmN4pRs0"
"""As long as those that sessions and messages have."""

MESSAGE = Message(
    RoomName.trusted("lab"),
    184_467,
    1764000245.123,
    ID,
    "said",
    Nick.trusted("sensor-12"),
    ID,
    "23.5 °C",
)
REQUEST = {"op": "send", "id": 1000, "room": "lab", "text": MESSAGE.text}
RECEIPT = messages.Posted(1000, "lab", MESSAGE.seq)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of one message.

    Attributes:
        sent: To the server.
        receipt: The answer that it is stored; in the text protocol the message itself.
        received: By each member.
    """

    name: str
    sent: int
    receipt: int
    received: int


def sizes() -> tuple[Sizes, ...]:
    """Measure each way of saying it."""
    event, asked = stored_message(MESSAGE), MESSAGE.text
    line = LineFormat().event(MESSAGE)
    return (
        Sizes("text", len(f"send {asked}\r\n".encode()), len(line), len(line)),
        Sizes(
            "frames (MessagePack)",
            len(frame.encode(to_messagepack(REQUEST))),
            len(frame.encode(to_messagepack(RECEIPT))),
            len(frame.encode(to_messagepack(event))),
        ),
        _websocket("WebSocket, MessagePack", to_messagepack, event),
        _websocket("WebSocket, JSON", to_json, event),
        Sizes(
            "HTTP, JSON",
            len(_http_request("POST", "/rooms/lab/messages", {"text": asked})),
            len(_http_answer({"seq": MESSAGE.seq})),
            len(_http_request("GET", f"/rooms/lab/messages?after={MESSAGE.seq - 1}"))
            + len(_http_answer([msgspec.to_builtins(event)])),
        ),
    )


def table() -> str:
    """The sizes as docs/performance.md has them."""
    rows = [f"{'bytes a message':<24}{'sent':>8}{'receipt':>10}{'received':>10}"]
    rows += [f"{s.name:<24}{s.sent:>8}{s.receipt:>10}{s.received:>10}" for s in sizes()]
    return "\n".join(rows)


def _websocket(name: str, encode: Callable[[Any], bytes], event: Any) -> Sizes:
    sent, receipt, received = len(encode(REQUEST)), len(encode(RECEIPT)), len(encode(event))
    masked = 4  # what a client sends is
    return Sizes(
        name, _head(sent) + masked + sent, _head(receipt) + receipt, _head(received) + received
    )


def _head(size: int) -> int:
    return 2 if size < 126 else 4


class _Recorder:
    """Takes what is sent, in place of a socket."""

    def __init__(self) -> None:
        self.data = b""

    def sendall(self, data: bytes) -> None:
        """Send."""
        self.data += data


def _http_request(method: str, path: str, body: Any = None) -> bytes:
    recorder = _Recorder()
    connection = http.client.HTTPConnection("chat.example.org")
    connection.sock = cast(socket.socket, recorder)
    headers = {} if body is None else {"Content-Type": "application/json"}
    encoded = None if body is None else to_json(body)
    connection.request(method, path, encoded, headers)
    return recorder.data


class _Answer(BaseHTTPRequestHandler):
    """Writes one answer into memory."""

    protocol_version = "HTTP/1.1"

    def __init__(self) -> None:
        self.wfile = io.BytesIO()
        self.request_version = "HTTP/1.1"


def _http_answer(body: Any) -> bytes:
    answer, encoded = _Answer(), to_json(body)
    answer.send_response_only(200)
    answer.send_header("Content-Type", "application/json")
    answer.send_header("Content-Length", str(len(encoded)))
    answer.end_headers()
    answer.wfile.write(encoded)
    return cast(io.BytesIO, answer.wfile).getvalue()


if __name__ == "__main__":
    print(table())
