"""One room as this instance has it: who is in it anywhere, and what those here see of it, in order.

Messages arrive in order from the log. Presence arrives as versioned changes by another way, so the
two can overtake each other; the rules that keep what people see in order are these:

* Changes are applied in the order of their versions (`Versions`). Where one was missed, the room
  asks for a roster (`Room.needs_roster`), and what comes until it is there is applied to it.
* A newcomer's answer may be ahead of the changes. Its joining is then shown to those who are here,
  and the change that brings it later is known already; so is a roster that came with it.
* A message from somebody whose joining has not been shown yet shows the joining first, and the
  change that brings it later is not shown again. If none comes, a roster decides (`Sightings`).

Who is in the room is known here at once; when the others are told, `moves` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from itertools import chain, islice

from zope.interface import implementer

from disroom.chat.audience import Audience, Occupant
from disroom.chat.events import Gap, MarkedAway, Member, Message, Renamed
from disroom.chat.interfaces import IRoomFollower, IRuntime
from disroom.chat.moves import Moves, window
from disroom.chat.names import RoomName
from disroom.chat.presence import Change, Roster
from disroom.chat.replies import UserList
from disroom.chat.ring import Ring
from disroom.chat.sightings import CLOCKS_SECONDS, Sightings
from disroom.chat.stored import Held, Page, Replay, Topic
from disroom.chat.versions import Versions


@implementer(IRoomFollower)
class Room:
    """The occupants of one room on this instance, and what they see.

    Args:
        name: As in the attributes.
        runtime: Measures waits.
        log_now: The log's time; see `IRoomLog.now`.
        backlog: How many messages who joins is shown.
        log_seconds: As in `Ring`.
        log_most: As in `Ring`.
        window: For how many seconds comings and goings are gathered, where so many are here.

    Attributes:
        name: The room's name, shown as its first member wrote it.
        members: Everybody in the room on any instance, by session, in the order of their joining.
        topic: What the room is about, as far as the log has told.
        topic_at: When the last message was that has set the topic or taken it away; None where
            none was seen.
        ring: The room's last messages.
    """

    def __init__(
        self,
        name: RoomName,
        *,
        runtime: IRuntime,
        log_now: Callable[[], float],
        backlog: int,
        log_seconds: float = math.inf,
        log_most: int = 0,
        window: Callable[[int], float] = window,
    ) -> None:
        self.name = name
        self.members: dict[str, Member] = {}
        self.topic: Topic | None = None
        self.topic_at: float | None = None
        # One more than is shown tells of older ones.
        self.ring = Ring(backlog + 1, log_seconds=log_seconds, log_most=log_most)
        self._runtime = runtime
        self._log_now = log_now
        self._backlog = backlog
        self._audience = Audience()
        self._versions = Versions()
        self._doubtful = False
        self._sightings = Sightings(runtime, log_now)
        self._moves = Moves()
        self._window = window
        self._window_opened: float | None = None

    @property
    def occupied(self) -> bool:
        """Whether a session of this instance is in the room."""
        return len(self._audience) > 0

    @property
    def version(self) -> int:
        """The version of the presence held; 0 before the first member has come in."""
        return self._versions.held

    @property
    def needs_roster(self) -> bool:
        """Whether something was missed, so that only a roster tells who is here: `adopt` one."""
        return self.version > 0 and (self._versions.behind or self._doubtful)

    def backlog(self) -> Page:
        """The room's last messages."""
        return self.ring.backlog(self._backlog, self._log_now())

    def replay(self, after: int, most: int) -> Replay | None:
        """What came after a seq, if it can be told from memory; see `IRoomLog.since`."""
        return self.ring.since(after, most, self._log_now())

    def page(self, count: int, before: int | None) -> Page | None:
        """A page of the room's past, if it can be told from memory; see `Ring.page`."""
        return self.ring.page(count, before, self._log_now())

    # What the log brings.

    def received(self, event: Message | Gap) -> None:
        """Pass a message on to every occupant, in the order of the log."""
        renamed = event.room.display != self.name.display
        if isinstance(event, Gap):
            event = replace(event, room=self.name) if renamed else event
            self.ring.broken(event)
        else:
            event = event._replace(room=self.name) if renamed else event
            self.ring.add(event)
            if event.kind == "topic":
                self.topic_at = event.at
                self.topic = Topic(event.text, event.nick, event.at) if event.text else None
            if event.session not in self.members:
                self._show_arrival(event)
            if event.session in self._moves.coming:
                self._tell_moves()
        self._audience.tell(event)

    def held(self) -> Held | None:
        """What the log should still have; see `IRoomFollower`."""
        return self.ring.held(self._log_now())

    def removed(self, first: int | None) -> None:
        """Take note of what the log has lost; see `IRoomFollower`."""
        self.ring.removed(first)

    def _show_arrival(self, message: Message) -> None:
        """Show the joining of a message's sender, of which presence has not told yet."""
        if self.version and self._sightings.shows_arrival(message):
            self._arrive([Member(message.session, message.nick)], message.at)
            self._sightings.seen(message.session, message.at)

    # What presence brings.

    def heard(self, version: int) -> None:
        """Take note that the presence store is at this version at least."""
        self._versions.heard(version)

    def changed(self, change: Change) -> None:
        """Apply a change of presence, or notice that some were missed."""
        self._apply(self._versions.take(change))

    def _apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            self._leave([m.session for m in change.left], change.at, change.reason)
            self._arrive(change.joined, change.at)
            self._rename((new for _, new in change.renamed), change.at)

    def adopt(self, roster: Roster) -> None:
        """Take a roster for the truth and show in what it differs; one that is older is ignored."""
        if roster.members is None or not roster.settled or roster.version < self.version:
            return
        following = self._versions.reach(roster.version)
        self._doubtful = False
        current = {member.session: member for member in roster.members}
        known = current.keys() | self._sightings.unconfirmed
        self._leave([session for session in self.members if session not in known], roster.at, "")
        self._rename([m for m in roster.members if m.session in self.members], roster.at)
        self._arrive(roster.members, roster.at)
        self.members = current | self.members  # in the roster's order
        self._apply(following)

    def _arrive(self, members: Iterable[Member], at: float) -> None:
        renamed = []
        for member in members:
            seen_at = self._sightings.confirmed(member.session)
            if member.session not in self.members:
                if not self._moves.came(member, at):
                    self._tell_moves()
                    self._moves.came(member, at)
                self.members[member.session] = member
            elif seen_at is not None:  # without its mark, and under a nick it had before, perhaps
                later = seen_at >= at + CLOCKS_SECONDS  # and a change that brings its nick follows
                nick = self.members[member.session].nick if later else member.nick
                renamed.append(replace(member, nick=nick))
        self._rename(renamed, at)

    def _rename(self, members: Iterable[Member], at: float) -> None:
        for new in members:
            old = self.members.get(new.session, new)
            if new.session in self._moves.coming:
                self.members[new.session] = new
                self._tell_itself(old, new, at)
                continue
            renamed = old.nick.display != new.nick.display
            if renamed:
                self._tell_moves()  # under the old nick; and one is given up before it is taken
            self.members[new.session] = new
            if renamed:
                self._audience.tell(Renamed(self.name, at, new.session, old.nick, new.nick))
            self._moves.marked(old, new, at)
        self._moved()

    def _tell_itself(self, old: Member, new: Member, at: float) -> None:
        """Tell only the one who changed, since the others do not know yet that it is here."""
        tell_one = self._audience.tell_one
        if old.nick.display != new.nick.display:
            tell_one(new.session, Renamed(self.name, at, new.session, old.nick, new.nick))
        if old.away != new.away:
            tell_one(new.session, MarkedAway(self.name, at, (new,)))

    def _leave(self, sessions: Collection[str], at: float, reason: str) -> None:
        gone = [session for session in sessions if session in self.members]
        if len(gone) > 1:  # in the order of their joining
            places = {session: place for place, session in enumerate(self.members)}
            gone.sort(key=places.__getitem__)
        for session in gone:
            self._moves.went(self.members.pop(session), at, reason)
        self._sightings.left(sessions, at)
        self._moved()

    # Who is here.

    def admit(self, occupant: Occupant, itself: Member, roster: Roster) -> None:
        """Let a session in that has joined; it sees all that comes from now on.

        Args:
            occupant: The session.
            itself: The session as the others see it.
            roster: What its joining was answered with.
        """
        versions = self._versions
        if not versions.held:
            self.name = roster.name
            self.members = {m.session: m for m in roster.members or ()}
            self._apply(versions.reach(roster.version))
        elif roster.members is None:
            if roster.version == versions.held + 1:  # nothing but this joining is new
                self._apply(versions.reach(roster.version))
        elif roster.version > versions.held:
            self.adopt(roster)
        self._arrive([itself], roster.at)
        if roster.version > versions.held:  # the change that brings it is on its way
            self._sightings.seen(itself.session, roster.at)
        self._audience.enter(occupant)

    def marked(self, itself: Member, at: float) -> None:
        """Take the mark that somebody in the room has since then, before the news of it.

        So that where the news is lost, and that of what follows, whatever differs is told.
        """
        known = self.members.get(itself.session)
        if known is not None:
            self._rename([replace(known, away=itself.away)], at)

    def told(self, itself: Member) -> Member:
        """Somebody who is in the room, with the mark that those here were told of."""
        return self._moves.as_known(self.members.get(itself.session, itself))

    def listed(self, itself: Member, most: int) -> UserList:
        """Who is in the room as far as those here have been told, and the one who asks.

        Everybody has the nick that was told last, also the one who asks: a renaming of which the
        news is on its way comes after the list, and begins with the nick that is in it.

        Args:
            itself: The one who asks, with the mark that it is known to have by now.
            most: How many are named.
        """
        coming, going = self._moves.coming, self._moves.going
        known = (
            replace(m, away=itself.away) if m.session == itself.session else self._moves.as_known(m)
            for m in self.members.values()
            if m.session not in coming or m.session == itself.session
        )
        named = islice(chain(known, (gone.member for gone in going.values())), most)
        total = len(self.members) - len(coming) + len(going) + (itself.session in coming)
        return UserList(self.name, tuple(named), total)

    def remove(self, occupant: Occupant) -> None:
        """Let a session out; it sees nothing more. Idempotent."""
        self._audience.leave(occupant)

    def tick(self) -> None:
        """Forget who left a while ago, and doubt who was seen a while ago but not confirmed."""
        if self._sightings.expire():
            self._doubtful = True

    # Comings and goings.

    def _moved(self) -> None:
        """Tell of comings and goings, or have it done when the window ends."""
        if not self._moves:
            return
        seconds = self._window(len(self._audience))
        if not seconds:
            self._tell_moves()
        elif self._window_opened is None:
            self._window_opened = self._runtime.monotonic()
            opened = self._window_opened
            self._runtime.after(seconds, lambda: self._end_window(opened))

    def _end_window(self, opened: float) -> None:
        if self._window_opened == opened:
            self._tell_moves()

    def _tell_moves(self) -> None:
        self._window_opened = None
        for event in self._moves.told(self.name, self.members):
            if isinstance(event, MarkedAway):
                self._audience.tell(event)
            else:
                self._audience.tell_moved(event)
