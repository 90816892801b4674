"""One room's order: what to deliver, and when something is missing.

Messages of a room reach this instance as live copies, each with the seq that preceded it in the
room. Copies can be lost, come twice or be late, and what precedes can have been removed meanwhile.
The rules:

* A copy whose predecessor is known, or was removed (the predecessor is then older, or 0), is the
  next one: deliver it.
* One whose predecessor is newer than what was delivered shows that some were missed: hold it until
  they have been read from the stream.
* One that is not newer than what was delivered came before: drop it. If its time is newer all the
  same, the stream may be another one that counts from 1 again: hold everything until that is known.
* A room that is quiet shows nothing. So the newest seq that anybody knows of is told by `expect`.

No I/O here: `RoomFeed` reads and keeps the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from enum import Enum

from disroom.adapters.jetstream.api import Stored

MOST_HELD = 1000


class Verdict(Enum):
    """What a live copy meant."""

    TAKEN = "delivered, dropped or held: there is nothing to do"
    BEHIND = "messages before it are missing and must be read"
    SUSPECT = "the stream may be another one: compare its identity"


class Phase(Enum):
    """How far a room is."""

    OPENING = "its last messages have not been read yet: copies are held"
    FOLLOWING = "copies are delivered"
    DOUBTING = "the stream may be another one: copies are held"


class RoomOrder:
    """Puts the messages of one room in order; delivers each once, or says which were lost.

    Args:
        deliver: Takes the next message.
        lose: Takes the first and the last seq of a range in which messages were lost, or None and
            None where the stream was made anew.
        most_held: How many copies wait for what is missing before it is given up.

    Attributes:
        last: The newest seq that was delivered or given up.
        settled: Up to this seq of the whole stream there is nothing of the room left to deliver.
        target: The newest seq that the room is known to have had.
        phase: Whether messages are delivered.
    """

    def __init__(
        self,
        deliver: Callable[[Stored], None],
        lose: Callable[[int | None, int | None], None],
        most_held: int = MOST_HELD,
    ) -> None:
        self.last = 0
        self.settled = 0
        self.target = 0
        self._deliver = deliver
        self._lose = lose
        self._most_held = most_held
        self.phase = Phase.OPENING
        self._last_at = 0.0
        self._held: list[Stored] = []
        # The ids delivered since the stream's identity was last known to be unchanged, and before.
        self._ids: set[str] = set()
        self._ids_before: set[str] = set()

    @property
    def following(self) -> bool:
        """Whether messages are being delivered."""
        return self.phase is Phase.FOLLOWING

    @property
    def holding(self) -> bool:
        """Whether live copies wait for what is missing."""
        return self.following and bool(self._held)

    @property
    def behind(self) -> bool:
        """Whether messages are known to be missing."""
        return self.following and self.target > self.last

    @property
    def base(self) -> int:
        """Everything of the room up to this seq has been delivered or given up."""
        return max(self.last, self.settled)

    def live(self, message: Stored) -> Verdict:
        """Take a live copy."""
        if message.seq <= self.last:
            if message.at > self._last_at and message.id not in self._ids:
                self._doubt()
                return Verdict.SUSPECT
            return Verdict.TAKEN
        if self.following and message.previous <= self.last:
            self._next(message)
            if self._held:
                self._release()
            return Verdict.TAKEN
        return self._hold(message)

    def expect(self, seq: int) -> bool:
        """Take note of a seq that the room has; True if that one is still to be delivered."""
        self.target = max(self.target, seq)
        return self.behind

    def checked(self, upto: int) -> None:
        """Take note that the stream had nothing newer of the room up to a seq of its own."""
        if not self.behind:
            self.settled = max(self.settled, upto)

    def opened(self, messages: Iterable[Stored], newest: Stored | None, settled: int) -> None:
        """Begin, or begin anew after `restart`.

        Args:
            messages: The room's last ones, in order, which are delivered first.
            newest: The room's newest one, among them unless none was asked for.
            settled: As the attribute.
        """
        for message in messages:
            if message.seq > self.last:
                if message.id and message.id in self._ids_before:
                    self._pass_over(message)
                else:
                    self._next(message)
        if newest is not None and newest.seq > self.last:
            self._pass_over(newest)
        self.settled = max(self.settled, settled)
        self._ids_before.clear()
        self._follow()

    def resume(self) -> None:
        """Go on, if there was a suspicion: it was unfounded."""
        if self.phase is Phase.DOUBTING:
            self._follow()

    def filled(self, messages: Iterable[Stored], upto: int, lost_before: int = 0) -> None:
        """Take what was read from the stream.

        Args:
            messages: Those after `base`, in order.
            upto: All that exist up to this seq are among them.
            lost_before: Some may have been removed before this seq, the first that still is there,
                or one more than ``upto``; 0 if none can have been.

        What was read before a suspicion arose is of no use: it is dropped.
        """
        if not self.following:
            return
        if lost_before > self.base + 1:
            self._give_up(lost_before - 1)
        for message in messages:
            if message.seq > self.last:
                self._next(message)
        if upto > self.last:
            # It was there, and is no more.
            self._give_up(upto)
        self._release()

    def give_up(self) -> None:
        """Wait no longer for what is missing before the copies held; deliver these."""
        held, self._held = sorted(self._held, key=_seq), []
        for message in held:
            if message.seq > self.last:
                if message.previous > self.last:
                    self._give_up(message.previous)
                self._next(message)

    def rotate(self) -> None:
        """Begin to compare the stream's identity; see `confirmed` and `restart`."""
        self._ids_before |= self._ids
        self._ids = set()

    def confirmed(self) -> None:
        """Take note that the stream was still the same when `rotate` was called, or later."""
        self._ids_before = set()

    def restart(self) -> None:
        """Begin with another stream, in which seqs start at 1 again; `opened` must follow."""
        self._ids_before |= self._ids
        self._ids = set()
        self._held.clear()
        self.phase = Phase.OPENING
        self.last = self.settled = self.target = 0
        self._last_at = 0.0
        self._lose(None, None)

    def _hold(self, message: Stored) -> Verdict:
        self._held.append(message)
        if self.following:
            self.target = max(self.target, message.previous)
        if len(self._held) <= self._most_held:
            return Verdict.BEHIND if self.following else Verdict.TAKEN
        if self.following:
            self.give_up()
        else:  # the oldest is missed once those after it are released, and read then
            self._held.remove(min(self._held, key=_seq))
        return Verdict.TAKEN

    def _doubt(self) -> None:
        if self.following:
            self.phase = Phase.DOUBTING

    def _follow(self) -> None:
        self.phase = Phase.FOLLOWING
        self._release()

    def _release(self) -> None:
        """Deliver those held that are next."""
        self._held.sort(key=_seq)
        for position, message in enumerate(self._held):
            if message.seq <= self.last:
                continue
            if message.previous > self.last:
                self.target = max(self.target, message.previous)
                del self._held[:position]
                return
            self._next(message)
        self._held.clear()

    def _next(self, message: Stored) -> None:
        self._pass_over(message)
        self._deliver(message)

    def _pass_over(self, message: Stored) -> None:
        self.last = message.seq
        self._last_at = message.at
        self._ids.add(message.id)

    def _give_up(self, upto: int) -> None:
        first, self.last = min(self.base + 1, upto), upto
        self._last_at = math.inf  # copies of what was given up may still come
        self._lose(first, upto)


def _seq(message: Stored) -> int:
    return message.seq
