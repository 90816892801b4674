"""What a client is told without having asked, as its program gets it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from disroom.client.rooms import RoomEvent
from disroom.wire import messages


@dataclass(frozen=True, slots=True)
class Connected:
    """There is a connection.

    Attributes:
        nick: What the user is called.
        resumed: Whether the session went on; if not, it was begun, or begun anew.
        instance: The server's name, for people.
    """

    nick: str
    resumed: bool
    instance: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection was lost; another is being made."""

    why: str


@dataclass(frozen=True, slots=True)
class NotRejoined:
    """A room could not be entered, at the beginning or after the session was lost."""

    room: str
    code: str
    message: str


Event = (
    RoomEvent
    | NotRejoined
    | messages.Private
    | messages.Delayed
    | messages.Stored
    | Connected
    | Disconnected
)

Told = (
    RoomEvent
    | messages.Private
    | messages.Delayed
    | messages.Stored
    | messages.Reconnect
    | messages.Goodbye
    | messages.Error
)
"""Everything that a server says of its own accord."""


class Head(msgspec.Struct, frozen=True):
    """What tells an answer from an event, and which."""

    type: str
    id: Any = None  # of a request, or the text that names a message


read_head = msgspec.msgpack.Decoder(Head).decode
_read: Callable[[bytes], Told] = msgspec.msgpack.Decoder(Told).decode

_KNOWN = frozenset(
    kind.__struct_config__.tag for kind in (*messages.StoredMessage.__args__, *Told.__args__)
)


def read_told(head: Head, body: bytes) -> Told | None:
    """Read what a server says; None for what only later versions of it say.

    Raises:
        msgspec.MsgspecError: It is not what the protocol has.
    """
    return _read(body) if head.type in _KNOWN else None
