"""One room as this instance has it: its local members, who is in it anywhere, and the fan-out.

Messages arrive in order from the log. Presence arrives as versioned changes by another way, so the
two can overtake each other; the rules that keep what people see in order are these:

* A change is applied when its version follows the one held; one that skips a version means that
  something was missed, and the room asks for a roster (`Room.needs_roster`).
* A member hears of a change only if it is newer than the list of users that the member was given.
* A message from somebody whose joining has not been shown yet shows the joining first, and the
  change that brings it later is not shown again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Container, Iterable
from dataclasses import replace
from typing import Protocol

from zope.interface import implementer

from disroom.chat.events import Gap, Joined, Left, Member, Message, Renamed, RoomEvent
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
        needs_roster: Changes were missed: `adopt` a roster.
    """

    def __init__(
        self, name: RoomName, *, runtime: IRuntime, backlog: int, keep_seconds: float = math.inf
    ) -> None:
        self.name = name
        self.version = 0
        self.members: dict[str, Member] = {}
        self.topic: Topic | None = None
        self.needs_roster = False
        self._runtime = runtime
        self._recent: deque[Message] = deque(maxlen=backlog)
        self._older = False
        self._keep_seconds = keep_seconds
        self._occupants: dict[str, tuple[Occupant, int]] = {}
        self._audience: tuple[Occupant, ...] | None = ()
        self._just_left: dict[str, float] = {}

    @property
    def occupied(self) -> bool:
        """Whether a session of this instance is in the room."""
        return bool(self._occupants)

    def backlog(self) -> Page:
        """The room's last messages, those that retention by age has left."""
        oldest = self._runtime.now() - self._keep_seconds
        while self._recent and self._recent[0].at < oldest:
            self._recent.popleft()
        return Page(tuple(self._recent), self._older or len(self._recent) == self._recent.maxlen)

    # What the log brings.

    def received(self, event: Message | Gap) -> None:
        """Pass a message on to every occupant, in the order of the log."""
        if event.room.display != self.name.display:
            event = replace(event, room=self.name)
        if isinstance(event, Gap):
            self._recent.clear()
            self._older = True
        else:
            self._recent.append(event)
            if event.kind == "topic":
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
            self._arrive((Member(message.session, message.nick),), message.at, ahead=1)

    # What presence brings.

    def changed(self, change: Change) -> None:
        """Apply a change of presence, or notice that some were missed."""
        if not self.version or change.version <= self.version:
            return
        if change.version > self.version + 1:
            self.needs_roster = True
            return
        self.version = change.version
        self._leave(change.left, change.at, change.reason)
        self._arrive(change.joined, change.at)
        for old, new in change.renamed:
            if self.members.get(old.session) != new:
                self.members[old.session] = new
                event = Renamed(self.name, change.at, old.session, old.nick, new.nick)
                self._tell_older(event, change.version)

    def adopt(self, roster: Roster) -> None:
        """Take a roster for the truth and show in what it differs; one that is older is ignored."""
        if roster.members is None or not roster.settled or roster.version < self.version:
            return
        now = self._runtime.now()
        held, self.needs_roster, self.version = self.members, False, roster.version
        current = {member.session: member for member in roster.members}
        self._leave([m for session, m in held.items() if session not in current], now, "")
        self._arrive(roster.members, now)
        for session, member in current.items():
            before = held.get(session)
            if before and before.nick.display != member.nick.display:
                event = Renamed(self.name, now, session, before.nick, member.nick)
                self._tell_older(event, roster.version)
        self.members = current

    def _arrive(self, members: Iterable[Member], at: float, ahead: int = 0) -> None:
        """Show who is new; ``ahead`` is 1 where the version held does not count them yet."""
        new = tuple(member for member in members if member.session not in self.members)
        for member in new:
            self.members[member.session] = member
            self._just_left.pop(member.session, None)
        if new:
            event = Joined(self.name, at, new)
            self._tell_older(event, self.version + ahead, {member.session for member in new})

    def _leave(self, members: Iterable[Member], at: float, reason: str) -> None:
        gone = [member for member in members if member.session in self.members]
        if len(gone) > 1:  # in the order of their joining
            places = {session: place for place, session in enumerate(self.members)}
            gone.sort(key=lambda member: places[member.session])
        until = self._runtime.monotonic() + JUST_LEFT_SECONDS
        for member in members:
            self.members.pop(member.session, None)
            self._just_left[member.session] = until
        if gone:
            event = Left(self.name, at, tuple(gone), reason)
            self._tell_older(event, self.version, {member.session for member in gone})

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
            self.members = {member.session: member for member in roster.members or ()}
        elif roster.version > self.version and roster.members is not None:
            others = (member for member in roster.members if member.session != occupant.id)
            self._arrive(others, self._runtime.now(), ahead=1)
        self._occupants[occupant.id] = (occupant, max(self.version, roster.version))
        self._audience = None
        if roster.members is not None and roster.version >= self.version:
            return roster.members
        return tuple({**self.members, itself.session: itself}.values())

    def remove(self, occupant: Occupant) -> None:
        """Let a session out; it sees nothing more. Idempotent."""
        self._occupants.pop(occupant.id, None)
        self._audience = None

    def tick(self) -> None:
        """Forget who left a while ago."""
        now = self._runtime.monotonic()
        for session in [s for s, until in self._just_left.items() if until < now]:
            del self._just_left[session]

    # The fan-out.

    def _tell(self, event: RoomEvent) -> None:
        if self._audience is None:
            self._audience = tuple(occupant for occupant, _ in self._occupants.values())
        for occupant in self._audience:
            occupant.receive(event)

    def _tell_older(
        self, event: RoomEvent, version: int, except_for: Container[str] = frozenset()
    ) -> None:
        """Tell those occupants whose list of users was older than ``version``."""
        for session, (occupant, since) in tuple(self._occupants.items()):
            if since < version and session not in except_for:
                occupant.receive(event)
