"""What the log tells of a room: its messages, by the page or since some, and its topic."""

from __future__ import annotations

from dataclasses import dataclass

from disroom.chat.events import Message
from disroom.chat.names import Nick


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a room's history.

    Attributes:
        messages: Oldest first, with nothing of that room missing in between.
        older: Whether the log holds messages of the room before the first of these.
    """

    messages: tuple[Message, ...]
    older: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """What came into a room after some message.

    Attributes:
        messages: Oldest first, with nothing of that room missing in between.
        lost: The first and the last seq of a range before them in which some may have been removed,
            or were too many to be read; None where there was none.
    """

    messages: tuple[Message, ...]
    lost: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """The messages of a room that a follower holds: all that the log should have from a seq on.

    Attributes:
        first: The seq of the oldest.
        count: How many they are.
    """

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Topic:
    """What a room is about: who said so, and when (Unix seconds)."""

    text: str
    nick: Nick
    at: float
