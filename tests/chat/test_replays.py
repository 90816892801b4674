"""What was missed is read from the log once for all who come back together."""

from collections.abc import Iterator

import pytest

from disroom.chat.errors import StoreUnavailable
from disroom.chat.names import RoomName
from disroom.chat.replays import KEPT_SECONDS, MOST_KEPT, Replays
from disroom.chat.room import Room
from disroom.chat.stored import Replay
from tests.chat.world import User, World, outcome, run

TEA = RoomName.parse("tea")
MOST = 40


class Tea:
    """A room in which somebody talks, and what those who come back are given of it."""

    def __init__(self) -> None:
        self.world = World()
        self.bob: User = self.world.one.user("bob", "tea")
        self.gate = self.world.one.gate
        room = self.world.one.hub.room(TEA)
        assert room is not None
        self.room: Room = room
        self.replays = Replays(self.world.one.log, self.world.runtime, MOST)

    def talk(self, count: int) -> None:
        """Say so much."""
        for _ in range(count):
            outcome(self.bob.say("x"))

    def since(self, after: int) -> Replay:
        """What came after a seq, as somebody is told it at once."""
        return outcome(run(self.replays.since(self.room, after)))

    def truth(self, after: int) -> list[int]:
        """The seqs after a seq, as the stream has them."""
        return [m.seq for m in self.world.stream.messages(TEA) if m.seq > after][-MOST:]

    @property
    def readings(self) -> int:
        """How often the log was read."""
        return self.gate.taken.count("since")


@pytest.fixture
def tea() -> Iterator[Tea]:
    """A room in which 30 messages were said."""
    one = Tea()
    one.talk(30)
    yield one
    one.world.check()


def seqs(replay: Replay) -> list[int]:
    """The seqs of what was read."""
    return [message.seq for message in replay.messages]


def test_who_comes_next_is_given_what_was_read(tea: Tea) -> None:
    """A thousand who come back cost the log what one costs it, wherever each has stopped."""
    for after in (0, 0, 3, 17):
        assert seqs(tea.since(after)) == tea.truth(after)
        tea.talk(1)
    assert tea.readings == 1


def test_only_what_is_newer_is_read_when_much_was_said_since(tea: Tea) -> None:
    """In a busy room the same is not read over and over."""
    tea.since(0)
    for _ in range(2):
        tea.talk(15)
        replay = tea.since(0)
        assert seqs(replay) == tea.truth(0)
    assert tea.readings == 3
    assert replay.lost == (1, 20)
    assert tea.since(25).lost is None
    assert seqs(tea.since(25)) == tea.truth(25)
    assert tea.readings == 3


def test_those_who_come_while_it_is_read_wait_for_it(tea: Tea) -> None:
    """Nobody asks what another is asking, and what is said meanwhile is in what each is given."""
    tea.gate.hold("since answer")
    waiting = [run(tea.replays.since(tea.room, after)) for after in (2, 2, 5)]
    tea.talk(2)
    late = run(tea.replays.since(tea.room, 4))
    tea.gate.release()
    assert [seqs(outcome(each)) for each in waiting[1:]] == [tea.truth(2), tea.truth(5)]
    assert seqs(outcome(late)) == tea.truth(4)
    assert seqs(outcome(waiting[0])) == tea.truth(2)[:-2]  # the rest was held back for it
    assert tea.readings == 1


def test_who_has_stopped_before_what_was_read_is_read_for(tea: Tea) -> None:
    """What is kept is not taken for all that there is."""
    assert seqs(tea.since(10)) == tea.truth(10)
    assert seqs(tea.since(5)) == tea.truth(5)
    assert tea.readings == 2


def test_a_failure_is_one_for_all_who_wait_and_the_next_tries_again(tea: Tea) -> None:
    """Where the log is away nobody waits once for each who came before."""
    tea.gate.hold("since")
    tea.gate.fail("since", StoreUnavailable())
    waiting = [run(tea.replays.since(tea.room, 0)) for _ in range(3)]
    tea.gate.release()
    for each in waiting:
        with pytest.raises(StoreUnavailable):
            outcome(each)
    assert tea.readings == 1
    assert seqs(tea.since(0)) == tea.truth(0)


def test_what_is_kept_is_forgotten_soon(tea: Tea) -> None:
    """What the log has removed is not shown for long, and memory is given back."""
    tea.since(0)
    tea.world.runtime.pass_time(KEPT_SECONDS - 1)
    tea.replays.tick()
    tea.since(0)
    assert tea.readings == 1
    tea.world.runtime.pass_time(1)
    tea.replays.tick()
    tea.since(0)
    assert tea.readings == 2
    tea.replays.forget(tea.room)
    tea.since(0)
    assert tea.readings == 3


def test_of_many_rooms_the_one_read_first_is_forgotten(tea: Tea) -> None:
    """What is kept is bounded."""
    tea.since(0)
    for number in range(MOST_KEPT):
        user = tea.world.one.user(f"u{number}", f"room{number}")
        for _ in range(12):
            outcome(user.say("x"))
        room = tea.world.one.hub.room(RoomName.parse(f"room{number}"))
        assert room is not None
        outcome(run(tea.replays.since(room, 0)))
    before = tea.readings
    tea.since(0)
    assert tea.readings == before + 1


def test_another_log_ends_what_is_kept(tea: Tea) -> None:
    """Messages of a stream that is gone are not given with those of the next."""
    tea.since(0)
    tea.world.stream.restart()
    tea.talk(15)
    assert seqs(tea.since(0)) == tea.truth(0) == list(range(1, 16))


def test_how_far_the_log_is_is_asked_once_at_a_time(tea: Tea) -> None:
    """Those who come together wait for one answer, or for one failure; the next asks again."""
    tea.gate.hold("reached")
    waiting = [run(tea.replays.reached(seq)) for seq in (30, 30, 31)]
    assert tea.gate.waiting("reached") == 1
    tea.gate.release()
    assert [outcome(each) for each in waiting] == [True, True, False]
    tea.gate.hold("reached")
    tea.gate.fail("reached", StoreUnavailable())
    waiting = [run(tea.replays.reached(30)) for _ in range(3)]
    taken = tea.gate.taken.count("reached")
    tea.gate.release()
    for each in waiting:
        with pytest.raises(StoreUnavailable):
            outcome(each)
    assert tea.gate.taken.count("reached") == taken
    assert outcome(run(tea.replays.reached(30)))
