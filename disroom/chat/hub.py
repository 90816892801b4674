"""The sessions of one instance: how they begin, how they go on here, and what they share."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from zope.interface import implementer

from disroom.chat.directory import Directory
from disroom.chat.errors import NickLost
from disroom.chat.histories import Histories
from disroom.chat.interfaces import (
    ICourier,
    IMember,
    IPresence,
    IPresenceWatcher,
    IRoomLog,
    IRuntime,
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
from disroom.chat.rooms import Rooms
from disroom.chat.session import Session
from disroom.chat.tokens import Seen, Token


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
        self.rooms = Rooms(
            log=log,
            presence=presence,
            runtime=runtime,
            limits=limits,
            histories=self.histories,
            replays=self.replays,
            make=partial(
                Room,
                runtime=runtime,
                log_now=log.now,
                backlog=limits.backlog,
                log_seconds=log_seconds,
                log_most=log_most,
                window=window,
            ),
        )
        self.directory = Directory(log, presence, self.rooms, limits)
        self.private_messages = PrivateMessages(presence, courier, runtime, self.sessions)
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

    def room(self, name: RoomName) -> Room | None:
        """The room, if it is followed here."""
        return self.rooms.get(name)

    # Presence.

    def changed(self, change: Change) -> None:
        """Pass a change on to its room, if it is followed here."""
        self.rooms.changed(change)

    def uncertain(self) -> None:
        """Compare every room with the presence store, now."""
        self.rooms.compare()

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

    # Time.

    def stop(self) -> None:
        """Take note that the instance ends, before anybody is told goodbye."""
        self.stopping = True

    def tick(self) -> None:
        """Do what is due; to be called about twice a second.

        Raises:
            Exception: What went wrong with a session first, once all others have had their turn.
        """
        now = self.runtime.monotonic()
        failures = []
        for session in tuple(self.sessions.values()):
            try:
                session.tick(now)
            except Exception as failure:
                failures.append(failure)
        self.replays.tick()
        self.rooms.tick()
        if failures:
            raise failures[0]
