"""One room's order: members see it whole, once and in order, or are told of a gap."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from disroom.adapters.jetstream.api import Stored
from disroom.adapters.jetstream.follower import Phase, RoomOrder, Verdict

MOST_HELD = 8


def message(seq: int, previous: int, *, at: float | None = None, id_: str = "") -> Stored:
    """A live copy, or a stored message."""
    return Stored("room", seq, previous, float(seq) if at is None else at, id_ or f"m{seq}", b"")


class Seen:
    """What a follower saw: seqs, and ranges of lost ones."""

    def __init__(self, most_held: int = MOST_HELD) -> None:
        self.events: list[int | tuple[int | None, int | None]] = []
        self.order = RoomOrder(self._deliver, self._lose, most_held)

    def _deliver(self, stored: Stored) -> None:
        self.events.append(stored.seq)

    def _lose(self, first: int | None, last: int | None) -> None:
        self.events.append((first, last))

    @classmethod
    def following(cls, last: int = 0, **options: Any) -> Seen:
        """One that has begun after a seq."""
        seen = cls(**options)
        seen.order.opened([], message(last, 0) if last else None, last)
        return seen


class Stream(RuleBasedStateMachine):
    """A stream with one room and others, whose live copies are lost, doubled and delayed.

    The model is simple: a member must see the room's messages in the stream's order, each once,
    and whatever it does not see must lie within a gap that it was told of. A gap that was told
    needs a reason: a message in it was removed, or too many had to be held.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()
        self.seq = 0
        self.room: list[Stored] = []  # all that ever were stored
        self.first = 1  # what is older has been removed
        self.under_way: list[Stored] = []
        self.begun = 0
        self.excused = 0  # up to here a gap has a reason

    @property
    def order(self) -> RoomOrder:
        """What is tested."""
        return self.seen.order

    def there(self) -> list[Stored]:
        """The room's messages that the stream still has."""
        return [stored for stored in self.room if stored.seq >= self.first]

    @rule(others=st.integers(0, 3))
    def store(self, others: int) -> None:
        """Somebody says something in the room, after things said in others."""
        self.seq += others + 1
        there = self.there()
        stored = message(self.seq, there[-1].seq if there else 0)
        self.room.append(stored)
        self.under_way.append(stored)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), fate=st.sampled_from(["comes", "comes twice", "is lost"]))
    def live(self, data: st.DataObject, fate: str) -> None:
        """A live copy has its fate; mostly the next one, sometimes one that overtakes."""
        place = data.draw(st.sampled_from([0, 0, 0, 0, len(self.under_way) - 1]))
        stored = self.under_way.pop(place)
        if fate == "is lost":
            return
        if fate == "comes twice":
            self.under_way.insert(min(3, len(self.under_way)), stored)
        held_before = self.order.holding
        assert self.order.live(stored) is not Verdict.SUSPECT
        if held_before and not self.order.holding:
            self.excused = self.seq  # it may have been one too many

    @precondition(lambda self: self.order.phase is Phase.OPENING)
    @rule(recent=st.integers(0, 5))
    def open(self, recent: int) -> None:
        """The last messages have been read."""
        there = self.there()
        newest = there[-1] if there else None
        last = there[len(there) - recent :] if recent else []
        self.begun = last[0].seq - 1 if last else newest.seq if newest else 0
        self.order.opened(last, newest, self.seq)

    @precondition(lambda self: self.order.following and self.room)
    @rule(data=st.data())
    def expect(self, data: st.DataObject) -> None:
        """Another instance, or the stream, tells of a message."""
        self.order.expect(data.draw(st.sampled_from(self.room)).seq)

    @precondition(lambda self: self.order.following)
    @rule()
    def compare(self) -> None:
        """The room is compared with the stream, which has nothing newer."""
        there = self.there()
        if not there or there[-1].seq <= self.order.last:
            self.order.checked(self.seq)

    @precondition(lambda self: self.order.behind)
    @rule()
    def fill(self) -> None:
        """What is missing is read."""
        base, last, need = self.order.base, self.order.last, self.order.target
        found = [stored for stored in self.there() if stored.seq > base]
        anchored = any(stored.seq == last for stored in self.there())
        lost_before = 0
        if not anchored and self.first > base + 1:
            lost_before = found[0].seq if found else need + 1
        self.order.filled(found, need, lost_before)
        assert self.order.last >= need

    @precondition(lambda self: self.order.holding)
    @rule()
    def lose_patience(self) -> None:
        """The stream does not answer for too long."""
        self.excused = self.seq
        self.order.give_up()

    @precondition(lambda self: self.room)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """Retention takes the oldest messages of the stream."""
        self.first = max(self.first, data.draw(st.integers(self.first, self.seq + 1)))

    @invariant()
    def members_saw_it_whole_in_order_and_once(self) -> None:
        """The promise, at any time."""
        if self.order.phase is Phase.OPENING:
            assert self.seen.events == []
            return
        due = [stored.seq for stored in self.room if self.begun < stored.seq <= self.order.last]
        reached = self.begun
        for event in self.seen.events:
            if isinstance(event, tuple):
                first, last = event
                assert first is not None and last is not None
                assert reached < first <= last
                assert first < self.first or last <= self.excused
                due = [seq for seq in due if not first <= seq <= last]
                reached = last
            else:
                assert event > reached
                reached = event
        # A copy that follows a removed predecessor is taken on trust: see `live` of RoomOrder.
        shown = [event for event in self.seen.events if isinstance(event, int)]
        assert [seq for seq in due if seq in shown or seq >= self.first] == shown

    def teardown(self) -> None:
        """In the end a comparison and a reading bring everything."""
        if self.order.phase is Phase.OPENING:
            self.open(0)
        there = self.there()
        if there:
            self.order.expect(there[-1].seq)
        while self.order.behind:
            self.fill()
        assert not self.order.holding
        self.members_saw_it_whole_in_order_and_once()
        if there:
            assert self.order.last >= there[-1].seq


TestStream = Stream.TestCase
TestStream.settings = settings(max_examples=100, stateful_step_count=40)


def test_a_copy_in_order_is_delivered_at_once() -> None:
    """Nobody waits for anything when nothing is missing."""
    seen = Seen.following()
    assert seen.order.live(message(3, 0)) is Verdict.TAKEN
    assert seen.order.live(message(5, 3)) is Verdict.TAKEN
    assert seen.events == [3, 5]


def test_what_follows_a_lost_copy_waits_for_it() -> None:
    """A lost copy is read from the stream before what was said after it is shown."""
    seen = Seen.following(1)
    assert seen.order.live(message(5, 3)) is Verdict.BEHIND
    assert (seen.events, seen.order.behind, seen.order.target) == ([], True, 3)
    seen.order.filled([message(3, 0)], 3)
    assert (seen.events, seen.order.behind) == ([3, 5], False)


def test_a_late_copy_makes_the_reading_unnecessary() -> None:
    """A copy that was only overtaken is shown as soon as it is there."""
    seen = Seen.following(1)
    seen.order.live(message(5, 3))
    assert seen.order.live(message(3, 1)) is Verdict.TAKEN
    assert (seen.events, seen.order.behind) == ([3, 5], False)
    seen.order.filled([message(3, 1)], 3)  # it was under way
    for copy in (message(9, 7), message(7, 6), message(6, 5)):
        seen.order.live(copy)
    assert (seen.events, seen.order.behind) == ([3, 5, 6, 7, 9], False)


def test_removed_history_is_no_gap() -> None:
    """Who has read everything is not told that it expired."""
    seen = Seen.following(7)
    for copy in (message(9, 0), message(12, 0), message(13, 12)):
        assert seen.order.live(copy) is Verdict.TAKEN
    assert seen.events == [9, 12, 13]


def test_the_last_message_of_a_quiet_room_comes_by_hearsay() -> None:
    """A lost copy that nothing follows is shown when somebody else tells of it."""
    seen = Seen.following(1)
    assert not seen.order.expect(1)
    assert seen.order.expect(4)
    seen.order.filled([message(4, 0)], 4)
    assert (seen.events, seen.order.behind) == ([4], False)


def test_what_was_removed_before_it_was_read_is_a_gap() -> None:
    """Who misses something for good is told which messages."""
    seen = Seen.following(10)
    seen.order.live(message(60, 55))
    seen.order.filled([message(50, 0), message(55, 50)], 55, lost_before=50)
    assert seen.events == [(11, 49), 50, 55, 60]


def test_what_vanished_while_it_was_read_is_a_gap() -> None:
    """Also when nothing older than what is held is left."""
    seen = Seen.following(10)
    seen.order.live(message(60, 55))
    seen.order.filled([], 55, lost_before=56)
    assert seen.events == [(11, 55), 60]


def test_a_gap_has_what_is_gone_and_nothing_else() -> None:
    """Where the first that is left follows what was shown nothing was missed."""
    seen = Seen.following(10)
    seen.order.expect(11)
    seen.order.filled([message(11, 0)], 11, lost_before=11)
    assert seen.events == [11]
    seen.order.expect(13)
    seen.order.filled([message(13, 0)], 13, lost_before=13)
    assert seen.events == [11, (12, 12), 13]


def test_where_the_room_was_seen_to_be_empty_no_gap_begins() -> None:
    """A gap names the messages that may be in it, not those that were seen not to be."""
    seen = Seen.following(10)
    seen.order.checked(40)
    seen.order.live(message(60, 55))
    seen.order.filled([message(55, 0)], 55, lost_before=55)
    assert seen.events == [(41, 54), 55, 60]
    seen = Seen()
    seen.order.opened([], message(10, 0), 40)
    seen.order.live(message(60, 55))
    seen.order.filled([message(55, 0)], 55, lost_before=55)
    assert seen.events == [(41, 54), 55, 60]


def test_a_comparison_hides_nothing_that_is_missing() -> None:
    """What others told of is read, though the room was seen to have nothing newer than that."""
    seen = Seen.following(1)
    seen.order.expect(9)
    seen.order.checked(20)
    assert (seen.order.behind, seen.order.base) == (True, 1)


def test_too_many_held_are_shown_after_a_gap() -> None:
    """A room that cannot be read goes on, and says what it left out."""
    seen = Seen.following(1, most_held=3)
    verdicts = [seen.order.live(message(seq, seq - 1)) for seq in (5, 6, 9, 10)]
    assert verdicts == [Verdict.BEHIND] * 3 + [Verdict.TAKEN]
    assert seen.events == [(2, 4), 5, 6, (7, 8), 9, 10]
    assert not seen.order.behind and not seen.order.holding


def test_what_is_held_before_a_room_is_open_is_bounded() -> None:
    """While the stream does not answer copies do not fill the memory: the oldest are read later."""
    seen = Seen(most_held=3)
    for seq in range(1, 11):
        assert seen.order.live(message(seq, seq - 1)) is Verdict.TAKEN
    seen.order.opened([], None, 0)
    assert (seen.events, seen.order.behind, seen.order.target) == ([], True, 7)
    seen.order.filled([message(seq, seq - 1) for seq in range(1, 8)], 7)
    assert seen.events == list(range(1, 11))


def test_an_old_seq_with_a_newer_time_raises_suspicion() -> None:
    """Who follows a stream that was made anew does not miss its first messages in silence."""
    seen = Seen.following()
    seen.order.live(message(7, 0))
    assert seen.order.live(message(7, 0)) is Verdict.TAKEN  # the same again
    assert seen.order.live(message(1, 0, at=99.0, id_="new1")) is Verdict.SUSPECT
    seen.order.live(message(9, 1, at=100.0, id_="new9"))
    assert seen.events == [7]  # held until it is known
    seen.order.restart()
    new = [message(1, 0, at=99.0), message(9, 1, at=100.0)]
    seen.order.opened(new, new[-1], 0)
    assert seen.events == [7, (None, None), 1, 9]


def test_a_late_copy_of_what_was_given_up_is_dropped() -> None:
    """What comes after the gap that it was counted in is not shown out of order."""
    seen = Seen.following(1)
    for _ in range(2):
        seen.order.live(message(5, 3))
    seen.order.give_up()
    assert seen.order.live(message(3, 1)) is Verdict.TAKEN
    seen.order.expect(9)
    seen.order.filled([], 9)
    assert seen.order.live(message(8, 5)) is Verdict.TAKEN
    assert seen.events == [(2, 3), 5, (6, 9)]


def test_an_unfounded_suspicion_passes() -> None:
    """A clock that went back between two leaders costs nothing but a question."""
    seen = Seen.following()
    seen.order.live(message(7, 0))
    seen.order.live(message(5, 0, at=8.0))
    seen.order.live(message(9, 7, at=6.0))
    seen.order.rotate()
    seen.order.confirmed()
    seen.order.resume()
    assert seen.events == [7, 9]
    seen.order.live(message(12, 9, at=8.0))
    seen.order.live(message(15, 12, at=7.0))
    assert seen.order.live(message(12, 9, at=8.0)) is Verdict.TAKEN  # it was shown


def test_what_is_remembered_of_a_room_s_messages_is_bounded() -> None:
    """Of those before the stream was last known to be the same nothing is."""
    seen = Seen.following()
    for seq in range(1, 9):
        seen.order.live(message(seq, seq - 1))
        seen.order.rotate()
        seen.order.confirmed()
    assert not seen.order._ids and not seen.order._ids_before
    assert seen.order.live(message(7, 6)) is Verdict.TAKEN  # late, and older than the last


def test_what_was_shown_of_a_new_stream_is_not_shown_again() -> None:
    """A stream made anew that was not noticed at once brings nothing twice."""
    seen = Seen.following()
    seen.order.live(message(1, 0, id_="old1"))
    seen.order.rotate()
    seen.order.confirmed()  # up to here it was the old one
    seen.order.live(message(3, 0, id_="new3"))
    seen.order.rotate()
    seen.order.live(message(4, 3, id_="new4"))
    seen.order.restart()
    new = [message(seq, seq - 1, id_=f"new{seq}") for seq in (1, 3, 4, 5)]
    seen.order.opened(new, new[-1], 0)
    assert seen.events == [1, 3, 4, (None, None), 1, 5]


def test_what_was_held_of_the_old_stream_is_not_shown_in_the_new_one() -> None:
    """Nor waited for."""
    seen = Seen.following(3)
    assert seen.order.live(message(9, 8)) is Verdict.BEHIND
    seen.order.restart()
    seen.order.opened([message(1, 0)], message(1, 0), 1)
    assert seen.events == [(None, None), 1]
    assert not seen.order.behind and not seen.order.holding


def test_resuming_does_not_open_a_room_early() -> None:
    """Nothing is shown before the last messages are, whatever is compared meanwhile."""
    seen = Seen()
    seen.order.live(message(5, 4))
    seen.order.resume()
    assert seen.events == [] and seen.order.phase is Phase.OPENING
    seen.order.opened([message(3, 0), message(4, 3)], message(4, 3), 4)
    assert seen.events == [3, 4, 5]


def test_a_reading_of_the_old_stream_does_not_reach_the_new_one() -> None:
    """A reading that was under way when the stream was made anew is dropped."""
    seen = Seen.following(3)
    seen.order.expect(9)
    seen.order.restart()
    seen.order.filled([message(8, 0), message(9, 0)], 9)
    assert seen.events == [(None, None)]
