"""The rooms of a user who was away: what was missed, and then what is live, without a seam."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from disroom.chat.errors import StoreUnavailable
from disroom.chat.events import Gap, Message, RoomEvent
from disroom.chat.names import RoomName
from disroom.chat.stored import Replay
from disroom.chat.tokens import Seen

if TYPE_CHECKING:
    from disroom.chat.hub import Hub
    from disroom.chat.session import Session

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


class CatchUps:
    """The rooms of one session that are being made up for, each by itself.

    Args:
        session: Whose they are; what is held back is shown by its `Session.receive`.
        hub: Of the session.
    """

    __slots__ = ("_hub", "_rooms", "_session")

    def __init__(self, session: Session, hub: Hub) -> None:
        self._session = session
        self._hub = hub
        self._rooms: dict[RoomName, CatchUp] = {}

    def begin(self, rooms: Iterable[RoomName], seen: Seen, given: Seen) -> None:
        """Hold rooms back, and no others; to be followed by `release`, or by `clear`.

        Args:
            rooms: Which.
            seen: What the client says that it has of them.
            given: What it was given, of those of which it says nothing.
        """
        identity = self._hub.log.identity
        self._rooms.clear()
        for room in rooms:
            after, anew = seen.seqs.get(room), seen.log not in ("", identity)
            if after is None and room in given.seqs:
                after, anew = given.seqs[room], anew or given.log != identity
            self._rooms[room] = CatchUp(room, after, anew=anew)

    def also(self, rooms: Iterable[RoomName]) -> None:
        """Hold those of these rooms back that are not, as rooms of which the client has nothing."""
        for room in rooms:
            if room not in self._rooms:
                self._rooms[room] = CatchUp(room, None)

    def clear(self) -> None:
        """Make up for nothing more, and forget what is held."""
        self._rooms.clear()

    def out_of(self, room: RoomName) -> None:
        """Make up for nothing more of a room that the session has left."""
        self._rooms.pop(room, None)

    def __iter__(self) -> Iterator[RoomName]:
        return iter(self._rooms)

    def hold(self, event: RoomEvent) -> bool:
        """Take an event of a room that is being made up for; False if it is not."""
        catch_up = self._rooms.get(event.room)
        if catch_up is None:
            return False
        catch_up.hold(event)
        return True

    def after(self, room: RoomName) -> int | None:
        """After which seq a room is still to be made up for; None where that is not known."""
        catch_up = self._rooms.get(room)
        return catch_up.after if catch_up else None

    def listed(self, room: RoomName) -> bool:
        """Take note that the client is given a list of who is there; whether also a backlog.

        It is where nothing is known of what the client has: that is as much as one who joins gets.
        """
        catch_up = self._rooms[room]
        catch_up.listed()
        if catch_up.after is not None:
            return False
        catch_up.after = self._hub.log.position(room)
        return not catch_up.anew

    def release(self) -> None:
        """Show what was missed of each room as soon as it is read, and then what has come since."""
        for name, catch_up in tuple(self._rooms.items()):
            self._hub.runtime.spawn(self._release(name, catch_up), "making up for a room")

    async def _release(self, name: RoomName, catch_up: CatchUp) -> None:
        after = catch_up.after or 0
        try:
            replay = await self._hub.replays.since(self._session.memberships.occupied[name], after)
        except Exception as error:
            self._show(name, catch_up, Replay((), (after + 1, self._hub.log.position(name))))
            if not isinstance(error, StoreUnavailable):
                raise
        else:
            self._show(name, catch_up, replay)

    def _show(self, name: RoomName, catch_up: CatchUp, replay: Replay) -> None:
        """Show what was missed of a room, and then what has come since."""
        if self._rooms.get(name) is catch_up:
            del self._rooms[name]
            for event in catch_up.release(replay, self._hub.log.position(name)):
                own = isinstance(event, Message) and event.session == self._session.id
                self._session.receive(event, own)
