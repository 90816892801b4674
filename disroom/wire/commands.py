"""What a client can ask for, as frozen values: every codec hands the same ones to a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct, field

from disroom.chat.names import Nick, RoomName


class Hello(Struct, frozen=True):
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


class SetNick(Struct, frozen=True):
    """Take a nick, or exchange it."""

    nick: Nick


class Join(Struct, frozen=True):
    """Enter a room, or make it the current one."""

    room: RoomName


class Leave(Struct, frozen=True):
    """Leave a room, None for the current one."""

    room: RoomName | None


class Say(Struct, frozen=True):
    """Say a text in a room, None for the current one."""

    text: str
    room: RoomName | None = None


class Act(Struct, frozen=True):
    """Describe an action in a room, None for the current one."""

    text: str
    room: RoomName | None = None


class Whisper(Struct, frozen=True):
    """Send a private message."""

    nick: Nick
    text: str


class ListUsers(Struct, frozen=True):
    """Tell who is in a room, None for the current one."""

    room: RoomName | None


class ListRooms(Struct, frozen=True):
    """Tell which rooms have people."""


class GetTopic(Struct, frozen=True):
    """Tell a room's topic, None for the current one."""

    room: RoomName | None = None


class SetTopic(Struct, frozen=True):
    """Set a room's topic, or take it away by an empty text; None for the current room's."""

    text: str
    room: RoomName | None = None


class GetHistory(Struct, frozen=True):
    """Read a room's last messages, or those before a seq.

    Attributes:
        count: None for as many as are usual.
        before: None for the last ones.
        room: None for the current one.
    """

    count: int | None
    before: int | None
    room: RoomName | None = None


class SetAway(Struct, frozen=True):
    """Leave an away text, None to be back."""

    text: str | None


class Ignore(Struct, frozen=True):
    """Hide what a nick says, or show it again."""

    nick: Nick
    ignored: bool


class WhoIs(Struct, frozen=True):
    """Tell who is behind a nick."""

    nick: Nick


class MakeResumable(Struct, frozen=True):
    """Have the session outlive its connection, and tell the token that takes it up again."""


class Resume(Struct, frozen=True):
    """Take a session up again."""

    token: str


class Talk(Struct, frozen=True):
    """Whether a line without a leading ``/`` is said."""

    on: bool


class Ping(Struct, frozen=True):
    """Ask for a sign of life."""


class Help(Struct, frozen=True):
    """Explain the verbs of the text protocol, or the one of this name."""

    verb: str | None


class ShowMotd(Struct, frozen=True):
    """Show the message of the day."""


class Exit(Struct, frozen=True):
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
