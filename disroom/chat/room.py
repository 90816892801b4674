"""One room as this instance has it: its local members, who is in it anywhere, and the fan-out.

Messages arrive in order from the log. Presence arrives as versioned changes by another way, so the
two can overtake each other; the rules that keep what people see in order are these:

* A change is applied when its version follows the one held; one that skips a version means that
  something was missed, and the room asks for a roster (`Room.needs_roster`).
* A newcomer's answer may be ahead of the changes. What it tells is then shown to those who are
  here, and the changes that bring it later are known already: so all here hold the same list.
* A message from somebody whose joining has not been shown yet shows the joining first, and the
  change that brings it later is not shown again. If none comes, a roster decides.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Protocol

from zope.interface import implementer

from disroom.chat.events import (
    Gap,
    Joined,
    Left,
    MarkedAway,
    Member,
    Message,
    Renamed,
    RoomEvent,
)
from disroom.chat.interfaces import Change, IRoomFollower, IRuntime, Page, Roster, Topic
from disroom.chat.names import RoomName

JUST_LEFT_SECONDS = 10.0
"""How long a message of somebody who left is taken for a straggler, not for a new arrival."""

FRESH_SECONDS = 5.0
"""How old a message may be to say that its sender must be in the room."""


class Occupant(Protocol):
    """A session of this instance that is in the room."""

    @property
    def id(self) -> str:
        """The session's id."""

    def receive(self, event: RoomEvent) -> None:
        """Take an event; does not raise, and does not change the room."""


@implementer(IRoomFollower)
class Room:
    """The occupants of one room on this instance, and what they see.

    Attributes:
        name: The room's name, shown as its first member wrote it.
        version: The version of the presence held; 0 before the first member has come in.
        members: Everybody in the room on any instance, by session, in the order of their joining.
        topic: What the room is about, as far as the log has told.
        topic_seen: Whether a message has set the topic or taken it away.
    """

    def __init__(
        self, name: RoomName, *, runtime: IRuntime, backlog: int, keep_seconds: float = math.inf
    ) -> None:
        self.name = name
        self.version = 0
        self.members: dict[str, Member] = {}
        self.topic: Topic | None = None
        self.topic_seen = False
        self._runtime = runtime
        self._backlog = backlog
        self._recent: deque[Message] = deque(maxlen=backlog + 1)  # one more tells of older ones
        self._older = False
        self._keep_seconds = keep_seconds
        self._occupants: dict[str, Occupant] = {}
        self._audience: tuple[Occupant, ...] | None = ()
        self._heard = 0
        self._doubtful = False
        self._just_left: dict[str, float] = {}
        self._unconfirmed: dict[str, float] = {}

    @property
    def occupied(self) -> bool:
        """Whether a session of this instance is in the room."""
        return bool(self._occupants)

    @property
    def needs_roster(self) -> bool:
        """Whether something was missed, so that only a roster tells who is here: `adopt` one."""
        return bool(self.version) and (self._heard > self.version or self._doubtful)

    def backlog(self) -> Page:
        """The room's last messages, those that retention by age has left."""
        oldest = self._runtime.now() - self._keep_seconds
        while self._recent and self._recent[0].at < oldest:
            self._recent.popleft()
        beyond = max(0, len(self._recent) - self._backlog)
        return Page(tuple(self._recent)[beyond:], self._older or beyond > 0)

    # What the log brings.

    def received(self, event: Message | Gap) -> None:
        """Pass a message on to every occupant, in the order of the log."""
        renamed = event.room.display != self.name.display
        if isinstance(event, Gap):
            event = replace(event, room=self.name) if renamed else event
            self._recent.clear()
            self._older = True
        else:
            event = event._replace(room=self.name) if renamed else event
            self._recent.append(event)
            if event.kind == "topic":
                self.topic_seen = True
                self.topic = Topic(event.text, event.nick, event.at) if event.text else None
            if event.session not in self.members:
                self._show_arrival(event)
        self._tell(event)

    def _show_arrival(self, message: Message) -> None:
        """Show the joining of a message's sender, of which presence has not told yet."""
        if (
            self.version
            and message.session not in self._just_left
            and self._runtime.now() - message.at < FRESH_SECONDS
        ):
            self._arrive([Member(message.session, message.nick)], message.at)
            self._unconfirmed[message.session] = self._runtime.monotonic() + FRESH_SECONDS

    # What presence brings.

    def heard(self, version: int) -> None:
        """Take note that the presence store is at this version at least."""
        self._heard = max(self._heard, version)

    def changed(self, change: Change) -> None:
        """Apply a change of presence, or notice that some were missed."""
        self.heard(change.version)
        if not self.version or change.version != self.version + 1:
            return
        self.version = change.version
        self._leave([m.session for m in change.left], change.at, change.reason)
        self._arrive(change.joined, change.at)
        self._rename((new for _, new in change.renamed), change.at)

    def adopt(self, roster: Roster) -> None:
        """Take a roster for the truth and show in what it differs; one that is older is ignored."""
        if roster.members is None or not roster.settled or roster.version < self.version:
            return
        self.version = roster.version
        self._doubtful = False
        now = self._runtime.now()
        current = {member.session: member for member in roster.members}
        known = current.keys() | self._unconfirmed.keys()
        self._leave([session for session in self.members if session not in known], now, "")
        self._rename([m for m in roster.members if m.session in self.members], now)
        self._arrive(roster.members, now)
        self.members = current | self.members  # in the roster's order

    def _arrive(self, members: Iterable[Member], at: float) -> None:
        new = []
        for member in members:
            self._unconfirmed.pop(member.session, None)
            if member.session not in self.members:
                self.members[member.session] = member
                new.append(member)
        if new:
            self._tell_moved(Joined(self.name, at, tuple(new)))

    def _rename(self, members: Iterable[Member], at: float) -> None:
        for new in members:
            old, self.members[new.session] = self.members.get(new.session, new), new
            if old.nick.display != new.nick.display:
                self._tell(Renamed(self.name, at, new.session, old.nick, new.nick))
            if old.away != new.away:
                self._tell(MarkedAway(self.name, at, new))

    def _leave(self, sessions: Collection[str], at: float, reason: str) -> None:
        gone = [session for session in sessions if session in self.members]
        if len(gone) > 1:  # in the order of their joining
            places = {session: place for place, session in enumerate(self.members)}
            gone.sort(key=places.__getitem__)
        left = tuple(self.members.pop(session) for session in gone)
        until = self._runtime.monotonic() + JUST_LEFT_SECONDS
        for session in sessions:
            self._unconfirmed.pop(session, None)
            self._just_left[session] = until
        if left:
            self._tell_moved(Left(self.name, at, left, reason))

    # Who is here.

    def admit(self, occupant: Occupant, itself: Member, roster: Roster) -> tuple[Member, ...]:
        """Let a session in that has joined; it sees all that comes from now on.

        Args:
            occupant: The session.
            itself: The session as the others see it.
            roster: What its joining was answered with.

        Returns:
            Who is in the room, the session itself among them.
        """
        if not self.version:
            self.name, self.version = roster.name, roster.version
            self.members = {m.session: m for m in roster.members or ()}
        elif roster.members is None:
            self.version = max(self.version, roster.version)  # nothing but this joining is new
        elif roster.version > self.version:
            self.adopt(roster)
        self._arrive([itself], self._runtime.now())
        self._occupants[occupant.id] = occupant
        self._audience = None
        return tuple(self.members.values())

    def remove(self, occupant: Occupant) -> None:
        """Let a session out; it sees nothing more. Idempotent."""
        self._occupants.pop(occupant.id, None)
        self._audience = None

    def tick(self) -> None:
        """Forget who left a while ago, and doubt who was seen a while ago but not confirmed."""
        now = self._runtime.monotonic()
        for session in [s for s, until in self._just_left.items() if until < now]:
            del self._just_left[session]
        for session in [s for s, until in self._unconfirmed.items() if until < now]:
            del self._unconfirmed[session]
            self._doubtful = True

    # The fan-out.

    def _tell(self, event: RoomEvent) -> None:
        for occupant in self._everybody():
            occupant.receive(event)

    def _tell_moved(self, event: Joined | Left) -> None:
        """Tell everybody who came or went, but nobody of itself."""
        moved = {member.session for member in event.members}
        for occupant in self._everybody():
            if occupant.id not in moved:
                occupant.receive(event)
            elif len(moved) > 1:
                others = tuple(m for m in event.members if m.session != occupant.id)
                occupant.receive(replace(event, members=others))

    def _everybody(self) -> tuple[Occupant, ...]:
        if self._audience is None:
            self._audience = tuple(self._occupants.values())
        return self._audience
