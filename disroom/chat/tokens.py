"""What a client shows that comes back: whose session it wants, and what it has seen already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from disroom.chat.errors import NoSession
from disroom.chat.names import RoomName


@dataclass(frozen=True, slots=True)
class Token:
    """What a user shows to take a session up again; unguessable, and written as one word."""

    session: str
    secret: str

    def __str__(self) -> str:
        return f"{self.session}.{self.secret}"

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read a token; raises `NoSession` where it is none."""
        session, dot, secret = text.partition(".")
        if not (session and dot and secret and text.isascii()):
            raise NoSession
        return cls(session, secret)

    @property
    def key(self) -> str:
        """What is stored of it: SHA-256, hexadecimal."""
        return hashlib.sha256(str(self).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Seen:
    """What a client that comes back has already.

    Attributes:
        log: The identity of the log that it was told; empty for whichever is there.
        seqs: The last seq that it has of each room it knows of.
    """

    log: str = ""
    seqs: Mapping[RoomName, int] = field(default_factory=dict)

    def __str__(self) -> str:
        seqs = {room.token: seq for room, seq in self.seqs.items()}
        return json.dumps([self.log, seqs], separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> Seen:
        """Read what `str` has written; nothing where that is not what it is."""
        try:
            log, seqs = json.loads(text)
            return cls(str(log), {RoomName.from_token(t): int(seq) for t, seq in seqs.items()})
        except (ValueError, TypeError, AttributeError):
            return cls()
