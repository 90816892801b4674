"""The rooms of a user who was away: what was missed, and then what is live, without a seam."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING

from disroom.chat.errors import StoreUnavailable
from disroom.chat.events import Gap, Message, RoomEvent
from disroom.chat.interfaces import ISignal
from disroom.chat.names import RoomName
from disroom.chat.stored import Replay
from disroom.chat.tokens import Seen

if TYPE_CHECKING:
    from disroom.chat.hub import Hub
    from disroom.chat.session import Session

MOST_HELD = 1000
"""Events of a room that wait while it is made up for; the oldest are dropped above it, as a gap."""


class Phase(Enum):
    """What becomes of an event of a room."""

    HOLDING = "it waits until what was missed is read"
    AHEAD = "what the client has is passed over, since the instance is given it later; else shown"
    DOUBTING = "as ahead, but the log could not be asked whether what the client has is there"


class CatchUp:
    """One room of a session that is being made up for: holds back what comes meanwhile.

    Args:
        room: The room.
        after: The seq of the last message that the user has; None where that is not known.
        anew: Whether that is of another log, so that the user has nothing of this one.

    Attributes:
        after: As the argument, but of this log; later up to where the user was told everything.
        phase: What becomes of what comes.
        shown: Fires when what is held is shown or forgotten; None while nobody waits for that.
    """

    __slots__ = ("_anew", "_dropped", "_held", "_listed_at", "_room", "after", "phase", "shown")

    def __init__(self, room: RoomName, after: int | None, *, anew: bool = False) -> None:
        self.after = 0 if anew else after
        self.phase = Phase.HOLDING
        self.shown: ISignal | None = None
        self._anew = anew
        self._room = room
        self._listed_at = 0
        self._held: list[RoomEvent] = []  # a deque has 600 bytes, each room's of each user
        self._dropped = 0

    def hold(self, event: RoomEvent) -> None:
        """Take an event that must not be shown yet."""
        self._held.append(event)
        if len(self._held) > MOST_HELD:
            oldest = self._held.pop(0)
            if isinstance(oldest, Message):
                self._dropped = oldest.seq

    def listed(self, position: int) -> bool:
        """Take note that the client is given a list of who is there; whether also a backlog.

        Who came and went before is forgotten then. Where nothing is known of what the client has,
        it is given a backlog, as one who joins.

        Args:
            position: Up to this seq the room has been given everything.
        """
        self._held = [event for event in self._held if isinstance(event, Message | Gap)]
        self._listed_at = position
        if self.after is not None:
            return False
        self.after = position
        return True

    def disbelieve(self) -> None:
        """Take what the client says that it has for nothing, as the log has not come so far.

        It hears what has come since its list then.
        """
        self.after = self._listed_at

    def doubt(self) -> Iterator[RoomEvent]:
        """What to show now if the log cannot be asked whether what the client has is there."""
        self.phase = Phase.DOUBTING
        held, self._held = self._held, []
        for event in held:
            if isinstance(event, Message | Gap):
                self._held.append(event)
            else:
                yield event

    def release(self, replay: Replay, position: int) -> Iterator[RoomEvent]:
        """What to show now, in order, each message once.

        Args:
            replay: What came after ``after``.
            position: Up to this seq the room has been given everything; what is newer than that
                will come, or is held.
        """
        self.phase = Phase.AHEAD
        if self._anew:
            self._anew = False
            yield Gap(self._room, None, None)
        self.after = self.after or 0
        if replay.lost:
            yield Gap(self._room, *replay.lost)
            self.after = replay.lost[1]
        for message in replay.messages:
            if message.seq > position:
                break
            self.after = message.seq
            yield message
        if self._dropped > self.after:
            yield Gap(self._room, self.after + 1, self._dropped)
            self.after = self._dropped
        held, self._held = self._held, []
        for event in held:
            if not self.passes_over(event):
                yield event

    def passes_over(self, event: RoomEvent) -> bool:
        """Whether the client has that already; if not it has it from now on."""
        match event:
            case Message(seq=last) | Gap(last=int(last)):
                if last <= (self.after or 0):
                    return True
                self.after = last
            case Gap():
                self.after = 0  # another log, which counts from 1 again
        return False


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
        self.clear()
        for room in rooms:
            after, anew = seen.seqs.get(room), seen.log not in ("", identity)
            if after is None and room in given.seqs:
                after, anew = given.seqs[room], anew or given.log != identity
            self._rooms[room] = CatchUp(room, after, anew=anew and after is not None)

    def also(self, rooms: Iterable[RoomName]) -> None:
        """Hold those of these rooms back that are not, as rooms of which the client has nothing."""
        for room in rooms:
            if room not in self._rooms:
                self._rooms[room] = CatchUp(room, None)

    def clear(self) -> None:
        """Make up for nothing more, and forget what is held."""
        for room in tuple(self._rooms):
            self.out_of(room)

    def out_of(self, room: RoomName) -> None:
        """Make up for nothing more of a room that the session has left."""
        catch_up = self._rooms.pop(room, None)
        if catch_up is not None and catch_up.shown is not None:
            catch_up.shown.fire()

    async def shown(self, room: RoomName) -> None:
        """Return when nothing of a room is held back."""
        catch_up = self._rooms.get(room)
        if catch_up is not None and catch_up.phase is Phase.HOLDING:
            catch_up.shown = catch_up.shown or self._hub.runtime.signal()
            await catch_up.shown.wait()

    def __iter__(self) -> Iterator[RoomName]:
        return iter(self._rooms)

    def hold(self, event: RoomEvent) -> bool:
        """Take an event that is not to be shown, or not yet; False if it is."""
        catch_up = self._rooms.get(event.room)
        if catch_up is None:
            return False
        if catch_up.phase is Phase.HOLDING:
            catch_up.hold(event)
        elif not catch_up.passes_over(event):
            if isinstance(event, Message | Gap):
                del self._rooms[event.room]
            return False
        elif catch_up.phase is Phase.DOUBTING:
            catch_up.phase = Phase.HOLDING
            catch_up.hold(event)
            self._begin_release(event.room, catch_up)
        return True

    def after(self, room: RoomName) -> int | None:
        """After which seq a room is still to be made up for; None where that is not known."""
        catch_up = self._rooms.get(room)
        return catch_up.after if catch_up else None

    def listed(self, room: RoomName) -> bool:
        """Take note that the client is given a list of who is there; whether also a backlog."""
        return self._rooms[room].listed(self._hub.log.position(room))

    def release(self) -> None:
        """Show what was missed of each room as soon as it is read, and then what has come since."""
        for name, catch_up in tuple(self._rooms.items()):
            self._begin_release(name, catch_up)

    def _begin_release(self, name: RoomName, catch_up: CatchUp) -> None:
        self._hub.runtime.spawn(self._release(name, catch_up), "making up for a room")

    async def _release(self, name: RoomName, catch_up: CatchUp) -> None:
        log, replays = self._hub.log, self._hub.replays
        after, replay = catch_up.after or 0, Replay(())
        lags = after > log.position(name)
        try:
            if not lags:
                replay = await replays.since(self._session.memberships.occupied[name], after)
            elif not await replays.reached(after):
                catch_up.disbelieve()
        except Exception as error:
            position = log.position(name)
            if lags and after > position:
                self._show(name, catch_up, catch_up.doubt())
            else:
                if not lags and after < position:
                    replay = Replay((), (after + 1, position))
                self._show(name, catch_up, catch_up.release(replay, position))
            if not isinstance(error, StoreUnavailable):
                raise
        else:
            self._show(name, catch_up, catch_up.release(replay, log.position(name)))

    def _show(self, name: RoomName, catch_up: CatchUp, events: Iterator[RoomEvent]) -> None:
        """Show events of a room that were held back, unless it is not made up for any more."""
        if self._rooms.get(name) is not catch_up:
            return
        del self._rooms[name]
        for event in events:
            own = isinstance(event, Message) and event.session == self._session.id
            self._session.receive(event, own)
        if (catch_up.after or 0) > self._hub.log.position(name):
            self._rooms[name] = catch_up
        shown, catch_up.shown = catch_up.shown, None
        if shown is not None:
            shown.fire()
