"""A program that speaks frames, for tests that block; it shares no code with the service."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import msgspec

from tests.processes.client import LineClient
from tests.processes.text_client import TIMEOUT, Clients

Map = dict[str, Any]

SHOWN_MESSAGES = 10


class FrameClient(LineClient):
    """A program on a socket.

    Its requests have the ids 1, 2, 3... A cursor runs over the messages, as over `TextClient`'s
    lines; answers that `ask` waits for are found wherever they are.

    Args:
        clients: The group to read it with.
        address: Host and port, or a unix socket's path.
        tls, receive_buffer: As in `LineClient`.

    Attributes:
        messages: All that were read, in order, without the greeting.
    """

    def __init__(
        self,
        clients: Clients,
        address: tuple[str, int] | Path,
        *,
        tls: ssl.SSLContext | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        self.messages: list[Map] = []
        self._bytes = b""
        self._greeted = False
        self._at = 0
        self._last = 0
        super().__init__(clients, address, tls=tls, receive_buffer=receive_buffer)

    def request(self, op: str, **fields: Any) -> int:
        """Send a request and return its id."""
        self._last += 1
        self.send_frame(msgspec.msgpack.encode({"op": op, "id": self._last, **fields}))
        return self._last

    def send_frame(self, body: bytes) -> None:
        """Send a frame with any bytes in it."""
        self.send(len(body).to_bytes(4, "big") + body)

    def ask(self, op: str, **fields: Any) -> Map:
        """Send a request and return its answer, whatever comes before it."""
        return self.answer(self.request(op, **fields))

    def answer(self, id_: int, timeout: float = TIMEOUT) -> Map:
        """Wait for the answer to a request.

        Raises:
            AssertionError: The connection ended without it, or `timeout` seconds passed.
        """

        def found() -> Map | None:
            answers = (m for m in self.messages if m["type"] in ("ok", "error"))
            return next((m for m in answers if m.get("id") == id_), None)

        self._wait(lambda: found() is not None, timeout, f"no answer to request {id_}")
        answer = found()
        assert answer is not None
        return answer

    def expect_message(self, type_: str, timeout: float = TIMEOUT, **fields: Any) -> Map:
        """Return the next message of a type with these fields.

        Raises:
            AssertionError: As `answer`.
        """
        wanted = {"type": type_, **fields}

        def found() -> bool:
            while self._at < len(self.messages):
                self._at += 1
                if wanted.items() <= self.messages[self._at - 1].items():
                    return True
            return False

        self._wait(found, timeout, f"no message with {wanted}")
        return self.messages[self._at - 1]

    def said(self, room: str) -> list[tuple[int, str]]:
        """The seq and the text of everything that was said in a room, as it came."""
        said = (m for m in self.messages if m["type"] == "said" and m["room"] == room)
        return [(m["seq"], m["text"]) for m in said]

    def _take(self, data: bytes) -> None:
        self._bytes += data
        if not self._greeted:
            _, zero, rest = self._bytes.partition(b"\0")
            if not zero:
                return
            self._greeted = True
            self._bytes = zero + rest
        at = 0
        while len(self._bytes) - at >= 4:
            end = at + 4 + int.from_bytes(self._bytes[at : at + 4], "big")
            if len(self._bytes) < end:
                break
            self.messages.append(msgspec.msgpack.decode(self._bytes[at + 4 : end]))
            at = end
        self._bytes = self._bytes[at:]

    def _trouble(self, what: str) -> str:
        last = "\n".join(f"  {message}" for message in self.messages[-SHOWN_MESSAGES:])
        return f"{what}; the last messages:\n{last}\n  {self._bytes[:80]!r} (unfinished)"


def device(
    clients: Clients, address: tuple[str, int] | Path, nick: str, *rooms: str, **settings: Any
) -> FrameClient:
    """Connect a program that takes a name and joins rooms; returns once it is in them."""
    client = FrameClient(clients, address, **settings)
    assert client.ask("hello", nick=nick)["type"] == "ok"
    for room in rooms:
        assert client.ask("join", room=room)["type"] == "ok"
    return client
