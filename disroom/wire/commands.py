"""What a client can ask for, as frozen values: every codec hands the same ones to a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from disroom.chat.names import Nick, RoomName


@dataclass(frozen=True, slots=True)
class Hello:
    """Begin, or go on where a session was dropped; for programs, no verb of the text protocol.

    Attributes:
        nick: To take at once.
        token: Of the session to go on with, from the last answer to a hello.
        log: The identity of the message log, as it was told then.
        seqs: The last seq that was seen of each room.
    """

    nick: Nick | None = None
    token: str | None = None
    log: str | None = None
    seqs: Mapping[RoomName, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetNick:
    """Take a nick, or exchange it."""

    nick: Nick


@dataclass(frozen=True, slots=True)
class Join:
    """Enter a room, or make it the current one."""

    room: RoomName


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave a room, None for the current one."""

    room: RoomName | None


@dataclass(frozen=True, slots=True)
class Say:
    """Say a text in a room, None for the current one."""

    text: str
    room: RoomName | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """Describe an action in a room, None for the current one."""

    text: str
    room: RoomName | None = None


@dataclass(frozen=True, slots=True)
class Whisper:
    """Send a private message."""

    nick: Nick
    text: str


@dataclass(frozen=True, slots=True)
class ListUsers:
    """Tell who is in a room, None for the current one."""

    room: RoomName | None


@dataclass(frozen=True, slots=True)
class ListRooms:
    """Tell which rooms have people."""


@dataclass(frozen=True, slots=True)
class GetTopic:
    """Tell a room's topic, None for the current one."""

    room: RoomName | None = None


@dataclass(frozen=True, slots=True)
class SetTopic:
    """Set a room's topic, or take it away by an empty text; None for the current room's."""

    text: str
    room: RoomName | None = None


@dataclass(frozen=True, slots=True)
class GetHistory:
    """Read a room's last messages, or those before a seq.

    Attributes:
        count: None for as many as are usual.
        before: None for the last ones.
        room: None for the current one.
    """

    count: int | None
    before: int | None
    room: RoomName | None = None


@dataclass(frozen=True, slots=True)
class SetAway:
    """Leave an away text, None to be back."""

    text: str | None


@dataclass(frozen=True, slots=True)
class Ignore:
    """Hide what a nick says, or show it again."""

    nick: Nick
    ignored: bool


@dataclass(frozen=True, slots=True)
class WhoIs:
    """Tell who is behind a nick."""

    nick: Nick


@dataclass(frozen=True, slots=True)
class MakeResumable:
    """Have the session outlive its connection, and tell the token that takes it up again."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Take a session up again."""

    token: str


@dataclass(frozen=True, slots=True)
class Talk:
    """Whether a line without a leading ``/`` is said."""

    on: bool


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask for a sign of life."""


@dataclass(frozen=True, slots=True)
class Help:
    """Explain the verbs of the text protocol, or the one of this name."""

    verb: str | None


@dataclass(frozen=True, slots=True)
class ShowMotd:
    """Show the message of the day."""


@dataclass(frozen=True, slots=True)
class Exit:
    """End the session once what was sent is stored."""


Post: TypeAlias = Say | Act | SetTopic

Command: TypeAlias = (
    Hello
    | SetNick
    | Join
    | Leave
    | Say
    | Act
    | Whisper
    | ListUsers
    | ListRooms
    | GetTopic
    | SetTopic
    | GetHistory
    | SetAway
    | Ignore
    | WhoIs
    | MakeResumable
    | Resume
    | Talk
    | Ping
    | Help
    | ShowMotd
    | Exit
)
