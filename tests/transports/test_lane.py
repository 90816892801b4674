"""How what one client asks is carried out: one thing after the other, no faster than it may."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from disroom.countdown import STEPS
from disroom.transports.lane import CROWDED, LEAVING_SECONDS, Lane, Pace


class Works:
    """Carries out items, and waits where it is told to.

    Attributes:
        begun: Items whose work has begun, in order.
        done: Items whose work has ended.
        crowded: What the lane told, in order.
    """

    def __init__(self, *, pace: tuple[float, int] | None = None) -> None:
        self.clock = Clock()
        self.begun: list[object] = []
        self.done: list[object] = []
        self.crowded: list[bool] = []
        self.waiting: dict[object, Deferred[None]] = {}
        self.slow: set[object] = set()
        self.lane: Lane[object] = Lane(
            self.clock, self.work, self.crowded.append, Pace(self.clock, *pace) if pace else None
        )

    async def work(self, item: object) -> None:
        """Carry out an item."""
        self.begun.append(item)
        if item in self.slow:
            self.waiting[item] = Deferred()
            await self.waiting[item]
        if isinstance(item, Exception):
            raise item
        self.done.append(item)

    def finish(self, item: object) -> None:
        """Let a slow item end."""
        self.waiting.pop(item).callback(None)

    def put(self, *items: object) -> None:
        """Put items into the lane."""
        for item in items:
            self.lane.put(item)


def test_what_can_be_done_at_once_is() -> None:
    """A command on an idle connection is not put off to a later turn."""
    works = Works()
    works.put("a")
    assert works.done == ["a"]
    assert works.lane.idle


def test_commands_are_carried_out_one_after_the_other() -> None:
    """A command begins when the one before it has ended, however many were sent together."""
    works = Works()
    works.slow = {"a", "c"}
    works.put("a", "b", "c", "d")
    assert works.begun == ["a"]
    assert not works.lane.idle
    works.finish("a")
    assert works.begun == ["a", "b", "c"]
    works.put("e")
    works.finish("c")
    assert works.done == ["a", "b", "c", "d", "e"]
    assert works.lane.idle


def test_a_command_that_breaks_does_not_break_the_connection() -> None:
    """A mistake of the server is logged, and what was asked after it is answered."""
    works = Works()
    with capturedLogs() as logged:
        works.put(ZeroDivisionError("boo"), "b")
    assert works.done == ["b"]
    (event,) = logged
    assert event["log_failure"].check(ZeroDivisionError)
    assert works.lane.idle


def test_what_waits_can_be_dropped() -> None:
    """After the end, what is under way runs its course and the rest is not begun."""
    works = Works()
    works.slow = {"a"}
    works.put("a", "b")
    works.lane.clear()
    works.finish("a")
    assert works.done == ["a"]
    assert works.lane.idle
    works.put("c")
    assert works.done == ["a", "c"]


def test_a_crowd_is_told_of_and_so_is_its_end() -> None:
    """What a client sends faster than it is served is taken as places become free."""
    works = Works()
    works.slow = {0, 1}
    works.put(*range(CROWDED))
    assert works.crowded == []
    works.put(CROWDED)
    assert works.crowded == [True]
    works.finish(0)
    assert works.crowded == [True, False]
    works.put(CROWDED + 1)
    assert works.crowded == [True, False, True]
    works.finish(1)
    assert works.crowded == [True, False, True, False]
    assert works.done == list(range(CROWDED + 2))


def test_who_is_taken_on_at_the_end_of_a_crowd_is_served() -> None:
    """What comes in at the very moment of a place becoming free is carried out in its turn."""
    works = Works()
    more = list(range(CROWDED + 1, 2000))

    def take(crowded: bool) -> None:
        if not crowded and more:
            works.put(more.pop(0))

    works.lane = Lane(works.clock, works.work, take, None)
    works.slow = {0}
    works.put(*range(CROWDED + 1))
    works.finish(0)
    assert works.done == list(range(2000))
    assert works.lane.idle


def test_a_burst_is_served_at_once_and_the_rest_at_the_pace() -> None:
    """A client may paste a few commands; a flood of them is slowed down, and none is lost."""
    works = Works(pace=(10.0, 3))
    works.put(*range(6))
    assert works.done == [0, 1, 2]
    works.clock.advance(0.05)
    assert works.done == [0, 1, 2]
    works.clock.advance(0.05)
    assert works.done == [0, 1, 2, 3]
    works.clock.advance(0.1)
    works.clock.advance(0.1)
    assert works.done == [0, 1, 2, 3, 4, 5]


def test_a_pause_earns_another_burst() -> None:
    """Who was quiet for a while may send as many at once as in the beginning, and no more."""
    works = Works(pace=(10.0, 3))
    works.put(*range(3))
    works.clock.advance(3600)
    works.put(*range(3, 8))
    assert works.done == [0, 1, 2, 3, 4, 5]


def test_what_waits_for_its_turn_can_be_dropped() -> None:
    """Who is gone while its next command was held back does not come back to life."""
    works = Works(pace=(10.0, 1))
    works.put("a", "b")
    works.lane.clear()
    with capturedLogs() as logged:
        works.clock.advance(1)
    assert not logged
    assert works.done == ["a"]
    assert works.lane.idle
    works.put("c")
    works.clock.advance(1)
    assert works.done == ["a", "c"]


def test_the_next_command_waits_for_a_place_for_its_answer() -> None:
    """Commands of a client that does not read are not carried out, and go on when it does."""
    works = Works()
    full: list[Deferred[None]] = []
    works.lane = Lane(
        works.clock, works.work, works.crowded.append, None, lambda _: full[0] if full else None
    )
    works.put("a")
    full.append(Deferred())
    works.put("b", "c")
    assert works.done == ["a"]
    full.pop().callback(None)
    assert works.done == ["a", "b", "c"]
    full.append(Deferred())
    works.put("d")
    works.lane.clear()
    full.pop().callback(None)
    assert works.done == ["a", "b", "c"]
    assert works.lane.idle


def test_who_leaves_is_not_held_back() -> None:
    """The last command waits for no pace, and those before it are still carried out, in order."""
    works = Works(pace=(1.0, 2))
    works.put(*range(50))
    assert works.done == [0, 1]
    works.lane.put("exit", last=True)
    assert works.done == [*range(50), "exit"]
    assert not works.clock.getDelayedCalls()
    assert works.lane.idle


def test_who_leaves_while_something_is_under_way_is_not_held_back_after_it() -> None:
    """What takes its time is waited for, and nothing else."""
    works = Works(pace=(1.0, 1))
    works.slow = {"slow"}
    works.put("slow", "a", "b")
    works.lane.put("exit", last=True)
    assert works.done == []
    works.finish("slow")
    assert works.done == ["slow", "a", "b", "exit"]


def test_what_follows_the_last_is_held_back() -> None:
    """Who goes on after all pays for what was hurried."""
    works = Works(pace=(1.0, 2))
    works.put(*range(10))
    works.lane.put("exit", last=True)
    works.put("more")
    assert works.done == [*range(10), "exit"]
    works.clock.advance(9)
    assert "more" not in works.done
    works.clock.advance(1.1)
    assert works.done[-1] == "more"


def test_pretending_to_leave_gains_a_bounded_number() -> None:
    """Who says it with each command is as slow as anybody else, but for one run."""
    works = Works(pace=(10.0, 5))
    for _ in range(1000):
        works.put("x")
        works.lane.put("exit", last=True)
        works.clock.advance(0.01)
    assert len(works.done) <= 10.0 * 10 + 2 * 5 + CROWDED
    assert len(works.done) > 100


def test_who_leaves_waits_for_answers_only_where_they_have_no_place() -> None:
    """The owner says whether there is one; who does not read is waited for once, and not long."""
    works = Works()
    leaving: list[bool] = []
    waits: list[Deferred[None]] = []

    def room(hurried: bool) -> Deferred[None] | None:
        leaving.append(hurried)
        if hurried and "c" not in works.done:
            return None
        waits.append(Deferred())
        return waits[-1]

    works.lane = Lane(works.clock, works.work, works.crowded.append, None, room)
    works.put("a", "b", "c", "d", "e")
    assert works.done == []
    works.lane.put("exit", last=True)
    assert leaving[:2] == [False, True]
    assert works.done == ["a", "b", "c"]
    works.clock.advance(3600)  # the server stands still, and takes nothing of it for the client's
    works.clock.pump([LEAVING_SECONDS / STEPS] * (STEPS - 2))
    assert works.done == ["a", "b", "c"]
    works.clock.advance(LEAVING_SECONDS / STEPS)
    assert works.done == ["a", "b", "c", "d", "e", "exit"]
    assert len(waits) == 2
    assert not works.clock.getDelayedCalls()


def test_who_leaves_and_reads_after_all_leaves_nothing_behind() -> None:
    """Nor is the next that has no place for its answer waited for any less."""
    works = Works()
    waits: list[Deferred[None]] = [Deferred(), Deferred()]
    room = iter(waits)
    works.lane = Lane(
        works.clock, works.work, works.crowded.append, None, lambda _: next(room, None)
    )
    works.lane.put("exit", last=True)
    works.clock.advance(LEAVING_SECONDS / STEPS)
    waits[0].callback(None)
    works.clock.pump([LEAVING_SECONDS / STEPS] * (STEPS - 1))
    assert works.done == []
    waits[1].callback(None)
    assert works.done == ["exit"]
    assert not works.clock.getDelayedCalls()


@given(
    rate=st.floats(0.5, 100),
    burst=st.integers(1, 20),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=60),
)
def test_no_stretch_of_time_sees_more_than_the_rate_allows(
    rate: float, burst: int, gaps: list[float]
) -> None:
    """However a client spaces its commands, the server's work for it is bounded."""
    clock = Clock()
    pace = Pace(clock, rate, burst)
    taken = []
    for gap in gaps:
        clock.advance(gap)
        delay = pace.wait()
        assert delay >= 0
        clock.advance(delay)
        taken.append(clock.seconds())
    for first, begin in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= burst + (taken[last] - begin) * rate + 1 + 1e-6


@given(gaps=st.lists(st.floats(0.1, 2), min_size=1, max_size=60))
def test_who_keeps_to_the_rate_never_waits(gaps: list[float]) -> None:
    """A client that sends no faster than it may does not notice the limit."""
    clock = Clock()
    pace = Pace(clock, 10.0, 1)
    for gap in gaps:
        assert pace.wait() <= 1e-6
        clock.advance(gap)
