"""History from memory: as the log would tell it, and without asking the log."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.defer import Deferred

from disroom.chat.errors import StoreUnavailable
from disroom.chat.events import Gap, Message
from disroom.chat.histories import Histories
from disroom.chat.limits import Limits
from disroom.chat.names import Nick, RoomName
from disroom.chat.ring import Ring
from disroom.chat.stored import Held, Page
from tests.chat.world import Instance, User, World, outcome, run

TEA = RoomName.parse("tea")
BOB = Nick.parse("bob")


def message(seq: int, at: float = 0.0) -> Message:
    """Something that bob said."""
    return Message(TEA, seq, at, f"m{seq}", "said", BOB, "s", f"{seq}")


def ring_of(*seqs: int, small: int = 3, **arguments: Any) -> Ring:
    """A ring to which these came."""
    ring = Ring(small, **arguments)
    for seq in seqs:
        ring.add(message(seq))
    return ring


def seqs_of(page: Page | None) -> list[int] | None:
    """What is on a page."""
    return None if page is None else [m.seq for m in page.messages]


# One room's ring.


@pytest.mark.parametrize(
    ("count", "before", "seqs", "older"),
    [
        (2, None, [8, 9], True),
        (3, None, None, None),
        (1, 9, [8], True),
        (1, 8, None, None),
        (2, 9, None, None),
        (2, 99, [8, 9], True),
        (1, 3, None, None),
    ],
)
def test_a_page_is_given_if_it_lies_within(
    count: int, before: int | None, seqs: list[int] | None, older: bool | None
) -> None:
    """The oldest message here is not shown, since nobody knows whether it has a predecessor."""
    page = ring_of(5, 6, 7, 8, 9).page(count, before, 0.0)
    assert seqs_of(page) == seqs
    assert (page.older if page else None) is older


def test_all_of_a_short_past_is_given() -> None:
    """Where everything that the log has is here, any page can be had."""
    ring = ring_of(5, 6)
    assert ring.page(9, None, 0.0) == Page((message(5), message(6)), False)
    assert ring.page(1, 6, 0.0) == Page((message(5),), False)
    assert ring.page(1, 5, 0.0) == Page((), False)
    ring.resize(9)
    ring.add(message(7))
    assert ring.page(9, None, 0.0) is None  # as many came as were asked for at the opening


@pytest.mark.parametrize(
    ("after", "most", "expected"),
    [
        (2, 9, None),  # what came between may not be here
        (3, 9, [4, 5]),
        (4, 9, [5]),
        (5, 9, []),
        (3, 1, None),
        (4, 1, [5]),
    ],
)
def test_what_came_since_is_given_if_it_is_all_here(
    after: int, most: int, expected: list[int] | None
) -> None:
    """Who comes back is given from memory what it missed, where nothing of that can be lacking."""
    replay = ring_of(1, 2, 3, 4, 5).since(after, most, 0.0)
    assert (None if replay is None else [m.seq for m in replay.messages]) == expected


def test_what_retention_takes_by_age_is_not_given() -> None:
    """A message is forgotten when its time is over, and then nothing older is promised."""
    ring = Ring(9, log_seconds=60)
    for seq in range(9):
        ring.add(message(seq, at=10.0 * seq))
    assert seqs_of(ring.page(8, None, 60.0)) == list(range(1, 9))
    assert ring.page(9, None, 120.0) == Page(
        (message(6, 60.0), message(7, 70.0), message(8, 80.0)), False
    )
    assert ring.since(7, 9, 130.0) is not None
    assert ring.since(7, 9, 131.0) is None
    assert ring.held(131.0) == Held(8, 1)
    assert ring.held(141.0) is None


@pytest.mark.parametrize("small", [3, 9])
def test_what_a_limit_of_the_room_takes_is_not_given(small: int) -> None:
    """Of a room that may have three messages no fourth is shown, and it is known to be whole."""
    ring = ring_of(1, 2, 3, 4, small=small, log_most=3)
    assert ring.page(9, None, 0.0) == Page((message(2), message(3), message(4)), False)
    assert not ring.backlog(9, 0.0).older


def test_what_is_gone_up_to_a_seq_is_not_given() -> None:
    """After a purge nothing of what it took is shown, and nothing older is promised."""
    ring = ring_of(1, 2, 3, 4, 5, small=4)
    ring.removed(2)
    assert ring.page(9, None, 0.0) is None
    ring.removed(4)
    assert ring.page(9, None, 0.0) == Page((message(4), message(5)), False)
    ring.removed(9)
    assert ring.page(9, None, 0.0) == Page((), False)


def test_what_may_be_gone_is_not_given_until_the_log_was_read() -> None:
    """After a deletion by hand the log is asked, and its answer holds from then on."""
    ring = ring_of(1, 2, 3, 4, small=4)
    ring.removed(None)
    assert ring.page(1, None, 0.0) is None
    assert ring.since(3, 9, 0.0) is None
    assert ring.held(0.0) is None
    mark = ring.begin()
    ring.add(message(5))
    ring.put(Page((message(2), message(4)), True), mark)
    assert ring.page(2, None, 0.0) == Page((message(4), message(5)), True)


@pytest.mark.parametrize(
    "happening", [lambda ring: ring.removed(None), lambda ring: ring.broken(Gap(TEA, 5, 6))]
)
def test_a_page_that_was_read_before_a_loss_is_of_no_use(happening: Callable[[Ring], None]) -> None:
    """What is lost while the log is being read does not come back by that."""
    ring = ring_of(1, 2, 3, 4)
    mark = ring.begin()
    happening(ring)
    ring.put(Page((message(1), message(2), message(3), message(4)), False), mark)
    assert ring.page(1, None, 0.0) is None


def test_a_page_that_was_read_before_a_purge_loses_what_it_took() -> None:
    """The same, where it is known up to where everything is gone."""
    ring = ring_of(1, 2, 3, 4, small=9)
    mark = ring.begin()
    ring.removed(3)
    ring.put(Page((message(1), message(2), message(3), message(4)), False), mark)
    assert ring.page(9, None, 0.0) == Page((message(3), message(4)), False)


def test_a_page_that_the_rest_does_not_follow_on_is_of_no_use() -> None:
    """A ring that was made small while the log was read has dropped what came meanwhile."""
    ring = ring_of(1, 2, 3, small=2)
    ring.resize(9)
    mark = ring.begin()
    for seq in (4, 5, 6):
        ring.add(message(seq))
    ring.resize(None)
    ring.put(Page((message(1), message(2), message(3)), False), mark)
    assert ring.page(9, None, 0.0) is None
    assert seqs_of(ring.page(1, None, 0.0)) == [6]


def test_what_has_not_come_yet_is_left_to_come() -> None:
    """A message that the log has and the room has not seen is shown once, when it comes."""
    ring = ring_of(1)
    ring.put(Page((message(1), message(2)), False), ring.begin())
    assert seqs_of(ring.backlog(9, 0.0)) == [1]
    ring.add(message(2))
    assert seqs_of(ring.backlog(9, 0.0)) == [1, 2]


def test_after_a_gap_what_was_given_up_can_be_read() -> None:
    """What is no longer waited for, but stored after all, is shown in its place."""
    ring = ring_of(1)
    ring.broken(Gap(TEA, 2, 4))
    ring.put(Page((message(1), message(3), message(5)), False), ring.begin())
    assert seqs_of(ring.page(9, None, 0.0)) == [1, 3]
    ring.broken(Gap(TEA, None, None))
    ring.put(Page((message(1),), False), ring.begin())
    assert seqs_of(ring.page(9, None, 0.0)) == []


def test_a_log_made_anew_is_shown_from_its_beginning() -> None:
    """What the one before it had lost, or went beyond, says nothing of a log that begins at 1."""
    ring = ring_of(51, 52, 53, 54, 55)
    ring.removed(54)
    ring.broken(Gap(TEA, None, None))
    ring.add(message(1))
    ring.put(Page((message(1),), False), ring.begin())
    assert ring.page(9, None, 0.0) == Page((message(1),), False)


def test_of_a_long_page_no_more_is_held_than_may_be() -> None:
    """However much was read, a room that few ask about costs little memory."""
    ring = ring_of(*range(1, 10))
    ring.put(Page(tuple(message(seq) for seq in range(1, 10)), False), ring.begin())
    assert ring.held(0.0) == Held(7, 3)


# On an instance.


def talk(user: User, count: int) -> None:
    """Say something so many times."""
    for number in range(count):
        outcome(user.say(f"{number}"))


@pytest.mark.parametrize("log_ahead", [-7200, 7200])
def test_a_wrong_clock_hides_nothing_and_keeps_nothing(log_ahead: float) -> None:
    """What the log has is shown, and what it has no more is not, if an instance's clock is off."""
    world = World(log_seconds=60, log_ahead=log_ahead)
    ann = world.one.user("ann", "tea")
    for text in "ab":
        outcome(ann.say(text))
        world.runtime.pass_time(40)
    joined = outcome(world.one.user("bob").join("tea")).backlog
    for shown in joined, outcome(ann.session.history(None, None)):
        assert [message.text for message in shown.page.messages] == ["b"]
    outcome(ann.say("c"))
    page = outcome(ann.session.history(None, None)).page
    assert ([message.text for message in page.messages], page.older) == (["b", "c"], False)


def test_history_is_read_from_the_log_once() -> None:
    """Who asks for the history of a room, and who joins it, costs the log nothing."""
    world = World(limits=Limits(history=20))
    ann = world.one.user("ann", "tea")
    talk(ann, 50)
    first = outcome(ann.session.history(None, None)).page
    taken = len(world.one.gate.taken)
    again = outcome(ann.session.history(None, None)).page
    assert (len(first.messages), first.older) == (20, True)
    assert again == first
    talk(ann, 5)
    assert len(outcome(ann.session.history(7, None)).page.messages) == 7
    page = outcome(ann.session.history(10, first.messages[-1].seq)).page
    assert page.messages == first.messages[-11:-1]
    bob = world.one.user("bob")
    assert len(outcome(bob.join("tea")).backlog.page.messages) == 10
    assert "history" not in world.one.gate.taken[taken:]
    outcome(ann.session.history(21, None))
    assert "history" in world.one.gate.taken[taken:]


def test_many_who_ask_at_once_cost_one_reading() -> None:
    """A room in which all ask for the history, as after a fault, reads it once."""
    world = World()
    users = [world.one.user(f"u{number}", "tea") for number in range(5)]
    talk(users[0], 20)
    world.one.gate.hold("history")
    asked = [run(user.session.history(None, None)) for user in users]
    world.one.gate.release()
    assert all(len(outcome(answer).page.messages) == 20 for answer in asked)
    assert world.one.gate.taken.count("history") == 1


def test_all_who_wait_are_told_that_the_log_is_away() -> None:
    """Nobody waits for ever, or is told that there is nothing."""
    world = World()
    users = [world.one.user(f"u{number}", "tea") for number in range(2)]
    talk(users[0], 20)
    world.one.gate.fail("history", *[StoreUnavailable()] * 4)
    for user in users:
        with pytest.raises(StoreUnavailable):
            outcome(user.session.history(None, None))


def test_who_joins_after_a_deletion_is_not_shown_what_was_deleted() -> None:
    """What an operator takes out is shown no more; while the log is away people can come anyway."""
    world = World()
    ann = world.one.user("ann", "tea")
    talk(ann, 5)
    world.stream.delete(TEA, 3)
    world.one.gate.fail("history", StoreUnavailable())
    outcome(world.one.user("bob").join("tea"))
    page = outcome(world.one.user("cat").join("tea")).backlog.page
    assert [m.seq for m in page.messages] == [1, 2, 4, 5]
    taken = world.one.gate.taken.count("history")
    outcome(world.one.user("dan").join("tea"))
    assert world.one.gate.taken.count("history") == taken


def test_the_rooms_asked_longest_ago_are_held_no_more() -> None:
    """However many rooms are asked, memory stays within its bound, and the busy ones are served."""
    world = World(limits=Limits(history=20, rooms=9))
    ann = world.one.user("ann", "a", "b", "c")
    found = [world.one.hub.room(RoomName.parse(name)) for name in "abc"]
    rooms = [room for room in found if room]
    histories = Histories(world.one.log, world.runtime, world.one.hub.limits, most_held=45)
    for name in "abc":
        for _ in range(30):
            outcome(ann.say("hi", name))

    def ask(place: int) -> int:
        taken = world.one.gate.taken.count("history")
        assert len(outcome(histories.page(rooms[place], 20, None)).messages) == 20
        return world.one.gate.taken.count("history") - taken

    assert [ask(place) for place in (0, 1, 0, 2, 0, 2, 1)] == [1, 1, 0, 1, 0, 0, 1]
    assert sum(room.ring.most for room in rooms) == 2 * 21 + 11
    assert rooms[0].held() == Held(rooms[0].backlog().messages[0].seq - 1, 11)
    histories.forget(rooms[1])
    assert [ask(place) for place in (0, 2)] == [1, 0]


def test_a_room_that_nobody_is_in_is_not_kept_in_memory() -> None:
    """What was read of a room goes with the last of this instance who was in it."""
    world = World()
    ann = world.one.user("ann", "tea")
    talk(ann, 3)
    outcome(ann.session.history(None, None))
    room = weakref.ref(world.one.hub.room(TEA))
    assert room() is not None
    outcome(ann.leave())
    gc.collect()
    assert room() is None


# Anything in any order.


class Past(RuleBasedStateMachine):
    """Rooms that are talked in, purged and read, by an instance that remembers and a late log."""

    @initialize(most=st.sampled_from([0, 2, 4, 7]), held=st.sampled_from([6, 12, 99]))
    def open(self, most: int, held: int) -> None:
        """Two rooms have somebody in them on one instance."""
        limits = Limits(backlog=2, history=5, history_most=9)
        self.world = World(limits=limits, instances=1, log_most=most)
        self.world.stream._most_per_room = most
        self.one: Instance = self.world.one
        histories = Histories(self.one.log, self.world.runtime, limits, held)
        self.one.hub.histories = self.one.hub.rooms._histories = histories
        self.user = self.one.user("ann")
        self.reading: list[Deferred[Any]] = []
        self.numbers = 0
        for name in ("tea", "pot"):
            talk_before = self.one.user(f"old-{name}", name)
            talk(talk_before, most)
            talk_before.session.close("")
            outcome(self.user.join(name))

    def stored(self, name: str) -> list[int]:
        """The seqs that the log has."""
        return [m.seq for m in self.world.stream.messages(RoomName.parse(name))]

    rooms = st.sampled_from(["tea", "pot"])

    @rule(name=rooms, count=st.integers(1, 6))
    def say(self, name: str, count: int) -> None:
        """Somebody talks."""
        for _ in range(count):
            outcome(self.user.say("hi", name))

    @precondition(lambda self: self.stored("tea"))
    @rule(data=st.data())
    def purge(self, data: st.DataObject) -> None:
        """The beginning of a room is removed."""
        self.world.stream.purge(TEA, data.draw(st.sampled_from(self.stored("tea"))))

    @precondition(lambda self: self.stored("tea"))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """A message is removed."""
        self.world.stream.delete(TEA, data.draw(st.sampled_from(self.stored("tea"))))

    @rule()
    def restart(self) -> None:
        """The log is made anew."""
        self.world.stream.restart()

    @rule(name=rooms, first=st.integers(1, 9))
    def gap(self, name: str, first: int) -> None:
        """The follower is told that something will not come."""
        room = self.one.hub.room(RoomName.parse(name))
        assert room is not None
        if room.ring.last:
            room.received(Gap(room.name, max(1, room.ring.last - first), room.ring.last))

    @rule(held=st.booleans())
    def delay(self, held: bool) -> None:
        """Answers of the log are late, or come."""
        if held:
            self.one.gate.hold("history answer")
        else:
            self.one.gate.release()

    @rule(name=rooms, count=st.integers(1, 9), data=st.data())
    def read(self, name: str, count: int, data: st.DataObject) -> None:
        """Somebody reads; what is answered at once is what the log has."""
        seqs = self.stored(name)
        around = [*seqs, *(seq + 1 for seq in seqs[-1:])] or [1]
        before = data.draw(st.none() | st.sampled_from(around))
        answer = run(self.user.session.history(count, before, RoomName.parse(name)))
        self.reading.append(answer)
        if answer.called:
            self.same(outcome(answer).page, name, count, before)

    def same(self, page: Page, name: str, count: int, before: int | None) -> None:
        """Compare a page with the log's."""
        expected = outcome(
            run(
                super(type(self.one.log), self.one.log).history(RoomName.parse(name), count, before)
            )
        )
        assert page == expected

    @rule(name=rooms)
    def join(self, name: str) -> None:
        """Somebody joins, and sees the last that the log has."""
        self.numbers += 1
        user = self.one.user(f"guest{self.numbers}")
        joining = user.join(name)
        if joining.called:
            page = outcome(joining).backlog.page
            seqs = self.stored(name)
            room = self.one.hub.room(RoomName.parse(name))
            assert room is not None
            shown = [m.seq for m in page.messages]
            assert shown == seqs[-len(shown) :] if shown else True
            if not page.older:
                assert shown == seqs
            user.session.close("")
        else:
            joining.addCallback(lambda _: user.session.close(""))

    @invariant()
    def bound(self) -> None:
        """No more is in memory than may be."""
        if hasattr(self, "one"):
            rooms = [self.one.hub.room(RoomName.parse(name)) for name in ("tea", "pot")]
            large = [room for room in rooms if room and room.ring.most > 3]
            assert len(large) <= max(1, self.one.hub.histories._most_rooms)

    def teardown(self) -> None:
        """Everybody was answered, and in the end everything is as the log has it."""
        if not hasattr(self, "one"):
            return
        self.one.gate.release()
        for answer in self.reading:
            outcome(answer)
        for name in ("tea", "pot"):
            for count in (5, 3, 9):
                page = outcome(self.user.session.history(count, None, RoomName.parse(name))).page
                self.same(page, name, count, None)
        self.world.check()


TestPast: Any = Past.TestCase
TestPast.settings = settings(max_examples=150, stateful_step_count=40)
