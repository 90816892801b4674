"""What happens in rooms and between people: frozen values, the same for every transport.

Times are Unix seconds (UTC). A ``seq`` is a message's place in the one stream that holds every
room, so within a room it grows but is not dense. A ``session`` is the opaque id of the session that
acted: a nick may pass from one person to another, a session's id does not.

What every message is made into is a named tuple: that takes a quarter of a frozen dataclass's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from disroom.chat.errors import ChatError
from disroom.chat.names import Nick, RoomName


class Draft(NamedTuple):
    """A message on its way into the log.

    Attributes:
        id: Chosen by the sender's instance and kept across retries; the log stores an id once.
        repeated: It may be stored already: its sender has a key of its own for it.
    """

    id: str
    kind: Literal["said", "did", "topic"]
    nick: Nick
    session: str
    text: str
    repeated: bool = False


class Message(NamedTuple):
    """A stored message: ``said``, ``did`` (an action) or ``topic`` (the room's new topic)."""

    room: RoomName
    seq: int
    at: float
    id: str
    kind: Literal["said", "did", "topic"]
    nick: Nick
    session: str
    text: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages between two seqs (inclusive) were missed and can no longer be had.

    Attributes:
        first: None where the log itself was started anew, so that there are no seqs to name.
    """

    room: RoomName
    first: int | None
    last: int | None


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody in a room."""

    session: str
    nick: Nick
    away: bool = False


@dataclass(frozen=True, slots=True)
class Joined:
    """People came into a room, at the same moment."""

    room: RoomName
    at: float
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Left:
    """People left a room, at the same moment.

    Attributes:
        reason: Why, for people to read; empty when they just left.
    """

    room: RoomName
    at: float
    members: tuple[Member, ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A member of a room goes by another nick from now on."""

    room: RoomName
    at: float
    session: str
    old: Nick
    new: Nick


@dataclass(frozen=True, slots=True)
class MarkedAway:
    """Members of a room are away from now on, or back, each as its mark says."""

    room: RoomName
    at: float
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class PrivateMessage:
    """A text from one session to another, not stored.

    Attributes:
        session: The recipient's session.
        away: What the recipient left as its away text, told to the sender; None if it is there.
    """

    id: str
    at: float
    sender: Nick
    session: str
    recipient: Nick
    text: str
    away: str | None = None


@dataclass(frozen=True, slots=True)
class PrivateReceived:
    """A private message, as its recipient sees it."""

    message: PrivateMessage


@dataclass(frozen=True, slots=True)
class PrivateSent:
    """A private message that its recipient's instance has acknowledged, as its sender sees it."""

    message: PrivateMessage


@dataclass(frozen=True, slots=True)
class Delayed:
    """A message of this user has been waiting for the log for a second; it is still being tried.

    Attributes:
        id: The message's.
    """

    room: RoomName
    id: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Something that this user set off earlier went wrong."""

    error: ChatError


@dataclass(frozen=True, slots=True)
class StoredAfterAll:
    """A message that was reported as not stored is in the room after all."""

    message: Message


RoomEvent: TypeAlias = Message | Gap | Joined | Left | Renamed | MarkedAway
Event: TypeAlias = RoomEvent | PrivateReceived | PrivateSent | Delayed | Failed | StoredAfterAll
