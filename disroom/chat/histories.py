"""Pages of the rooms' past: from memory where that is enough, and otherwise from the log.

A room that is asked for its history has as many messages in memory from then on as ``history``
shows when it is not told how many, and one more that tells of older ones. All those rooms together
hold MOST_HELD messages at most (some 30 MB; five times as much if all were of the greatest length).
Beyond that the room that has not been asked for longest is back to what joining needs.
"""

from __future__ import annotations

from contextlib import suppress

from disroom.chat.errors import StoreUnavailable
from disroom.chat.interfaces import IRoomLog, IRuntime, ISignal
from disroom.chat.limits import Limits
from disroom.chat.room import Room
from disroom.chat.stored import Page

MOST_HELD = 50_000


class Histories:
    """Answers for the rooms that an instance follows.

    Args:
        log: Asked where memory does not do.
        runtime: Makes signals.
        limits: How much is shown.
        most_held: Messages, of all rooms together.
    """

    def __init__(
        self, log: IRoomLog, runtime: IRuntime, limits: Limits, most_held: int = MOST_HELD
    ) -> None:
        self._log = log
        self._runtime = runtime
        self._usual = limits.history
        self._most_rooms = max(1, most_held // (limits.history + 1))
        self._asked: dict[Room, None] = {}  # the one asked last is the last
        self._reading: dict[Room, ISignal] = {}

    async def page(self, room: Room, count: int, before: int | None) -> Page:
        """The last ``count`` messages, or the last ones before a seq, as `IRoomLog.history`.

        Complete as far as messages have reached this instance.

        Raises:
            StoreUnavailable: The log was needed and does not answer.
        """
        self._make_large(room)
        page = room.page(count, before)
        if page is None and before is None and count <= self._usual:
            await self._read(room)
            page = room.page(count, before)
        if page is None:
            page = await self._log.history(room.name, count, before)
        return page

    async def refresh(self, room: Room) -> None:
        """Make good what of a room in memory may be gone from the log, if the log can be asked."""
        if room.ring.doubtful:
            with suppress(StoreUnavailable):
                await self._read(room)

    def forget(self, room: Room) -> None:
        """Take note that a room is not followed any more."""
        self._asked.pop(room, None)

    def _make_large(self, room: Room) -> None:
        self._asked.pop(room, None)
        self._asked[room] = None
        room.ring.resize(self._usual + 1)
        while len(self._asked) > self._most_rooms:
            longest = next(iter(self._asked))
            del self._asked[longest]
            longest.ring.resize(None)

    async def _read(self, room: Room) -> None:
        """Read what a room holds in memory, once for all who wait for it."""
        reading = self._reading.get(room)
        if reading is not None:
            await reading.wait()
            return
        reading = self._reading[room] = self._runtime.signal()
        try:
            mark = room.ring.begin()
            room.ring.put(await self._log.history(room.name, room.ring.most, None), mark)
        finally:
            del self._reading[room]
            reading.fire()
