"""Presence within one process: what the port means, without a network.

The store decides what happens to names and rooms. Here is what an instance has to do with it: it
speaks for its own sessions alone, and owes the store what it could not tell while that was cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from zope.interface import implementer

from disroom.adapters.memory.presencestore import MemoryPresenceStore
from disroom.chat.errors import PresenceUnavailable
from disroom.chat.interfaces import IPresence, IPresenceWatcher
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Listing, Resumed, RoomSummary, Roster, Whereabouts


@implementer(IPresence)
class MemoryPresence:
    """Presence for one instance of a chat that lives in one process.

    Attributes:
        incarnation: Who this instance is to the others.
        instance_name: As given, for people.
        lapsed: Always False.
        watcher: Who hears of changes; they are told of before the method that made them returns.
    """

    lapsed = False

    def __init__(
        self, store: MemoryPresenceStore, *, instance_name: str, fresh_id: Callable[[], str]
    ) -> None:
        self.incarnation = fresh_id()
        self.instance_name = instance_name
        self.watcher: IPresenceWatcher | None = None
        self._store = store
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
            if self._owns(session):
                self._store.suspend(session, ends, given)
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
        self._store.claim(session, nick, self, key)

    async def arm(self, session: str, key: str) -> None:
        """Make a session with a nick resumable by this key; the one before stays for a while."""
        self._must_own(session)
        self._store.arm(session, key)

    async def suspend(self, session: str, grace: float, given: str = "") -> None:
        """Keep a session whose connection is lost; its rooms see it away."""
        ends = self._store.now() + grace
        if not self._store.reachable:
            self._paused[session] = (ends, given)
        self._must_own(session)
        self._store.suspend(session, ends, given)

    async def resume(self, session: str, presented: str, key: str) -> Resumed:
        """Take a session over to this instance, from whichever holds it or from none."""
        self._reach()
        resumed, former = self._store.resume(session, presented, key, self)
        self._paused.pop(session, None)
        if former is not None and former is not self:
            former.lose(session)
        return resumed

    def lose(self, session: str) -> None:
        """Take note that a session has moved to another instance."""
        self._paused.pop(session, None)
        if self.watcher is not None:
            self.watcher.moved(session)

    async def settle(self, session: str) -> None:
        """Forget the key before the current one."""
        self._must_own(session)
        self._store.settle(session)

    async def rename(self, session: str, nick: Nick) -> None:
        """Exchange the session's nick for another, in all its rooms at once."""
        self._must_own(session)
        self._store.rename(session, nick)

    async def set_away(self, session: str, text: str | None) -> None:
        """Leave an away text, or take it back with None."""
        self._must_own(session)
        self._store.set_away(session, text)

    async def join(self, session: str, room: RoomName, known: int) -> Roster:
        """Enter a room; idempotent."""
        self._must_own(session)
        return self._store.join(session, room, known)

    async def leave(self, session: str, room: RoomName, reason: str) -> float:
        """Leave a room; idempotent."""
        self._reach()
        if self._owns(session):
            self._store.leave(session, room, reason)
        return self._store.now()

    async def release(self, session: str, reason: str) -> None:
        """End a session: its nick is free and it has left every room when this returns."""
        self._owed[session] = reason
        self._reach()
        del self._owed[session]
        self._dismiss(session, reason)

    def _dismiss(self, session: str, reason: str) -> None:
        if self._owns(session):
            self._store.dismiss([session], reason)

    # Verbs about rooms.

    async def users(self, room: RoomName) -> Roster:
        """Read who is in a room."""
        self._reach()
        return self._store.roster(room)

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
            instance_name=held.holder.instance_name if held.holder else "",
            since=held.since,
            at=self._store.now(),
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
        self._store.note_empty(room, seq)

    async def forget_empty(self, room: RoomName, seq: int) -> bool:
        """Strike a room off `emptied`; True if it was still there, empty, with that seq noted."""
        self._reach()
        return self._store.forget_empty(room, seq)

    # What the verbs share.

    def _reach(self) -> None:
        if not self._store.reachable or self not in self._store.instances:
            raise PresenceUnavailable
        self._store.tick()

    def _must_own(self, session: str) -> None:
        """Look that the store can be asked about a session of this instance."""
        self._reach()
        if not self._owns(session):
            raise PresenceUnavailable

    def _owns(self, session: str) -> bool:
        held = self._store.sessions.get(session)
        return held is not None and held.holder is self
