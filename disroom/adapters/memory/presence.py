"""Presence within one process: what the port means, without a network."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from zope.interface import implementer

from disroom.chat.errors import NickTaken, NoSession, PresenceUnavailable
from disroom.chat.events import Member
from disroom.chat.interfaces import IPresence, IPresenceWatcher
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Change, Listing, Resumed, RoomSummary, Roster, Whereabouts


@dataclass(slots=True)
class _Session:
    """Held by an instance or, once that has gone, by none; `ends` is set while it is suspended."""

    nick: Nick
    holder: MemoryPresence | None
    since: float
    key: str
    previous_key: str = ""
    ends: float | None = None
    given: str = ""
    away: str | None = None
    rooms: list[RoomName] = field(default_factory=list)

    def opens(self, presented: str) -> bool:
        return bool(presented) and presented in (self.key, self.previous_key)


@dataclass(slots=True)
class _Room:
    name: RoomName
    version: int
    members: list[str] = field(default_factory=list)


class MemoryPresenceStore:
    """What the instances of one chat share.

    Args:
        now: The time, Unix seconds.
        keeps_empty: Whether `IPresence.emptied` lists rooms.
        grace: How long a session that can be resumed outlives its instance, in seconds.
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
        self.instances: list[MemoryPresence] = []
        self.sessions: dict[str, _Session] = {}
        self.holders: dict[Nick, str] = {}
        self.rooms: dict[RoomName, _Room] = {}
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

    def room(self, name: RoomName) -> _Room:
        """A room, made if nobody is in it."""
        if name not in self.rooms:
            version = max(int(self.now() * 1e6), self._mark + 1) - 1
            self.rooms[name] = _Room(name, version)
            self.empty.pop(name, None)
        return self.rooms[name]

    def dismiss(self, sessions: Iterable[str], reason: str) -> None:
        """End sessions; each room hears once of all who left it."""
        self.abandon(sessions, reason, resumable=False)

    def mark(self, session: str, **changed: float | str | None) -> None:
        """Change what a session is shown by; its rooms hear if that makes a difference."""
        held, before = self.sessions[session], self.member(session)
        for name, value in changed.items():
            setattr(held, name, value)
        after = self.member(session)
        if after != before:
            for room in tuple(held.rooms):
                self.change(self.rooms[room], renamed=((before, after),))

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
            self.change(self.rooms[name], left=gone, renamed=away, reason=reason if gone else "")

    def tick(self) -> None:
        """End the sessions that nobody holds and whose grace is over; done at each call as well."""
        now = self.now()
        over = [
            session
            for session, held in self.sessions.items()
            if held.holder is None and held.ends is not None and held.ends <= now
        ]
        self.dismiss(over, "connection lost")

    def change(
        self,
        room: _Room,
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


@implementer(IPresence)
class MemoryPresence:
    """Presence for one instance of a chat that lives in one process.

    Attributes:
        incarnation: Who this instance is to the others.
        lapsed: Always False.
        watcher: Who hears of changes; they are told of before the method that made them returns.
    """

    lapsed = False

    def __init__(
        self, store: MemoryPresenceStore, *, instance_name: str, fresh_id: Callable[[], str]
    ) -> None:
        self.incarnation = fresh_id()
        self.watcher: IPresenceWatcher | None = None
        self._store = store
        self._instance_name = instance_name
        self._owed: dict[str, str] = {}
        self._paused: dict[str, tuple[float, str]] = {}

    def watch(self, watcher: IPresenceWatcher) -> None:
        """Say whom to tell of changes. Once, before anything else."""
        self.watcher = watcher

    async def start(self) -> None:
        """Take part in the chat."""
        self._store.instances.append(self)

    async def stop(self) -> None:
        """Release every session that cannot be resumed. Idempotent."""
        self.end("going down")

    def end(self, reason: str) -> None:
        """Give up every session at once, for this reason, as when the instance has died."""
        held = [s for s, session in self._store.sessions.items() if session.holder is self]
        self._store.abandon(held, reason)
        if self in self._store.instances:
            self._store.instances.remove(self)

    def returned(self) -> None:
        """Make good what could not be done while the store was cut off."""
        owed, self._owed = self._owed, {}
        for session, reason in owed.items():
            self._dismiss(session, reason)
        paused, self._paused = self._paused, {}
        for session, (ends, given) in paused.items():
            held = self._store.sessions.get(session)
            if held is not None and held.holder is self:
                self._store.mark(session, ends=ends, given=given)
        if self.watcher is not None:
            self.watcher.uncertain()

    async def confirm(self) -> None:
        """Nothing happens behind this process's back."""

    # Verbs about sessions.

    async def claim(self, session: str, nick: Nick, key: str = "") -> None:
        """Take a nick for a new session, atomically across instances."""
        self._reach()
        if session in self._store.sessions:
            await self.rename(session, nick)
            if key:
                await self.arm(session, key)
            return
        if nick in self._store.holders:
            raise NickTaken(nick.display)
        self._store.holders[nick] = session
        self._store.sessions[session] = _Session(nick, self, self._store.now(), key)

    async def arm(self, session: str, key: str) -> None:
        """Make a session with a nick resumable by this key; the one before stays for a while."""
        held = self._held(session)
        held.key, held.previous_key = key, held.key

    async def suspend(self, session: str, grace: float, given: str = "") -> None:
        """Keep a session whose connection is lost; its rooms see it away."""
        ends = self._store.now() + grace
        if not self._store.reachable:
            self._paused[session] = (ends, given)
        self._held(session)
        self._store.mark(session, ends=ends, given=given)

    async def resume(self, session: str, presented: str, key: str) -> Resumed:
        """Take a session over to this instance, from whichever holds it or from none."""
        self._reach()
        held = self._store.sessions.get(session)
        if held is None or not held.opens(presented):
            raise NoSession
        if held.ends is not None and held.ends <= self._store.now():
            self._store.dismiss([session], "connection lost")
            raise NoSession
        if presented == held.key:
            held.previous_key = presented
        former, held.key, held.holder = held.holder, key, self
        self._paused.pop(session, None)
        given = held.given
        self._store.mark(session, ends=None, given="")
        if former is not None and former is not self:
            former.lose(session)
        return Resumed(held.nick, held.since, held.away, tuple(held.rooms), given)

    def lose(self, session: str) -> None:
        """Take note that a session has moved to another instance."""
        self._paused.pop(session, None)
        if self.watcher is not None:
            self.watcher.moved(session)

    async def settle(self, session: str) -> None:
        """Forget the key before the current one."""
        self._held(session).previous_key = ""

    async def rename(self, session: str, nick: Nick) -> None:
        """Exchange the session's nick for another, in all its rooms at once."""
        held, old = self._held(session), self._store.member(session)
        if self._store.holders.get(nick, session) != session:
            raise NickTaken(nick.display)
        if held.nick.display == nick.display:
            return
        del self._store.holders[held.nick]
        self._store.holders[nick] = session
        held.nick = nick
        for name in tuple(held.rooms):
            pair = (old, self._store.member(session))
            self._store.change(self._store.rooms[name], renamed=(pair,))

    async def set_away(self, session: str, text: str | None) -> None:
        """Leave an away text, or take it back with None."""
        self._held(session)
        self._store.mark(session, away=text)

    async def join(self, session: str, room: RoomName, known: int) -> Roster:
        """Enter a room; idempotent."""
        held = self._held(session)
        before = self._store.rooms[room].version if room in self._store.rooms else 0
        joined = self._store.room(room)
        new, version = session not in joined.members, joined.version + 1
        if new:
            joined.members.append(session)
            held.rooms.append(joined.name)
            self._store.change(joined, joined=(self._store.member(session),))
        if 0 < known <= before:
            return Roster(joined.name, version if new else known, None)
        return self._roster(joined)

    async def leave(self, session: str, room: RoomName, reason: str) -> None:
        """Leave a room; idempotent."""
        self._reach()
        held = self._store.sessions.get(session)
        if held is not None and held.holder is self and room in held.rooms:
            member = self._store.member(session)
            held.rooms.remove(room)
            self._store.rooms[room].members.remove(session)
            self._store.change(self._store.rooms[room], left=(member,), reason=reason)

    async def release(self, session: str, reason: str) -> None:
        """End a session: its nick is free and it has left every room when this returns."""
        self._owed[session] = reason
        self._reach()
        del self._owed[session]
        self._dismiss(session, reason)

    def _dismiss(self, session: str, reason: str) -> None:
        held = self._store.sessions.get(session)
        if held is not None and held.holder is self:
            self._store.dismiss([session], reason)

    # Verbs about rooms.

    async def users(self, room: RoomName) -> Roster:
        """Read who is in a room."""
        self._reach()
        return self._roster(self._store.rooms.get(room, _Room(room, 0)))

    async def listing(self, room: RoomName, most: int, known: int) -> Listing:
        """Read the members of a room that came first."""
        roster = await self.users(room)
        members = roster.members or ()
        right = 0 < known == roster.version
        return Listing(roster.name, len(members), None if right else members[:most])

    async def rooms(self, most: int) -> tuple[tuple[RoomSummary, ...], int]:
        """Read the rooms with people, fullest first, at most ``most``, and how many there are."""
        self._reach()
        rooms = sorted(self._store.rooms.values(), key=lambda r: (-len(r.members), r.name.token))
        return tuple(RoomSummary(r.name, len(r.members)) for r in rooms[:most]), len(rooms)

    async def versions(self, rooms: Iterable[RoomName]) -> Mapping[RoomName, int]:
        """Read the current versions of these rooms, 0 for an empty one."""
        self._reach()
        known = self._store.rooms
        return {room: known[room].version if room in known else 0 for room in rooms}

    async def locate(self, nick: Nick) -> Whereabouts | None:
        """Find who holds a nick."""
        self._reach()
        session = self._store.holders.get(nick)
        if session is None:
            return None
        held = self._store.sessions[session]
        return Whereabouts(
            nick=held.nick,
            session=session,
            instance=held.holder.incarnation if held.holder else "",
            instance_name=held.holder._instance_name if held.holder else "",
            since=held.since,
            away=held.away,
            rooms=tuple(sorted(held.rooms, key=str)),
        )

    # Rooms that are empty.

    async def emptied(self) -> Mapping[RoomName, tuple[float, int | None]]:
        """Read the rooms that have been left by everybody and not been forgotten since."""
        self._reach()
        now = self._store.now()
        return {room: (now - at, seq) for room, (at, seq) in self._store.empty.items()}

    async def note_empty(self, room: RoomName, seq: int) -> None:
        """Note the newest seq of a room, starting its time anew; not if somebody is in it."""
        self._reach()
        if room not in self._store.rooms:
            self._store.empty[room] = (self._store.now(), seq)

    async def forget_empty(self, room: RoomName, seq: int) -> bool:
        """Strike a room off `emptied`; True if it was still there, empty, with that seq noted."""
        self._reach()
        noted = self._store.empty.get(room)
        if noted is None or noted[1] != seq:
            return False
        del self._store.empty[room]
        return True

    # What the verbs share.

    def _reach(self) -> None:
        if not self._store.reachable or self not in self._store.instances:
            raise PresenceUnavailable
        self._store.tick()

    def _held(self, session: str) -> _Session:
        self._reach()
        held = self._store.sessions.get(session)
        if held is None or held.holder is not self:
            raise PresenceUnavailable
        return held

    def _roster(self, room: _Room) -> Roster:
        members = tuple(self._store.member(session) for session in room.members)
        return Roster(room.name, room.version, members)
