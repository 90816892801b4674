"""One client that asks one thing after the other and takes the time of each answer."""

from __future__ import annotations

import socket
import time
from typing import Self

PROMPTLY = 10.0
READ_BYTES = 1 << 20


class Prober:
    """A user who waits for each answer; a context manager.

    Args:
        address: Of the instance.
        nick: Who it is.
    """

    def __init__(self, address: tuple[str, int], nick: str) -> None:
        self._socket = socket.create_connection(address, PROMPTLY)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ask(f"nick {nick}", b"You are ")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    def ask(self, line: str, last: bytes) -> float:
        """Send a line, and return the seconds until a line that begins with `last` is whole.

        What else comes before it is dropped, also what others say.
        """
        begin = time.perf_counter()
        self._socket.sendall(f"{line}\n".encode())
        received = b""
        while True:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise ConnectionError(f"the connection ended instead of an answer to {line!r}")
            received = b"\n" + data if not received else received + data
            start = received.find(b"\n" + last)
            if start >= 0 and received.find(b"\n", start + 1) >= 0:
                return time.perf_counter() - begin
            if b"\nError: " in received:
                raise ConnectionError(f"{line!r} was answered with {received[-200:]!r}")
