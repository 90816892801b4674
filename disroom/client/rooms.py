"""What a client knows of the rooms that it is in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from disroom.chat.names import RoomName
from disroom.wire import messages

RoomEvent = (
    messages.StoredMessage
    | messages.Joined
    | messages.Left
    | messages.Renamed
    | messages.Away
    | messages.Gap
)


@dataclass(slots=True)
class Room:
    """One room, kept true by its events.

    Attributes:
        name: As the server shows it.
        seq: Up to which the user was given everything.
        members: By session, in the order of their joining; in a large room not all.
        total: How many are in the room.
        topic: None where there is none.
        entered_once: Whether the user has been in it.
        had_message: Whether there was a message of it at or before ``seq``.
    """

    name: str
    seq: int = 0
    members: dict[str, messages.Member] = field(default_factory=dict)
    total: int = 0
    topic: messages.Topic | None = None
    entered_once: bool = False
    had_message: bool = False

    def entered(self, told: messages.Entered | messages.InRoom) -> None:
        """Take who is there from an answer."""
        self.entered_once = True
        self.name = told.room
        self.members = {member.session: member for member in told.members}
        self.total = told.total
        self.topic = told.topic

    def begins_after(
        self, read: Iterable[messages.StoredMessage] | None, position: int | None
    ) -> None:
        """Take for given what was there before, so that no event is made of it."""
        for message in read or ():
            self.seq = max(self.seq, message.seq)
            self.had_message = True
        self.seq = max(self.seq, position or 0)

    def take(self, event: RoomEvent) -> bool:
        """Take an event; False if the user has been given it before."""
        match event:
            case messages.Joined(members=members):
                self.total += len(members)
                self.members.update({member.session: member for member in members})
            case messages.Left(members=members):
                self.total = max(self.total - len(members), 0)
                for member in members:
                    self.members.pop(member.session, None)
            case messages.Renamed(session=session, new=nick):
                if session in self.members:
                    away = self.members[session].away
                    self.members[session] = messages.Member(session, nick, away)
            case messages.Away(member=member):
                if member.session in self.members:
                    self.members[member.session] = member
            case messages.Gap():
                if event.last is None:  # the log is another one
                    self.seq, self.had_message = 0, False
                elif event.last <= self.seq:
                    return False
                else:
                    self.seq = event.last
            case _:
                if event.seq <= self.seq:
                    return False
                self.seq, self.had_message = event.seq, True
                if isinstance(event, messages.TopicSet):
                    known = messages.Topic(event.text, event.nick, event.at)
                    self.topic = known if event.text else None
        return True


class Rooms(Mapping[str, Room]):
    """Rooms by name, in any spelling that the server takes for the same: ``tea``, ``#Tea``."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._rooms: dict[RoomName, Room] = {}
        for name in names:
            self.add(name)

    def __getitem__(self, name: str) -> Room:
        return self._rooms[_compared(name)]

    def __iter__(self) -> Iterator[str]:
        return iter([room.name for room in self._rooms.values()])

    def __len__(self) -> int:
        return len(self._rooms)

    def add(self, name: str) -> Room:
        """The room of that name, made where it is not known yet."""
        return self._rooms.setdefault(_compared(name), Room(name))

    def remove(self, name: str) -> None:
        """Forget a room; harmless where it is not known."""
        self._rooms.pop(_compared(name), None)


def _compared(name: str) -> RoomName:
    """A name for comparing; what the server would refuse is compared as it is written."""
    return RoomName.trusted(name.removeprefix("#"))
