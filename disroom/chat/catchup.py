"""One room of a user who was away: what was missed, and then what is live, without a seam."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from disroom.chat.events import Gap, Message, RoomEvent
from disroom.chat.names import RoomName
from disroom.chat.stored import Replay

MOST_HELD = 1000
"""Events of a room that wait while it is made up for; the oldest are dropped above it, as a gap."""


class CatchUp:
    """One room of a session that is being made up for: holds back what comes meanwhile.

    Args:
        room: The room.
        after: The seq of the last message that the user has; None where that is not known.
        anew: Whether the log is another one than the user knows, so that seqs tell nothing.
    """

    def __init__(self, room: RoomName, after: int | None, *, anew: bool = False) -> None:
        self.after = None if anew else after
        self.anew = anew
        self._room = room
        self._held: deque[RoomEvent] = deque()
        self._dropped = 0

    def hold(self, event: RoomEvent) -> None:
        """Take an event that must not be shown yet."""
        self._held.append(event)
        if len(self._held) > MOST_HELD:
            oldest = self._held.popleft()
            if isinstance(oldest, Message):
                self._dropped = oldest.seq

    def listed(self) -> None:
        """Forget who came and went: the user is given a list of who is there now."""
        self._held = deque(e for e in self._held if isinstance(e, Message | Gap))

    def release(self, replay: Replay, position: int) -> Iterator[RoomEvent]:
        """What to show now, in order, each message once.

        Args:
            replay: What came after ``after``.
            position: Up to this seq the room has been given everything; what is newer than that
                will come, or is held.
        """
        if self.anew:
            yield Gap(self._room, None, None)
        last = self.after or 0
        if replay.lost:
            yield Gap(self._room, *replay.lost)
            last = replay.lost[1]
        for message in replay.messages:
            if message.seq > position:
                break
            yield message
            last = message.seq
        if self._dropped > last:
            yield Gap(self._room, last + 1, self._dropped)
            last = self._dropped
        for event in self._held:
            if isinstance(event, Gap) and event.first is None:
                last = 0  # another log, which counts from 1 again
            elif isinstance(event, Message):
                if event.seq <= last:
                    continue
                last = event.seq
            yield event
