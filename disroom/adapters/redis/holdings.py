"""What this instance vouches for: its copy of what it has put into the presence store.

The copy changes when the store has confirmed a change, so after an interruption it is what the
callers were told, and the store is made to agree with it. The exceptions are a release and a
suspension, which cannot be refused: they count at once and are owed to the store until done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from disroom.chat.names import Nick, RoomName

BATCH_SESSIONS = 100
BATCH_ROOMS = 500
"""How much one assertion carries at most: some 5 ms of the store's time."""


@dataclass(slots=True)
class Held:
    """A session.

    Attributes:
        since: When it took its first nick, in microseconds of the store's clock.
        away: The away text.
        key: By which it can be resumed; empty: it cannot.
        previous_key: The one before, while it is good as well.
        tenure: How often it was resumed.
        ends: When its grace is over, by this instance's clock; None unless it is suspended.
        given: What its client was given by then; empty unless it is suspended.
        rooms: The order of its joining in each, as the store gave it.
    """

    nick: Nick
    since: int
    away: str | None = None
    key: str = ""
    previous_key: str = ""
    tenure: int = 0
    ends: float | None = None
    given: str = ""
    rooms: dict[RoomName, int] = field(default_factory=dict)


class Holdings:
    """The sessions of this instance.

    Attributes:
        sessions: Those vouched for.
        owed: Sessions to be released, for which reason: also those that the store may hold because
            the answer to their claim was lost.
        unmarked: Sessions that are suspended, where the store may not know.
        resuming: Sessions whose resumption is on its way; it may be there more than once.
        overtaken: Of these, the newest tenure elsewhere of which news has come before the answer.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, Held] = {}
        self.owed: dict[str, str] = {}
        self.unmarked: set[str] = set()
        self.resuming: list[str] = []
        self.overtaken: dict[str, int] = {}

    def owe(self, session: str, reason: str) -> None:
        """Vouch for a session no longer; it is to be released."""
        self.forget(session)
        self.owed[session] = reason

    def forget(self, session: str) -> bool:
        """Vouch for a session no longer, since it is another's by now; whether it was held."""
        self.unmarked.discard(session)
        return self.sessions.pop(session, None) is not None

    def went(self, session: str, tenure: int) -> None:
        """Take note that a session has gone elsewhere, if it is being resumed here."""
        if session in self.resuming:
            self.overtaken[session] = max(tenure, self.overtaken.get(session, 0))

    def resumed(self, session: str) -> None:
        """Take note that a resumption is on its way no more."""
        self.resuming.remove(session)
        if session not in self.resuming:
            self.overtaken.pop(session, None)

    def strays(self, stored: Iterable[str]) -> list[str]:
        """Those of the sessions that the store takes for this instance's of which it is not so."""
        known = {*self.sessions, *self.owed, *self.resuming}
        return [session for session in stored if session not in known]

    def batches(self, now: float, sessions: Iterable[str] | None = None) -> Iterator[bytes]:
        """Sessions as ``assert.lua`` takes them, each batch as it is when it is asked for.

        Args:
            now: By the clock of `Held.ends`.
            sessions: Which; None for all.
        """
        batch: list[object] = []
        rooms = 0
        for session in tuple(self.sessions if sessions is None else sessions):
            held = self.sessions.get(session)
            if held is None:
                continue
            batch.append(
                (
                    session,
                    held.nick.token,
                    held.nick.display,
                    held.since,
                    False if held.away is None else held.away,
                    [(room.token, room.display, order) for room, order in held.rooms.items()],
                    held.tenure,
                    held.key,
                    held.previous_key,
                    False if held.ends is None else max(0, round((held.ends - now) * 1000)),
                    held.given,
                )
            )
            rooms += len(held.rooms)
            if len(batch) >= BATCH_SESSIONS or rooms >= BATCH_ROOMS:
                yield msgspec.msgpack.encode(batch)
                batch, rooms = [], 0
        if batch:
            yield msgspec.msgpack.encode(batch)
