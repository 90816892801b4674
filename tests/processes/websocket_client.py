"""A WebSocket client that blocks, and that breaks the protocol where a test wants it to."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any, Self

from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage

from tests.processes.dial import dial
from tests.processes.text_client import TIMEOUT

READ_SIZE = 65536

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


class WebSocketClient:
    """One connection, its handshake done. A context manager.

    Args:
        address: Of the web listener: host and port, or a unix socket's path.
        receive_buffer: SO_RCVBUF in bytes, for a client that is to be slow.
        tls: Speak TLS, with this context.
        first: Sent before anything else, as the PROXY protocol has it.
    """

    def __init__(
        self,
        address: tuple[str, int] | Path,
        receive_buffer: int | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        first: bytes = b"",
    ) -> None:
        self.socket = dial(address, TIMEOUT, tls=tls, receive_buffer=receive_buffer)
        self.wire = Connection(ConnectionType.CLIENT)
        self.close_code: int | None = None
        self._messages: list[Any] = []
        self._last = 0
        self.socket.sendall(first + HANDSHAKE)
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._read()
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.wire.receive_data(rest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def send(self, op: str, **fields: Any) -> int:
        """Send a request, and return its id."""
        self._last += 1
        text = json.dumps({"op": op, "id": self._last, **fields})
        self.socket.sendall(self.wire.send(TextMessage(text)))
        return self._last

    def ask(self, op: str, **fields: Any) -> Any:
        """Send a request and return its answer; what else comes meanwhile is dropped."""
        id_ = self.send(op, **fields)
        while True:
            message = self.read()
            if message.get("id") == id_ and message["type"] in ("ok", "error"):
                return message

    def read(self) -> Any:
        """The next message.

        Raises:
            EOFError: The connection has ended; `close_code` is set if the server said why.
            TimeoutError: There was none for 10 s.
        """
        while not self._messages:
            if self.close_code is None:
                self._take_events()
            if not self._messages:
                data = self._read()
                if self.close_code is None:
                    self.wire.receive_data(data)
        return self._messages.pop(0)

    def read_to_end(self) -> list[Any]:
        """All messages until the connection ends."""
        messages = []
        try:
            while True:
                messages.append(self.read())
        except EOFError:
            return messages

    def _take_events(self) -> None:
        for event in self.wire.events():
            match event:
                case TextMessage():
                    self._messages.append(json.loads(event.data))
                case Ping():
                    self.socket.sendall(self.wire.send(event.response()))
                case CloseConnection():
                    self.close_code = int(event.code)

    def _read(self) -> bytes:
        try:
            data = self.socket.recv(READ_SIZE)
        except ConnectionResetError:
            data = b""
        if not data:
            raise EOFError
        return data
