"""What one user has sent and the log has not acknowledged yet.

A user's messages are stored in the order of their sending, whatever becomes of each: the log is
given those that wait, as far as they go to one room, and keeps their order; what comes meanwhile
waits until it has told of all of these. Different users' messages pipeline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile

from disroom.chat.errors import ChatError, NotStored
from disroom.chat.events import Delayed, Draft, Failed
from disroom.chat.interfaces import IRoomLog, IRuntime, ISignal, Receipt
from disroom.chat.names import RoomName

DELAYED_SECONDS = 1.0
"""How long a message waits for the log before its sender is told."""

SHOWN_SECONDS = 1.0
"""How long a stored message may take to come back to its sender before nobody waits for it."""

FAILED_SECONDS = 600.0
"""How long a message reported as not stored is remembered, in case it turns up."""


@dataclass(slots=True)
class _Unsent:
    draft: Draft
    room: RoomName
    queued: float
    receipt: Receipt | None
    told: bool = False
    seq: int = 0


class Gathering:
    """Holds back what is sent while more of it may be at hand, so that it is stored together.

    Shared by the users of an instance: ``with gathering:`` around what carries out all that one
    client has sent in one piece. It waits for nothing, so nothing is held for longer.
    """

    __slots__ = ("_held", "open")

    def __init__(self) -> None:
        self.open = False
        self._held: list[Outgoing] = []

    def __enter__(self) -> None:
        self.open = True

    def __exit__(self, *raised: object) -> None:
        self.open = False
        while self._held:
            self._held.pop().go_on()

    def hold(self, outgoing: Outgoing) -> None:
        """Have a queue go on at the end."""
        if outgoing not in self._held:
            self._held.append(outgoing)


class Outgoing:
    """A bounded queue before the log.

    Args:
        gathering: While it is open, what is posted waits for what follows.
        log: Where messages go.
        runtime: Runs the sending on the side.
        tell: Takes the news that a message is delayed or was not stored; does not raise.
        most: How many messages wait; `post` waits above it.
        give_up: Seconds after which a message that waits behind a failed one fails as well, so that
            a log that is away costs the user this long once, and not once for each message.
    """

    __slots__ = (
        "_closed",
        "_empty",
        "_failed",
        "_failing",
        "_gathering",
        "_give_up",
        "_going_on",
        "_log",
        "_most",
        "_queue",
        "_runtime",
        "_space",
        "_tell",
        "_under_way",
        "_unseen",
    )

    def __init__(
        self,
        *,
        gathering: Gathering,
        log: IRoomLog,
        runtime: IRuntime,
        tell: Callable[[Delayed | Failed], None],
        most: int,
        give_up: float,
    ) -> None:
        self._gathering = gathering
        self._log = log
        self._runtime = runtime
        self._tell = tell
        self._most = most
        self._give_up = give_up
        self._queue: list[_Unsent] = []  # a deque has 600 bytes, each user's
        self._closed = False
        self._under_way = 0  # of the queue, the first so many
        self._failing = False
        self._going_on = False
        self._space: ISignal | None = None
        self._empty: ISignal | None = None
        self._failed: dict[str, float] = {}
        self._unseen: dict[str, float] = {}

    async def post(self, room: RoomName, draft: Draft, receipt: Receipt | None = None) -> None:
        """Queue a message; returns once it is queued. After `close` it is dropped.

        Args:
            room: Where it goes.
            draft: The message; one with the id of a message that is stored is not stored again.
            receipt: Told what became of it, in place of a `Failed`; not after `close`.
        """
        while len(self._queue) >= self._most:
            self._space = self._space or self._runtime.signal()
            await self._space.wait()
        if self._closed:
            return
        self._failed.pop(draft.id, None)  # it is being tried again
        self._queue.append(_Unsent(draft, room, self._runtime.monotonic(), receipt))
        if self._gathering.open:
            self._gathering.hold(self)
        else:
            self.go_on()

    async def emptied(self) -> None:
        """Return when all that was queued has come back from the log or has failed."""
        if self._queue or self._unseen:
            self._empty = self._empty or self._runtime.signal()
            await self._empty.wait()

    def close(self) -> None:
        """Drop what waits; what is under way runs its course, and nobody is told of it."""
        self._closed = True
        self._unseen.clear()
        del self._queue[self._under_way :]
        self._tell_if_empty()

    def turned_up(self, id_: str, seq: int) -> bool:
        """Take note that a message is in the log; True once if it was reported as not stored."""
        for unsent in islice(self._queue, self._under_way):
            if unsent.draft.id == id_:
                unsent.seq = seq
                break
        else:
            if self._unseen.pop(id_, None) is not None:
                self._tell_if_empty()
        return bool(self._failed) and self._failed.pop(id_, None) is not None

    def tick(self, now: float) -> None:
        """Tell of a message that has been waiting too long; ``now`` is the monotonic time."""
        if self._unseen:
            self._unseen = {id_: until for id_, until in self._unseen.items() if until > now}
            self._tell_if_empty()
        first = next((unsent for unsent in self._queue if not unsent.seq), None)
        if first and not first.told and not self._closed and now - first.queued >= DELAYED_SECONDS:
            first.told = True
            self._tell(Delayed(first.room, first.draft.id))

    def go_on(self) -> None:
        """Store what waits, and what follows if the log answers at once."""
        if self._going_on:
            return
        self._going_on = True
        while self._queue and not self._under_way:
            self._store()
        self._going_on = False
        self._tell_if_empty()

    def _store(self) -> None:
        first = self._queue[0]
        self._under_way = 1
        if self._failing and self._runtime.monotonic() - first.queued > self._give_up:
            self._stored(NotStored())
        else:
            drafts = [first.draft]
            if len(self._queue) > 1:
                some = takewhile(partial(_goes_with, first), self._queue)
                drafts = [unsent.draft for unsent in some]
            self._under_way = len(drafts)
            self._log.store(first.room, drafts, self._stored)

    def _stored(self, result: int | ChatError) -> None:
        """Take note of what became of the first that is under way, and go on after the last."""
        unsent = self._queue[0]
        self._failing = isinstance(result, ChatError)
        if not isinstance(result, ChatError):
            if not unsent.seq and not self._closed:
                self._unseen[unsent.draft.id] = self._runtime.monotonic() + SHOWN_SECONDS
            self._acknowledge(unsent, result)
        elif unsent.seq:  # it was seen in the room, whatever the log says
            self._acknowledge(unsent, unsent.seq)
        else:
            self._fail(unsent, result)
        del self._queue[0]
        self._under_way -= 1
        # Whoever waits goes on at once, and may wait again: for the next signal, not this one.
        space, self._space = self._space, None
        if space:
            space.fire()
        self.go_on()

    def _tell_if_empty(self) -> None:
        if self._empty and not self._queue and not self._unseen:
            empty, self._empty = self._empty, None
            empty.fire()

    def _acknowledge(self, unsent: _Unsent, seq: int) -> None:
        if unsent.receipt and not self._closed:
            unsent.receipt(seq)

    def _fail(self, unsent: _Unsent, error: ChatError) -> None:
        now = self._runtime.monotonic()
        self._failed = {other: until for other, until in self._failed.items() if until > now}
        self._failed[unsent.draft.id] = now + FAILED_SECONDS
        if self._closed:
            return
        if unsent.receipt:
            unsent.receipt(error)
        else:
            self._tell(Failed(error))


def _goes_with(first: _Unsent, other: _Unsent) -> bool:
    """Whether a message can be stored together with the one that is next."""
    return other.room == first.room
