"""Who is where in a chat that lives in one process, and everybody's being told of it.

What the Lua scripts are to Redis: each method that changes something is one change of presence with
its announcement. Whether an instance may ask for it, and what becomes of it where the store cannot
be reached, is the instance's own affair: see `MemoryPresence`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from disroom.chat.errors import NickTaken, NoSession
from disroom.chat.events import Member
from disroom.chat.interfaces import IPresenceWatcher
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Change, Resumed, Roster


class Instance(Protocol):
    """One that shares the store, as the store knows it."""

    @property
    def incarnation(self) -> str:
        """Who it is to the others."""

    @property
    def instance_name(self) -> str:
        """Its name, for people."""

    @property
    def watcher(self) -> IPresenceWatcher | None:
        """Who is told of changes."""

    def returned(self) -> None:
        """Take note that the store can be reached again."""

    def lose(self, session: str) -> None:
        """Take note that a session has moved to another instance."""


@dataclass(slots=True)
class HeldSession:
    """Held by an instance or, once that has gone, by none; `ends` is set while it is suspended."""

    nick: Nick
    holder: Instance | None
    since: float
    key: str
    previous_key: str = ""
    ends: float | None = None
    given: str = ""
    away: str | None = None
    rooms: list[RoomName] = field(default_factory=list)

    def opens(self, presented: str) -> bool:
        """Whether it can be resumed by this key."""
        return bool(presented) and presented in (self.key, self.previous_key)


@dataclass(slots=True)
class HeldRoom:
    """A room in which somebody is; its members in the order of joining."""

    name: RoomName
    version: int
    members: list[str] = field(default_factory=list)


class MemoryPresenceStore:
    """What the instances of one chat share.

    What it holds may be read; it is changed by its methods alone.

    Args:
        now: The time, Unix seconds.
        keeps_empty: Whether `IPresence.emptied` lists rooms.
        grace: How long a session that can be resumed outlives its instance, in seconds.

    Attributes:
        instances: Those that take part, and hear of every change.
        sessions: Those with a nick, by id.
        holders: The ids of these, by nick.
        rooms: Those that somebody is in.
        empty: Since when the others are left by everybody, Unix seconds, and the newest seq noted.
        reachable: Whether an instance may ask for anything; for the instances to heed.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float] = time.time,
        keeps_empty: bool = True,
        grace: float = 30.0,
    ) -> None:
        self.now = now
        self.grace = grace
        self.instances: list[Instance] = []
        self.sessions: dict[str, HeldSession] = {}
        self.holders: dict[Nick, str] = {}
        self.rooms: dict[RoomName, HeldRoom] = {}
        self.empty: dict[RoomName, tuple[float, int | None]] = {}
        self.reachable = True
        self._keeps_empty = keeps_empty
        self._mark = 0
        self._untold: deque[Change] = deque()
        self._telling = False

    def cut(self) -> None:
        """Be unreachable to every instance."""
        self.reachable = False

    def restore(self) -> None:
        """Be reachable again; what was owed is made good, and everybody is told to compare."""
        self.reachable = True
        for instance in tuple(self.instances):
            instance.returned()

    def member(self, session: str) -> Member:
        """A session as it is in a room."""
        held = self.sessions[session]
        return Member(session, held.nick, held.away is not None or held.ends is not None)

    def roster(self, name: RoomName) -> Roster:
        """Who is in a room."""
        return self._roster(self.rooms.get(name) or HeldRoom(name, 0))

    def _roster(self, room: HeldRoom) -> Roster:
        members = tuple(self.member(session) for session in room.members)
        return Roster(room.name, room.version, self.now(), members)

    # Sessions.

    def claim(self, session: str, nick: Nick, holder: Instance, key: str) -> None:
        """Begin a session.

        Raises:
            NickTaken: Another session has the nick.
        """
        if nick in self.holders:
            raise NickTaken(nick.display)
        self.holders[nick] = session
        self.sessions[session] = HeldSession(nick, holder, self.now(), key)

    def rename(self, session: str, nick: Nick) -> None:
        """Exchange a session's nick, in all its rooms.

        Raises:
            NickTaken: Another session has the nick.
        """
        held, old = self.sessions[session], self.member(session)
        if self.holders.get(nick, session) != session:
            raise NickTaken(nick.display)
        if held.nick.display == nick.display:
            return
        del self.holders[held.nick]
        self.holders[nick] = session
        held.nick = nick
        for name in tuple(held.rooms):
            self._change(self.rooms[name], renamed=((old, self.member(session)),))

    def set_away(self, session: str, text: str | None) -> None:
        """Leave an away text, or take it back with None."""
        before = self.member(session)
        self.sessions[session].away = text
        self._marked(session, before)

    def arm(self, session: str, key: str) -> None:
        """Have a session be resumable by a key, and by the one before."""
        held = self.sessions[session]
        held.key, held.previous_key = key, held.key

    def settle(self, session: str) -> None:
        """Forget the key before a session's own."""
        self.sessions[session].previous_key = ""

    def suspend(self, session: str, ends: float, given: str) -> None:
        """Note that a session has no client, until when it is kept, and what the client had."""
        held, before = self.sessions[session], self.member(session)
        held.ends, held.given = ends, given
        self._marked(session, before)

    def resume(
        self, session: str, presented: str, key: str, holder: Instance
    ) -> tuple[Resumed, Instance | None]:
        """Give a session to who presents a key of it; also, whose it was.

        Raises:
            NoSession: It has ended, or that is no key of it.
        """
        held = self.sessions.get(session)
        if held is None or not held.opens(presented):
            raise NoSession
        if held.ends is not None and held.ends <= self.now():
            self.dismiss([session], "connection lost")
            raise NoSession
        if presented == held.key:
            held.previous_key = presented
        former, held.key, held.holder = held.holder, key, holder
        given, before = held.given, self.member(session)
        held.ends, held.given = None, ""
        self._marked(session, before)
        rooms = tuple(held.rooms)
        return Resumed(held.nick, held.since, self.now(), held.away, rooms, given), former

    def _marked(self, session: str, before: Member) -> None:
        """Announce to its rooms how a session is shown now, if it was shown another way."""
        after = self.member(session)
        if after != before:
            for room in tuple(self.sessions[session].rooms):
                self._change(self.rooms[room], renamed=((before, after),))

    def dismiss(self, sessions: Iterable[str], reason: str) -> None:
        """End sessions; each room hears once of all who left it."""
        self.abandon(sessions, reason, resumable=False)

    def abandon(self, sessions: Iterable[str], reason: str, *, resumable: bool = True) -> None:
        """End sessions, or leave those to nobody that can be resumed; each room hears once."""
        left: dict[RoomName, list[Member]] = {}
        marked: dict[RoomName, list[tuple[Member, Member]]] = {}
        for session in sessions:
            held, before = self.sessions[session], self.member(session)
            if resumable and held.key:
                ends = self.now() + self.grace
                held.holder, held.ends = None, ends if held.ends is None else min(held.ends, ends)
                if not before.away:
                    for name in held.rooms:
                        marked.setdefault(name, []).append((before, self.member(session)))
            else:
                for name in held.rooms:
                    left.setdefault(name, []).append(before)
                    self.rooms[name].members.remove(session)
                del self.holders[self.sessions.pop(session).nick]
        for name in left | marked:
            gone, away = tuple(left.get(name, ())), tuple(marked.get(name, ()))
            self._change(self.rooms[name], left=gone, renamed=away, reason=reason if gone else "")

    def tick(self) -> None:
        """End the sessions that nobody holds and whose grace is over; done at each call as well."""
        now = self.now()
        over = [
            session
            for session, held in self.sessions.items()
            if held.holder is None and held.ends is not None and held.ends <= now
        ]
        self.dismiss(over, "connection lost")

    # Rooms.

    def join(self, session: str, name: RoomName, known: int) -> Roster:
        """Put a session into a room, unless it is there; see `IPresence.join`."""
        held = self.sessions[session]
        before = self.rooms[name].version if name in self.rooms else 0
        room = self._room(name)
        new, version = session not in room.members, room.version + 1
        if new:
            room.members.append(session)
            held.rooms.append(room.name)
            self._change(room, joined=(self.member(session),))
        if 0 < known <= before:
            return Roster(room.name, version if new else known, self.now(), None)
        return self._roster(room)

    def _room(self, name: RoomName) -> HeldRoom:
        """A room, made if nobody is in it."""
        if name not in self.rooms:
            version = max(int(self.now() * 1e6), self._mark + 1) - 1
            self.rooms[name] = HeldRoom(name, version)
            self.empty.pop(name, None)
        return self.rooms[name]

    def leave(self, session: str, name: RoomName, reason: str) -> None:
        """Take a session out of a room, if it is there."""
        held = self.sessions[session]
        if name in held.rooms:
            member = self.member(session)
            held.rooms.remove(name)
            self.rooms[name].members.remove(session)
            self._change(self.rooms[name], left=(member,), reason=reason)

    def note_empty(self, name: RoomName, seq: int) -> None:
        """Note the newest seq of a room, starting its time anew; not if somebody is in it."""
        if name not in self.rooms:
            self.empty[name] = (self.now(), seq)

    def forget_empty(self, name: RoomName, seq: int) -> bool:
        """Strike a room off the empty ones; True if it was there with that seq."""
        noted = self.empty.get(name)
        if noted is None or noted[1] != seq:
            return False
        del self.empty[name]
        return True

    # Their announcement.

    def _change(
        self,
        room: HeldRoom,
        *,
        joined: tuple[Member, ...] = (),
        left: tuple[Member, ...] = (),
        renamed: tuple[tuple[Member, Member], ...] = (),
        reason: str = "",
    ) -> None:
        """Announce what has been done to a room as its next version."""
        room.version += 1
        if not room.members:
            del self.rooms[room.name]
            self._mark = max(self._mark, room.version)
            if self._keeps_empty:
                self.empty[room.name] = (self.now(), None)
        self._untold.append(
            Change(room.name, room.version, self.now(), joined, left, renamed, reason)
        )
        self._tell()

    def _tell(self) -> None:
        """Tell everybody of every change in order, also when one is made by somebody told."""
        if self._telling:
            return
        self._telling = True
        try:
            while self._untold:
                change = self._untold.popleft()
                for instance in tuple(self.instances):
                    if instance.watcher is not None:
                        instance.watcher.changed(change)
        finally:
            self._telling = False
