"""What lets a user who lost its connection go on where it was.

A session with a token outlives its connection: for a while its nick is kept, others see it away,
and whoever shows the token, on whichever instance, is given the nick and the rooms back and then
whatever was missed. The token names the session and proves it with a secret, of which only the hash
is stored; each use makes a new one, and the one before is good until the new one has been used, so
that an answer which was lost strands nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from zope.interface import implementer

from disroom.chat.catchup import CatchUps
from disroom.chat.errors import (
    ChatError,
    PresenceUnavailable,
    ResumedElsewhere,
)
from disroom.chat.events import Event, Failed, Member, RoomEvent, StoredAfterAll
from disroom.chat.interfaces import IMember
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Resumed
from disroom.chat.replies import Restored, Resumable
from disroom.chat.tokens import Seen, Token

if TYPE_CHECKING:
    from disroom.chat.hub import Hub
    from disroom.chat.session import Session

MOST_KEPT = 100
"""Events for the user alone that wait for it; the oldest are dropped above it."""

_NOTHING = Seen()


@implementer(IMember)
class Absent:
    """Stands in for the client of a session that has none: keeps what concerns the user alone.

    What happens in rooms is read again from the log when the user is back.
    """

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: list[Event] = []  # a deque has 600 bytes, each one's

    def deliver(self, event: Event) -> None:
        """Keep news of the user's own messages."""
        if isinstance(event, Failed | StoredAfterAll):
            self.kept.append(event)
            del self.kept[:-MOST_KEPT]

    def close(self, error: ChatError | None) -> None:
        """There is nobody to tell."""


class Resumption:
    """That one session can be resumed, and how far that is.

    Args:
        session: Whose it is.
        hub: Of the session.

    Attributes:
        key: To the token that the client was told last; empty before that.
    """

    __slots__ = (
        "_catching_up",
        "_ends_at",
        "_given",
        "_had",
        "_hub",
        "_kept",
        "_session",
        "_turn",
        "_unnoted",
        "_unsettled",
        "key",
    )

    def __init__(self, session: Session, hub: Hub) -> None:
        self.key = ""
        self._ends_at: float | None = None  # monotonic seconds; None while there is a client
        self._session = session
        self._hub = hub
        self._unsettled = False
        self._unnoted = False  # the presence store is still to be told that there is no client
        self._turn = 0  # how often it was resumed here
        self._given = True  # the client of the last turn was given its answer
        self._kept: Iterable[Event] = ()
        self._had = _NOTHING  # what the last client was given when it was lost
        self._catching_up: CatchUps | None = None

    async def arm(self) -> Resumable:
        """Make a token; the one before is good until the client asks something under the new one.

        Raises:
            PresenceUnavailable: It cannot be noted just now.
        """
        token = Token(self._session.id, self._hub.runtime.fresh_id())
        if self._session.nick is not None:
            await self._hub.presence.arm(self._session.id, token.key)
            self._unsettled = bool(self.key)
        self.key = token.key
        return Resumable(str(token), self._hub.limits.grace)

    # While the client is away.

    def suspend(self) -> bool:
        """Take note that the client is gone, and what it was given; False: the session is to end.

        So it is without a name, or where nobody is to wait: because the instance stops, or as many
        wait as may. Who is coming back already is no more of them.
        """
        session, hub = self._session, self._hub
        crowded = len(hub.suspended) >= hub.limits.suspended and session.id not in hub.resuming
        if session.nick is None or not hub.limits.grace or hub.stopping or crowded:
            return False
        if self._given:
            seqs = {name: self._given_of(name) for name in session.memberships.occupied}
            self._had = Seen(hub.log.identity, seqs)
        self._wait()
        return True

    def is_over(self, now: float) -> bool:
        """Whether the grace is over, and nobody asks for the session; ``now`` is monotonic time."""
        over = self._ends_at is not None and now >= self._ends_at
        return over and self._session.id not in self._hub.resuming

    def _given_of(self, room: RoomName) -> int:
        after = self._catching_up.after(room) if self._catching_up else None
        return self._hub.log.position(room) if after is None else after

    def _wait(self) -> None:
        """Be without a client from now on, until the grace is over."""
        grace = self._hub.limits.grace
        self._session.member = Absent()
        self._hub.suspended.add(self._session.id)
        self._ends_at = self._hub.runtime.monotonic() + grace
        if self._catching_up is not None:
            self._catching_up.clear()
        self._unnoted = True
        self.note_suspended()

    def note_suspended(self) -> None:
        """Tell the presence store that there is no client, unless it was told.

        Not while it is being asked for the session: it would suspend what it has just given. If it
        does not give it, this is to be called again.
        """
        if (
            self._unnoted
            and self._ends_at is not None
            and self._session.id not in self._hub.resuming
        ):
            self._unnoted = False
            grace = self._ends_at - self._hub.runtime.monotonic()
            self._hub.runtime.spawn(self._note_suspended(grace), "suspending a session")

    async def _note_suspended(self, grace: float) -> None:
        with suppress(PresenceUnavailable):  # suspend makes it good when the store is back
            given = str(self._had) if self._had.seqs else ""
            await self._hub.presence.suspend(self._session.id, grace, given)

    # Coming back.

    async def resume(
        self, nick: Nick, member: IMember, token: Token, held: Resumed, seen: Seen
    ) -> Restored:
        """Have the session speak to another client from now on; see `Session.resume`."""
        session, hub = self._session, self._hub
        memberships = session.memberships
        self._turn += 1
        turn, self._given, self._ends_at, self.key = self._turn, False, None, token.key
        hub.suspended.discard(session.id)
        before = session.member
        if not isinstance(before, Absent):
            session.member = Absent()
            before.close(ResumedElsewhere())
        if not self._had.seqs:  # it was lost elsewhere
            self._had = Seen.parse(held.given)
        self._catching_up = catching_up = self._catching_up or CatchUps(session, hub)
        catching_up.begin((*held.rooms, *memberships.occupied), seen, self._had)
        try:
            for name in held.rooms:
                if name not in memberships.occupied:
                    memberships.current, _ = await memberships.enter(name)
                    if turn != self._turn:
                        raise ResumedElsewhere
        except Exception:
            if hub.sessions.get(session.id) is not session:  # it went to another instance
                raise ResumedElsewhere from None
            if turn == self._turn:
                self._wait()
            raise
        catching_up.also(memberships.occupied)  # joined meanwhile
        itself = Member(session.id, nick, held.away is not None)  # news of it is on its way
        rooms = []
        for name in catching_up:
            room = memberships.occupied[name]
            room.marked(itself, held.at)
            rooms.append(memberships.entered(room, itself, backlog=catching_up.listed(name)))
        if isinstance(session.member, Absent):
            self._kept = session.member.kept
        self._unsettled = True
        session.member = member
        current = memberships.current.name if memberships.current else None
        return Restored(nick, tuple(rooms), current, str(token), hub.limits.grace)

    def catch_up(self) -> None:
        """Show what was missed, each room by itself, and then what has come since."""
        self._given = True
        self._had = _NOTHING
        kept, self._kept = self._kept, ()
        for event in kept:
            self._session.member.deliver(event)
        if self._catching_up is not None:
            self._catching_up.release()

    def hold(self, event: RoomEvent) -> bool:
        """Take an event of a room that is being made up for; False if it is not."""
        return self._catching_up is not None and self._catching_up.hold(event)

    async def shown(self, room: RoomName) -> None:
        """Return when nothing of a room is held back."""
        if self._catching_up is not None:
            await self._catching_up.shown(room)

    def out_of(self, room: RoomName) -> None:
        """Make up for nothing more of a room that the session has left."""
        if self._catching_up is not None:
            self._catching_up.out_of(room)

    def heard(self) -> None:
        """Take note of a request of the client: it has its new token, so the old one goes."""
        if self._unsettled:
            self._unsettled = False
            self._hub.runtime.spawn(self._settle(), "forgetting a token")

    async def _settle(self) -> None:
        with suppress(PresenceUnavailable):  # the old one ends with the session
            await self._hub.presence.settle(self._session.id)
