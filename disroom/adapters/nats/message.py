"""A message from NATS, read no further than somebody asks."""

from __future__ import annotations

from nats.aio.msg import Msg

_LINE = b"\r\n"
_VERSION = "NATS/1.0"


class Incoming:
    """What a subscriber is given.

    Attributes:
        raw_subject: As it stands on the wire.
        raw_reply: As it stands on the wire; empty for none.
        data: The payload.
        head: The header block with its blank line; empty for none.
    """

    __slots__ = ("data", "head", "raw_reply", "raw_subject")

    def __init__(self, raw_subject: bytes, raw_reply: bytes, data: bytes, head: bytes) -> None:
        self.raw_subject = raw_subject
        self.raw_reply = raw_reply
        self.data = data
        self.head = head

    @classmethod
    def of(cls, message: Msg) -> Incoming:
        """The same of nats-py's message, which has parsed it all."""
        head = encode_headers(message.headers) if message.headers else b""
        return cls(message.subject.encode(), message.reply.encode(), message.data, head)

    @property
    def subject(self) -> str:
        """What it was published to."""
        return self.raw_subject.decode(errors="replace")

    @property
    def reply(self) -> str:
        """Where an answer is expected; empty for nowhere."""
        return self.raw_reply.decode(errors="replace")

    @property
    def headers(self) -> dict[str, str]:
        """The fields, of which a status is one."""
        return parse_headers(self.head) if self.head else {}


def parse_headers(raw: bytes) -> dict[str, str]:
    """Read a header block (NATS ADR-4): a version line, perhaps with a status, then the fields."""
    version, *fields = raw.split(_LINE)
    headers: dict[str, str] = {}
    status = version[len(_VERSION) :].decode(errors="replace").strip()
    if status:
        code, _, description = status.partition(" ")
        headers["Status"] = code
        if description:
            headers["Description"] = description
    for field in fields:
        name, colon, value = field.decode(errors="replace").partition(":")
        if colon:
            headers[name] = value.strip()
    return headers


def encode_headers(headers: dict[str, str]) -> bytes:
    """Write a header block; `parse_headers` reads the same fields."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{_VERSION}\r\n{lines}\r\n".encode()
