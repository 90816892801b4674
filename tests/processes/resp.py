"""RESP2, the Redis protocol, taken apart incrementally."""

import socket
from typing import NamedTuple


class RespError(Exception):
    """An error reply; as a value it stands for itself."""


Value = bytes | int | None | RespError | list["Value"]


class RespFrame(NamedTuple):
    """One complete request or reply: its bytes and what they mean (strings of any kind: bytes)."""

    raw: bytes
    value: Value


class RespSplitter:
    """Cuts one direction of a connection into frames."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[RespFrame]:
        """Return the frames that these bytes complete."""
        self._buffer += data
        frames: list[RespFrame] = []
        start = 0
        while (parsed := _parse(self._buffer, start)) is not None:
            value, end = parsed
            frames.append(RespFrame(self._buffer[start:end], value))
            start = end
        self._buffer = self._buffer[start:]
        return frames


def encode(*arguments: str | bytes | int) -> bytes:
    """Return a request."""
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts)


def exchange(
    connection: socket.socket, *arguments: str | bytes | int, password: str | None = None
) -> Value:
    """Return the reply to one command, sent over a new connection.

    Raises:
        RespError: It was answered with an error.
        ConnectionResetError: The connection was closed before.
    """
    requests = [arguments] if password is None else [("AUTH", password), arguments]
    connection.sendall(b"".join(encode(*request) for request in requests))
    splitter = RespSplitter()
    replies: list[Value] = []
    while len(replies) < len(requests):
        data = connection.recv(65536)
        if not data:
            raise ConnectionResetError("the connection was closed without a reply")
        replies += [frame.value for frame in splitter.feed(data)]
    for reply in replies:
        if isinstance(reply, RespError):
            raise reply
    return replies[-1]


def _parse(buffer: bytes, start: int) -> tuple[Value, int] | None:
    """Return the value at `start` and where it ends; None while it is incomplete."""
    line_end = buffer.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, rest, end = buffer[start : start + 1], buffer[start + 1 : line_end], line_end + 2
    match kind:
        case b"+":
            return rest, end
        case b"-":
            return RespError(rest.decode()), end
        case b":":
            return int(rest), end
        case b"$" | b"*" if int(rest) < 0:
            return None, end
        case b"$":
            stop = end + int(rest)
            return (buffer[end:stop], stop + 2) if len(buffer) >= stop + 2 else None
        case b"*":
            items: list[Value] = []
            for _ in range(int(rest)):
                parsed = _parse(buffer, end)
                if parsed is None:
                    return None
                item, end = parsed
                items.append(item)
            return items, end
    raise ValueError(f"not RESP2: {buffer[start : line_end + 2]!r}")
