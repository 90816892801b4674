"""What was missed of the rooms by those who come back, read from the log once for all of them.

When an instance dies, all its users come back to the others within seconds, and most have missed
the same. What was read for one of a room is kept for KEPT_SECONDS, and who comes next is given it,
and after it what the room has in memory of the time since; where that does not reach back far
enough, only what is newer than what is kept is read. One reading of a room is under way at a time,
and one question of how far the log is.
"""

from __future__ import annotations

from dataclasses import dataclass

from disroom.chat.errors import StoreUnavailable
from disroom.chat.events import Message
from disroom.chat.interfaces import IRoomLog, IRuntime, ISignal
from disroom.chat.room import Room
from disroom.chat.stored import Replay

MOST_REPLAYED = 1000
"""Messages of a room that are made up for; before those there is a gap."""

KEPT_SECONDS = 5.0
MOST_KEPT = 50
"""Rooms of which something is kept, some 30 MB at most; beyond, the one read first is forgotten."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """All of a room after a seq, but what was lost before the messages; up to ``newest``."""

    log: str
    after: int
    newest: int
    replay: Replay
    until: float


@dataclass(slots=True)
class _Reading:
    done: ISignal
    failed: bool = False


class Replays:
    """Answers what was missed, for the rooms that an instance follows.

    Args:
        log: Asked where memory does not do.
        runtime: Keeps the time and makes signals.
        most: Messages in one answer.
    """

    def __init__(self, log: IRoomLog, runtime: IRuntime, most: int = MOST_REPLAYED) -> None:
        self._log = log
        self._runtime = runtime
        self._most = most
        self._kept: dict[Room, _Kept] = {}
        self._readings: dict[Room, _Reading] = {}
        self._asking: _Reading | None = None

    async def since(self, room: Room, after: int) -> Replay:
        """What came after a seq; complete as far as messages have reached this instance.

        Raises:
            StoreUnavailable: The log was needed and does not answer.
        """
        while (replay := room.replay(after, self._most) or self._known(room, after)) is None:
            reading = self._readings.get(room)
            if reading is None:
                return await self._read(room, after)
            await reading.done.wait()
            if reading.failed:
                raise StoreUnavailable
        return replay

    async def reached(self, seq: int) -> bool:
        """Whether the log has come as far as a seq; see `IRoomLog.reached`.

        Raises:
            StoreUnavailable: The log was needed and does not answer.
        """
        while self._asking is not None:
            asking = self._asking
            await asking.done.wait()
            if asking.failed:
                raise StoreUnavailable
        asking = self._asking = _Reading(self._runtime.signal())
        try:
            return await self._log.reached(seq)
        except StoreUnavailable:
            asking.failed = True
            raise
        finally:
            self._asking = None
            asking.done.fire()

    def forget(self, room: Room) -> None:
        """Take note that a room is not followed any more."""
        self._kept.pop(room, None)

    def tick(self) -> None:
        """Forget what has been kept for long enough."""
        now = self._runtime.monotonic()
        for room in [room for room, kept in self._kept.items() if kept.until <= now]:
            del self._kept[room]

    def _known(self, room: Room, after: int) -> Replay | None:
        """The answer from what is kept and what the room has; None where there is a hole."""
        kept = self._of_use(room, after)
        newer = room.replay(kept.newest, self._most) if kept else None
        return self._cut(after, kept.replay, newer.messages) if kept and newer else None

    def _of_use(self, room: Room, after: int) -> _Kept | None:
        kept = self._kept.get(room)
        known = kept is not None and kept.log == self._log.identity
        return kept if known and kept and kept.after <= after <= kept.newest else None

    async def _read(self, room: Room, after: int) -> Replay:
        kept = self._of_use(room, after)
        reading = self._readings[room] = _Reading(self._runtime.signal())
        try:
            begin = kept.newest if kept else after
            replay = await self._log.since(room.name, begin, self._most)
            if kept and not replay.lost:
                begin, replay = kept.after, self._cut(kept.after, kept.replay, replay.messages)
            self._keep(room, begin, replay)
        except StoreUnavailable:
            reading.failed = True
            raise
        finally:
            del self._readings[room]
            reading.done.fire()
        return self._cut(after, replay, ())

    def _keep(self, room: Room, after: int, replay: Replay) -> None:
        newest = replay.messages[-1].seq if replay.messages else (replay.lost or (0, after))[1]
        until = self._runtime.monotonic() + KEPT_SECONDS
        self._kept.pop(room, None)
        self._kept[room] = _Kept(self._log.identity, after, newest, replay, until)
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]

    def _cut(self, after: int, replay: Replay, newer: tuple[Message, ...]) -> Replay:
        """What is newer than a seq, at most so much."""
        messages = tuple(m for m in (*replay.messages, *newer) if m.seq > after)
        last = replay.lost[1] if replay.lost else 0
        if len(messages) > self._most:
            last = messages[-self._most - 1].seq
            messages = messages[-self._most :]
        return Replay(messages, (after + 1, last) if last > after else None)
