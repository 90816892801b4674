"""The rooms that this instance follows, because somebody here is in them, and its sessions.

The hub owns neither a room nor a name: it follows a room in the log while it has an occupant here,
and hears of presence for all rooms, of which it keeps what concerns those.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from zope.interface import implementer

from disroom.chat.directory import Directory
from disroom.chat.errors import ChatError, NickLost, PresenceUnavailable, StoreUnavailable
from disroom.chat.histories import Histories
from disroom.chat.interfaces import (
    ICourier,
    IMember,
    IPresence,
    IPresenceWatcher,
    IRoomLog,
    IRuntime,
    ISignal,
)
from disroom.chat.limits import Limits
from disroom.chat.moves import window
from disroom.chat.names import RoomName
from disroom.chat.outgoing import Gathering
from disroom.chat.presence import Change, Resumed
from disroom.chat.private import PrivateMessages
from disroom.chat.replays import Replays
from disroom.chat.replies import Restored
from disroom.chat.resumption import Absent
from disroom.chat.room import Room
from disroom.chat.session import Session
from disroom.chat.tokens import Seen, Token

COMPARE_SECONDS = 10.0
"""How often the versions of all rooms are compared with the presence store's."""


@dataclass(slots=True)
class _Followed:
    """A room, and the joins under way to it, which keep it open.

    Attributes:
        introducing: While the first of them asks who is in the room. The others wait for it, so
            that of all who come back at once after a restart only one is told everybody.
    """

    room: Room
    opened: ISignal
    failure: ChatError | None = None
    joining: int = 0
    introducing: ISignal | None = None
    adopting: bool = field(default=False)


@implementer(IPresenceWatcher)
class Hub:
    """What the sessions of one instance share.

    Attributes:
        sessions: The live sessions of this instance, by id.
        suspended: The ids of those of them that have no client at present.
        gathering: What a client sends in one piece is stored in one piece.
        resuming: How often the presence store is being asked for a session now, by its id.
        stopping: Whether the instance ends: sessions that end now are not released one by one, so
            that the end of presence releases all at once and each room hears of it once.
    """

    def __init__(
        self,
        *,
        log: IRoomLog,
        presence: IPresence,
        courier: ICourier,
        runtime: IRuntime,
        limits: Limits,
        log_seconds: float = math.inf,
        log_most: int = 0,
        window: Callable[[int], float] = window,
    ) -> None:
        self.log = log
        self.presence = presence
        self.runtime = runtime
        self.limits = limits
        self.sessions: dict[str, Session] = {}
        self.suspended: set[str] = set()
        self.gathering = Gathering()
        self.resuming: dict[str, int] = {}
        self.stopping = False
        self.histories = Histories(log, runtime, limits)
        self.replays = Replays(log, runtime)
        self.directory = Directory(self)
        self.private_messages = PrivateMessages(presence, courier, runtime, self.sessions)
        self._log_seconds = log_seconds
        self._log_most = log_most
        self._window = window
        self._followed: dict[RoomName, _Followed] = {}
        self._compare_at = runtime.monotonic() + COMPARE_SECONDS
        presence.watch(self)

    def connect(self, member: IMember) -> Session:
        """Open a session for a client that has just arrived."""
        session = Session(self, member)
        self.sessions[session.id] = session
        return session

    async def resume(self, member: IMember, token: str, seen: Seen) -> tuple[Session, Restored]:
        """Give a client the session back that it shows a token of, from whichever instance has it.

        The session's `Session.catch_up` must follow, once the client has the answer.

        Args:
            member: The client.
            token: As `Resumable` and `Restored` have it.
            seen: What the client has already.

        Raises:
            NoSession: It has ended, or that is no token of it.
            StoreUnavailable, PresenceUnavailable: It cannot be taken up just now; the same token
                is good for another attempt.
            ResumedElsewhere: Somebody else with a token was later.
        """
        presented = Token.parse(token)
        fresh = Token(presented.session, self.runtime.fresh_id())
        held = await self._ask_for(presented, fresh)
        session = self.sessions.get(presented.session)
        if session is None:
            session = Session(self, Absent(), presented.session, held.nick)
            self.sessions[session.id] = session
        return session, await session.resume(member, fresh, held, seen)

    async def _ask_for(self, presented: Token, fresh: Token) -> Resumed:
        id_ = presented.session
        self.resuming[id_] = self.resuming.get(id_, 0) + 1
        held: Resumed | None = None
        try:
            held = await self.presence.resume(id_, presented.key, fresh.key)
            return held
        finally:
            self.resuming[id_] -= 1
            if not self.resuming[id_]:
                del self.resuming[id_]
            if held is None and id_ in self.sessions:
                self.sessions[id_].not_resumed()

    # Rooms.

    def room(self, name: RoomName) -> Room | None:
        """The room, if it is followed here."""
        followed = self._followed.get(name)
        return followed.room if followed else None

    async def enter(self, name: RoomName) -> Room:
        """Open a room for a session that is about to join; `leave` must follow, whatever happens.

        Raises:
            StoreUnavailable: The room cannot be followed just now; nothing needs undoing.
        """
        followed = self._followed.get(name)
        if followed is None:
            room = Room(
                name,
                runtime=self.runtime,
                backlog=self.limits.backlog,
                log_seconds=self._log_seconds,
                log_most=self._log_most,
                window=self._window,
            )
            followed = _Followed(room, self.runtime.signal(), joining=1)
            self._followed[name] = followed
            await self._open(name, followed)
        else:
            followed.joining += 1
            await followed.opened.wait()
        if followed.failure:
            raise StoreUnavailable from followed.failure
        await self.histories.refresh(followed.room)
        while followed.introducing is not None:
            await followed.introducing.wait()
        if not followed.room.version:
            followed.introducing = self.runtime.signal()
        return followed.room

    async def _open(self, name: RoomName, followed: _Followed) -> None:
        room = followed.room
        try:
            await self.log.follow(name, room, self.limits.backlog + 1)  # 1 tells of older ones
            if room.topic_at is None:
                topic = (await self.log.topics([name])).get(name)
                if room.topic_at is None:  # nor set meanwhile
                    room.topic = topic
        except ChatError as error:
            followed.failure = error
            self.log.unfollow(name)
            del self._followed[name]
        finally:
            followed.opened.fire()

    def entered(self, name: RoomName) -> None:
        """End what `enter` began, once the session is in the room or has given up."""
        followed = self._followed[name]
        followed.joining -= 1
        if followed.introducing is not None:
            introducing, followed.introducing = followed.introducing, None
            introducing.fire()
        if followed.room.needs_roster:
            self._compare_at = self.runtime.monotonic()  # later: what it shows follows the answer
        self.left(name)

    def left(self, name: RoomName) -> None:
        """Stop following a room in which nobody of this instance is any more."""
        followed = self._followed.get(name)
        if followed and not followed.joining and not followed.room.occupied:
            del self._followed[name]
            self.histories.forget(followed.room)
            self.replays.forget(followed.room)
            self.log.unfollow(name)

    # Presence.

    def changed(self, change: Change) -> None:
        """Pass a change on to its room, if it is followed here."""
        followed = self._followed.get(change.room)
        if followed:
            followed.room.changed(change)
            self._adopt_if_needed(followed)

    def uncertain(self) -> None:
        """Compare every room with the presence store, now."""
        self._compare_at = self.runtime.monotonic() + COMPARE_SECONDS
        self.runtime.spawn(self._compare(), "comparing rooms with the presence store")

    def lost(self, session: str) -> None:
        """Close a session whose nick went to somebody else."""
        holder = self.sessions.get(session)
        if holder and holder.nick:
            holder.evict(NickLost(holder.nick.display))

    def moved(self, session: str) -> None:
        """Part with a session that its client has resumed on another instance."""
        holder = self.sessions.get(session)
        if holder:
            holder.part()

    async def _compare(self) -> None:
        held = {name: f for name, f in self._followed.items() if f.room.version}
        try:
            versions = await self.presence.versions(list(held))
        except PresenceUnavailable:
            return
        for name, followed in held.items():
            followed.room.heard(versions.get(name, 0))
            self._adopt_if_needed(followed)

    def _adopt_if_needed(self, followed: _Followed) -> None:
        if followed.room.needs_roster and not followed.adopting:
            followed.adopting = True
            self.runtime.spawn(self._adopt(followed), "reading a room's members")

    async def _adopt(self, followed: _Followed) -> None:
        room = followed.room
        before = -1
        try:
            while room.needs_roster and room.version > before:  # else the next comparison tries
                before = room.version
                room.adopt(await self.presence.users(room.name))
        except PresenceUnavailable:
            pass
        finally:
            followed.adopting = False

    # Time.

    def stop(self) -> None:
        """Take note that the instance ends, before anybody is told goodbye."""
        self.stopping = True

    def tick(self) -> None:
        """Do what is due; to be called about twice a second."""
        now = self.runtime.monotonic()
        for session in tuple(self.sessions.values()):
            session.tick(now)
        self.replays.tick()
        if now >= self._compare_at:
            for followed in self._followed.values():
                followed.room.tick()
            self.uncertain()
