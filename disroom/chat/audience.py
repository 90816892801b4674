"""The fan-out: who of this instance is in a room, and is told what happens there."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from disroom.chat.events import Joined, Left, Message, RoomEvent


class Occupant(Protocol):
    """A session of this instance that is in the room."""

    @property
    def id(self) -> str:
        """The session's id."""

    def receive(self, event: RoomEvent, own: bool = False) -> None:
        """Take an event; does not raise, and does not change the room.

        Args:
            event: The event.
            own: Whether it is a message of this session.
        """


class Audience:
    """The occupants of one room on this instance; who they are to others, the room knows.

    They are told in the order in which they entered.
    """

    __slots__ = ("_everybody", "_occupants")

    def __init__(self) -> None:
        self._occupants: dict[str, Occupant] = {}
        self._everybody: tuple[Occupant, ...] | None = ()

    def __len__(self) -> int:
        return len(self._occupants)

    def enter(self, occupant: Occupant) -> None:
        """Tell an occupant of all that comes from now on."""
        self._occupants[occupant.id] = occupant
        self._everybody = None

    def leave(self, occupant: Occupant) -> None:
        """Tell an occupant of nothing more. Idempotent."""
        self._occupants.pop(occupant.id, None)
        self._everybody = None

    def tell(self, event: RoomEvent) -> None:
        """Tell everybody; whose message it is, is told that it is its own."""
        sender = self._occupants.get(event.session) if isinstance(event, Message) else None
        for occupant in self._all():
            occupant.receive(event, occupant is sender)

    def tell_moved(self, event: Joined | Left) -> None:
        """Tell everybody who came or went, but nobody of itself."""
        members = event.members
        places = {member.session: place for place, member in enumerate(members)}
        for occupant in self._all():
            place = places.get(occupant.id)
            if place is None:
                occupant.receive(event)
            elif len(members) > 1:
                others = members[:place] + members[place + 1 :]
                occupant.receive(replace(event, members=others))

    def tell_one(self, session: str, event: RoomEvent) -> None:
        """Tell one session alone, if it is here."""
        occupant = self._occupants.get(session)
        if occupant is not None:
            occupant.receive(event)

    def _all(self) -> tuple[Occupant, ...]:
        if self._everybody is None:
            self._everybody = tuple(self._occupants.values())
        return self._everybody
