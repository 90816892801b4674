"""What presence tells: who is in a room, what changes there, and where somebody is."""

from __future__ import annotations

from dataclasses import dataclass

from disroom.chat.events import Member
from disroom.chat.names import Nick, RoomName


@dataclass(frozen=True, slots=True)
class Roster:
    """Who was in a room at one version of its presence.

    Attributes:
        name: The room's name as its first member wrote it.
        version: Grows by one with each change while a room has members; see `Change`. Without
            members, that of the change which the joining was, or what was known where it was none.
        at: When that was, by the store's clock, Unix seconds.
        members: Everybody, in the order of their joining; None where what the caller knows becomes
            the same by the changes that it hears of (see `IPresence.join`).
        settled: False while the presence store is being rebuilt and members may be missing.
    """

    name: RoomName
    version: int
    at: float
    members: tuple[Member, ...] | None
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Listing:
    """The members of a room that came first.

    Attributes:
        name: As in `Roster`.
        total: How many members there are.
        members: In the order of their joining; None where the version that the caller knows is the
            newest, so that its own list is right.
        settled: As in `Roster`.
    """

    name: RoomName
    total: int
    members: tuple[Member, ...] | None
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a room's presence.

    Attributes:
        at: When it was made, by the store's clock, Unix seconds.
        version: The room's version after the change. One more than the last that was seen: nothing
            was missed. Equal or less: known already. Anything greater: something was missed, and
            only a `Roster` tells what. Versions never fall, not even when the store lost
            everything or when the room was empty for a while.
        renamed: Pairs of the member as it was and as it is: of another nick, or away or back.
    """

    room: RoomName
    version: int
    at: float
    joined: tuple[Member, ...] = ()
    left: tuple[Member, ...] = ()
    renamed: tuple[tuple[Member, Member], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Resumed:
    """A session that was taken over, as it was left.

    Attributes:
        since: When the session took its first nick, by the store's clock, Unix seconds.
        at: When it was taken over, by the same clock.
        away: The away text, None when the user is not away.
        rooms: Those that it is in, in the order of its joining.
        given: As `IPresence.suspend` noted it; empty where it was not suspended.
    """

    nick: Nick
    since: float
    at: float
    away: str | None
    rooms: tuple[RoomName, ...]
    given: str = ""


@dataclass(frozen=True, slots=True)
class RoomSummary:
    """A room with people in it."""

    name: RoomName
    members: int


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a nick's session is held.

    Attributes:
        instance: The incarnation that holds the session, as `ICourier.send` takes it; empty where
            the instance is gone and the session waits to be resumed.
        instance_name: The instance's name, for people.
        since: When the session took its first nick, by the store's clock, Unix seconds.
        at: When this was so, by the same clock.
        away: The away text, None when the user is not away.
    """

    nick: Nick
    session: str
    instance: str
    instance_name: str
    since: float
    at: float
    away: str | None
    rooms: tuple[RoomName, ...]
