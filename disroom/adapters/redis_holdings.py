"""What this instance vouches for: its copy of what it has put into the presence store.

The copy changes when the store has confirmed a change, so after an interruption it is what the
callers were told, and the store is made to agree with it. The one exception is a release, which
cannot be refused: it counts at once and is owed to the store until it is done.
"""

from __future__ import annotations

from collections.abc import Iterator
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
        rooms: The order of its joining in each, as the store gave it.
    """

    nick: Nick
    since: int
    away: str | None = None
    rooms: dict[RoomName, int] = field(default_factory=dict)


class Holdings:
    """The sessions of this instance.

    Attributes:
        sessions: Those vouched for.
        owed: Sessions to be released, for which reason: also those that the store may hold because
            the answer to their claim was lost.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, Held] = {}
        self.owed: dict[str, str] = {}

    def owe(self, session: str, reason: str) -> None:
        """Vouch for a session no longer; it is to be released."""
        self.sessions.pop(session, None)
        self.owed[session] = reason

    def batches(self) -> Iterator[bytes]:
        """All sessions as ``assert.lua`` takes them, each batch as it is when it is asked for."""
        batch: list[object] = []
        rooms = 0
        for session in tuple(self.sessions):
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
                )
            )
            rooms += len(held.rooms)
            if len(batch) >= BATCH_SESSIONS or rooms >= BATCH_ROOMS:
                yield msgspec.msgpack.encode(batch)
                batch, rooms = [], 0
        if batch:
            yield msgspec.msgpack.encode(batch)
