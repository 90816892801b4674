"""Reading one room's messages out of the stream that holds all rooms.

By batch direct get (NATS ADR-31), which leaves no consumer behind and is answered by any replica.
It has two limits. It runs forward only; so where the last N begin is found by interpolation: of any
seq one request tells how many messages of the room follow it, and that number falls evenly enough.
And a replica may lag, so that absence means nothing; so a reading names a seq of the room that it
must reach (`need`), and where it does not, the stream's leader has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from disroom.adapters.aio import all_of
from disroom.adapters.jetstream.api import NO_LEADER_NOW, JetStream, Refused, Stored
from disroom.adapters.nats.errors import NoAnswer, NobodyListens

BATCH = 1000
LAG_PAUSES = (0.02, 0.06)
LEADER_SECONDS = 1.5
DIRECT_SECONDS = (0.7, 1.3)

SLACK = 50
EARLY_GUESSES = 2
"""Aim at little more than is wanted: they mostly hit, and a message more is not cheap.

NATS looks at all that the stream has between two messages of a room: 45 us a message where it is
one of a thousand, while a guess is some 0.7 ms. Later guesses aim at what is easier to hit.
"""

LATE_GUESSES = 3
"""After so many the room is uneven, and twice the surplus is cheaper than more of them."""

MOST_TRIES = 4


class Bracket:
    """Where in the stream the last messages of a room before some point begin.

    The counts are of the room's messages from a seq on, up to that point.

    Args:
        first: A seq from which there are more than enough messages.
        count: How many.
        top: The point.
        wanted: Enough.
    """

    def __init__(self, first: int, count: int, top: int, wanted: int) -> None:
        self.low, self.low_count = first, count
        self.high, self.high_count = max(top, first + 2), 0
        self._top = self.high
        self._wanted = wanted
        self._most = enough(wanted)
        self._guesses = 0

    def guess(self) -> int:
        """The next seq to ask about, greater than ``low`` and less than ``high``.

        As if the messages before ``high`` came as those after it; later, in turn, as if they came
        evenly between the two, and in the middle. (Measured against other ways on even, random,
        growing, falling and bursting rooms, and on pieces of all these: 1 to 3.3 guesses on
        average, 9 or fewer in 99 of 100 rooms, 18 in the worst of 500.)
        """
        self._guesses += 1
        early = self._guesses <= EARLY_GUESSES
        aim = self._wanted + (self._most - self._wanted) // (8 if early else 2)
        span = self.high - self.low
        back = span * (aim - self.high_count) // max(1, self.low_count - self.high_count)
        if self._guesses == 2 and self.high_count:
            pace = (self._top - self.high) * (aim - self.high_count) // self.high_count
            back = pace if pace < span else back
        elif self._guesses > 2 and self._guesses % 2 == 0:
            back = span // 2
        return self.high - min(max(back, 1), span - 1)

    def told(self, asked: int, found: int, count: int) -> int | None:
        """Take an answer: the first message from ``asked`` on is ``found``, ``count`` with it.

        Returns:
            The seq to read from, if that is it.
        """
        most = self._most if self._guesses <= LATE_GUESSES else 2 * self._most - self._wanted
        if count < self._wanted:
            self.high, self.high_count = asked, count
        elif count > most:
            self.low, self.low_count = found, count
        else:
            return found
        return None


def enough(wanted: int) -> int:
    """How many messages may be read in one go to get so many: fewer would cost more trips."""
    return wanted + max(SLACK, wanted)


@dataclass(frozen=True, slots=True)
class Missed:
    """What a room's follower had missed.

    Attributes:
        lost_before: Some may have been removed before this seq; 0 if none can have been.
    """

    messages: list[Stored]
    lost_before: int


class RoomReader:
    """Reads rooms of one stream.

    Args:
        jetstream: The calls.
        clock: The reactor.
        stream: The stream's name.
        most_per_room: The stream's limit for each subject, 0 for none.
    """

    def __init__(
        self, jetstream: JetStream, clock: IReactorTime, *, stream: str, most_per_room: int
    ) -> None:
        self._jetstream = jetstream
        self._clock = clock
        self._stream = stream
        self._most_per_room = most_per_room

    async def newest(self, subject: str) -> tuple[Stored | None, bool]:
        """The newest message of a room, if it has one; and whether the leader said so.

        While there is no leader a replica is asked, so that people can come and read meanwhile;
        what it does not have yet is found later, as everything that is missing.
        """
        query = {"last_by_subj": subject}
        try:
            found = await self._jetstream.from_leader(self._stream, query, seconds=LEADER_SECONDS)
            return found, True
        except (NoAnswer, NobodyListens, Refused) as error:
            if isinstance(error, Refused) and error.code != NO_LEADER_NOW:
                raise
            messages = await self._direct({"multi_last": [subject]})
            return (messages[0] if messages else None), False

    async def forward(
        self, subject: str, start: int, need: int, batch: int = BATCH
    ) -> list[Stored]:
        """Read a room from a seq on, at least as far as a seq that it has or had.

        Returns:
            The messages in order, none missing in between; the last is ``need`` or a later one,
            unless the leader says that there is none.
        """
        messages: list[Stored] = []
        pauses = iter(LAG_PAUSES)
        while True:
            found: tuple[Stored, ...] = ()
            try:
                query = {"seq": start, "next_by_subj": subject, "batch": batch}
                found = await self._direct(query)
            except NobodyListens:
                pass  # no replica for a moment; the leader is asked in the end
            messages += found
            if found:
                start = found[-1].seq + 1
            if start > need:
                return messages
            if found and found[-1].pending:
                continue
            pause = next(pauses, None)
            if pause is not None:
                await deferLater(self._clock, pause)
                continue
            query = {"seq": start, "next_by_subj": subject}
            from_leader = await self._jetstream.from_leader(self._stream, query)
            if from_leader is None:
                return messages
            messages.append(from_leader)
            start = from_leader.seq + 1
            if start > need:
                return messages

    async def missed(self, subject: str, *, last: int, base: int, need: int) -> Missed:
        """Read what a follower lacks.

        Args:
            subject: The room's.
            last: The last message that it has, 0 for none.
            base: It has all up to this seq; between the two the room has none.
            need: The newest that it is known to lack.
        """
        # Retention takes the oldest first: if the last one is still there, none after it is lost.
        messages = await self.forward(subject, last or base + 1, need)
        if last and messages and messages[0].seq == last:
            return Missed(messages[1:], 0)
        info = await self._jetstream.call(
            f"STREAM.INFO.{self._stream}", {"subjects_filter": subject}
        )
        state = info["state"]
        kept = (state.get("subjects") or {}).get(subject, 0)
        lost = state["first_seq"] > base + 1 or 0 < self._most_per_room <= kept
        first = messages[0].seq if messages else need + 1
        return Missed(messages, first if lost else 0)

    async def since(self, subject: str, *, after: int, need: int, most: int) -> Missed:
        """Read what came into a room after a seq, at least as far as a seq that it has or had.

        Of more than ``most`` messages the last ones are read, and the others count as lost.
        """
        if not need and after:
            info = await self._jetstream.call(f"STREAM.INFO.{self._stream}")
            newest, _ = await self.newest(subject)
            if newest is None:  # the room was emptied: nobody knows any more what there was
                return Missed([], info["state"]["last_seq"] + 1)
            need = newest.seq  # its first message is on its way
        if need <= after:
            return Missed([], 0)
        _, count = await self.tally(subject, after + 1)
        if count <= most:
            return await self.missed(subject, last=after, base=after, need=need)
        messages, _ = await self.page(subject, most, None, need)
        return Missed(messages, messages[0].seq if messages else need + 1)

    async def page(
        self, subject: str, count: int, before: int | None, need: int
    ) -> tuple[list[Stored], bool]:
        """Read the last messages of a room.

        Args:
            subject: The room's.
            count: How many at most.
            before: Only those with a lesser seq, if given.
            need: The newest seq that the room is known to have, at least 1.

        Returns:
            The messages, oldest first, and whether there are older ones.
        """
        top = min(need + 1, before) if before is not None else need + 1
        reach = min(need, before) if before is not None else need
        wanted = count
        messages: list[Stored] = []
        for _ in range(MOST_TRIES):
            first, start, expected = await self._beginning(subject, wanted, top, before)
            messages = await self.forward(subject, start, reach, min(BATCH, expected + 1))
            if first == 0 and messages:  # the replica that was asked had nothing yet
                first = messages[0].seq
            if before is not None:
                messages = [message for message in messages if message.seq < before]
            if len(messages) >= count or start <= first:
                break
            # Removed or counted by another replica meanwhile: begin a little earlier.
            wanted += count - len(messages) + SLACK
        page = messages[-count:]
        return page, bool(page) and first < page[0].seq

    async def _beginning(
        self, subject: str, wanted: int, top: int, before: int | None
    ) -> tuple[int, int, int]:
        """Find the first seq of a room, one to read from, and how many messages there are then."""
        if before is None:
            (first, total), after = await self.tally(subject, 1), 0
        else:
            (first, total), (_, after) = await all_of(
                [self.tally(subject, 1), self.tally(subject, before)]
            )
        if first == 0 or total - after <= enough(wanted):
            return first, first or 1, max(0, total - after)
        bracket = Bracket(first, total - after, top, wanted)
        while bracket.high - bracket.low > 1:
            guess = bracket.guess()
            found, count = await self.tally(subject, guess)
            start = bracket.told(guess, found, max(0, count - after))
            if start is not None:
                return first, start, count - after
        return first, bracket.low, bracket.low_count

    async def tally(self, subject: str, seq: int) -> tuple[int, int]:
        """The room's first message at a seq or after it, and how many there are from it on.

        Both are 0 where there is none, or none yet.
        """
        found = await self._direct({"seq": seq, "next_by_subj": subject, "batch": 1})
        return (found[0].seq, found[0].pending + 1) if found else (0, 0)

    async def _direct(self, query: Mapping[str, Any]) -> tuple[Stored, ...]:
        """Ask one replica, and once more if it does not answer: the next may be another one."""
        first, second = DIRECT_SECONDS
        try:
            batch = await self._jetstream.direct(self._stream, query, seconds=first)
        except NoAnswer:
            batch = await self._jetstream.direct(self._stream, query, seconds=second)
        return batch.messages
