"""What a client knows of the rooms that it is in."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        seq: Of the last message that the user was given.
        members: By session, in the order of their joining; in a large room not all.
        total: How many are in the room.
        topic: None where there is none.
        entered_once: Whether the user has been in it.
    """

    name: str
    seq: int = 0
    members: dict[str, messages.Member] = field(default_factory=dict)
    total: int = 0
    topic: messages.Topic | None = None
    entered_once: bool = False

    def entered(self, told: messages.Entered | messages.InRoom) -> None:
        """Take who is there from an answer."""
        self.entered_once = True
        self.name = told.room
        self.members = {member.session: member for member in told.members}
        self.total = told.total
        self.topic = told.topic

    def take(self, event: RoomEvent) -> bool:
        """Take an event; False if it is a message that the user has been given before."""
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
            case messages.Gap(last=last):
                self.seq = 0 if last is None else max(self.seq, last)
            case _:
                if event.seq <= self.seq:
                    return False
                self.seq = event.seq
                if isinstance(event, messages.TopicSet):
                    known = messages.Topic(event.text, event.nick, event.at)
                    self.topic = known if event.text else None
        return True
