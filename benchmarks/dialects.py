"""The protocols that the generator speaks: DisRoom's text protocol, and core NATS."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

TEXT_BYTES = 64
"""Of each message."""

_BODY = rb"@(\d+):(\d+):x*\r\n"


def text(sender: int, seq: int) -> bytes:
    """What a sender says: its place in the room and the number of the message, from 0."""
    return b"@%d:%d:" % (sender, seq) + b"x" * (TEXT_BYTES - len(f"@{sender}:{seq}:"))


@dataclass(frozen=True, slots=True)
class Dialect:
    """One protocol.

    Attributes:
        enter: Given a nick and a room, what a client sends to be in the room.
        entered: Is in what it then receives, once it is.
        say: Given a room and a text, what a sender sends.
        message: Given a room, matches one message as every member receives it. Its groups are the
            sender and the number.
        one_order: Whether all members receive a room's messages in the same order.
        ping: Sent by the server at any time; to be answered and otherwise ignored.
        pong: The answer.
    """

    name: str
    enter: Callable[[str, str], bytes]
    entered: bytes
    say: Callable[[str, bytes], bytes]
    message: Callable[[str], re.Pattern[bytes]]
    one_order: bool = True
    ping: bytes = b""
    pong: bytes = b""


DISROOM = Dialect(
    name="DisRoom",
    enter=lambda nick, room: f"nick {nick}\njoin {room}\n".encode(),
    entered=b"\r\n-- #",
    say=lambda room, said: b"send %b\n" % said,
    message=lambda room: re.compile(rb"\[\d\d:\d\d:\d\d\] #%b [a-z0-9]+: " % room.encode() + _BODY),
)

NATS = Dialect(
    name="NATS core",
    enter=lambda nick, room: (
        f'CONNECT {{"verbose":false,"pedantic":false}}\r\nSUB {room} 1\r\nPING\r\n'.encode()
    ),
    entered=b"PONG",
    say=lambda room, said: b"PUB %b %d\r\n%b\r\n" % (room.encode(), len(said), said),
    message=lambda room: re.compile(rb"MSG %b 1 \d+\r\n" % room.encode() + _BODY),
    one_order=False,
    ping=b"PING\r\n",
    pong=b"PONG\r\n",
)
