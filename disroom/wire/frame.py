"""Frames: a length of four bytes, big-endian, and as many bytes after it.

A frame of less than 16 MiB begins with 0x00, which no text begins with: by its first byte a client
is told from one that sends lines.
"""

from __future__ import annotations

from disroom.wire.errors import FrameTooLong

FIRST_BYTE = 0
"""What a client that speaks frames begins with."""

MOST_BYTES = 65536
"""The longest frame that is read, without its length."""

LENGTH_BYTES = 4


def encode(body: bytes) -> bytes:
    """Put the length in front. The server's own frames have no greatest length but 4 GiB."""
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


class FrameDecoder:
    """Cuts what arrives into the bodies of frames, however it is split.

    Keeps less than one frame: a length that passes the greatest is known by its four bytes, before
    any of what it announces is kept.

    Args:
        most: The longest body.

    Attributes:
        fault: Why nothing more is read, once that is so. What came before it is still good.
    """

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._kept = bytearray()
        self.fault: FrameTooLong | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Take what has arrived and return the bodies that are complete with it, in order."""
        if self.fault:
            return []
        self._kept += data
        bodies: list[bytes] = []
        at = 0
        while len(self._kept) - at >= LENGTH_BYTES:
            start = at + LENGTH_BYTES
            size = int.from_bytes(self._kept[at:start], "big")
            if size > self._most:
                self.fault = FrameTooLong(self._most)
                return bodies
            if len(self._kept) < start + size:
                break
            at = start + size
            bodies.append(bytes(self._kept[start:at]))
        del self._kept[:at]
        return bodies
