"""What a session answers to its user: frozen values that each codec renders its own way."""

from __future__ import annotations

from dataclasses import dataclass

from disroom.chat.events import Member
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Whereabouts
from disroom.chat.stored import Page, Topic


@dataclass(frozen=True, slots=True)
class Named:
    """The user goes by this nick now."""

    nick: Nick


@dataclass(frozen=True, slots=True)
class UserList:
    """Who is in a room, in the order of their joining.

    Attributes:
        members: The first of them, as many as are listed at the most.
        total: How many there are.
        stale: The presence store could not be asked: this is what the instance last knew.
    """

    room: RoomName
    members: tuple[Member, ...]
    total: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class History:
    """A part of a room's history, oldest first.

    Attributes:
        asked: How many messages were asked for.
        before: The seq before which they were asked for, None for the last ones.
    """

    room: RoomName
    asked: int
    page: Page
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Entered:
    """The user is in the room now.

    Attributes:
        topic: None where the room has none.
        backlog: The room's last messages; None where the user was in the room already.
        position: The seq up to which the user has been given everything of the room.
    """

    room: RoomName
    nick: Nick
    users: UserList
    topic: Topic | None
    backlog: History | None
    position: int = 0


@dataclass(frozen=True, slots=True)
class Departed:
    """The user has left the room; ``current`` is the room it talks in from now on."""

    room: RoomName
    current: RoomName | None


@dataclass(frozen=True, slots=True)
class ListedRoom:
    """A room with people in it."""

    name: RoomName
    members: int
    topic: Topic | None


@dataclass(frozen=True, slots=True)
class RoomList:
    """The rooms with people, fullest first; ``total`` counts those beyond the list as well."""

    rooms: tuple[ListedRoom, ...]
    total: int


@dataclass(frozen=True, slots=True)
class TopicIs:
    """The topic of a room, None where it has none."""

    room: RoomName
    topic: Topic | None


@dataclass(frozen=True, slots=True)
class AwaySet:
    """The user is marked away with this text, or back (None)."""

    text: str | None


@dataclass(frozen=True, slots=True)
class IgnoreSet:
    """What this nick says is hidden from the user from now on, or shown again."""

    nick: Nick
    ignored: bool


@dataclass(frozen=True, slots=True)
class Whois:
    """Who is behind a nick."""

    whereabouts: Whereabouts


@dataclass(frozen=True, slots=True)
class Resumable:
    """The session outlives its connection, for ``grace`` seconds; ``token`` takes it up again."""

    token: str
    grace: float


@dataclass(frozen=True, slots=True)
class Restored:
    """The user has its session back; what it missed follows as events.

    Attributes:
        rooms: Those that it is in, each with a backlog where it is not known what the user has of
            it, so that nothing follows but what is new.
        current: The room that it talks in.
        token: The next one.
        grace: As in `Resumable`.
    """

    nick: Nick
    rooms: tuple[Entered, ...]
    current: RoomName | None
    token: str
    grace: float


Reply = (
    Named
    | Resumable
    | Restored
    | UserList
    | History
    | Entered
    | Departed
    | RoomList
    | TopicIs
    | AwaySet
    | IgnoreSet
    | Whois
)
