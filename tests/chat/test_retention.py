"""What ``interest`` retention keeps and what it purges."""

from collections.abc import Iterator

import pytest

from disroom.chat.errors import PresenceUnavailable, StoreUnavailable
from disroom.chat.names import RoomName
from disroom.chat.retention import SWEEP_EVERY, InterestRetention
from tests.chat.world import Instance, User, World, outcome, run

GRACE = 60.0
TEA, POT = RoomName.parse("tea"), RoomName.parse("pot")


class Keepers(World):
    """A chat of two instances, each of which keeps rooms as long as there is interest."""

    def __init__(self) -> None:
        super().__init__()
        self.keepers = [self.keeper(instance) for instance in self.instances]

    def keeper(self, instance: Instance) -> InterestRetention:
        """The retention as an instance runs it."""
        return InterestRetention(log=instance.log, presence=instance.presence, grace=GRACE)

    def run(self, seconds: float = 0.0) -> None:
        """Let time go by, and have each instance do a round every ten seconds."""
        rounds = int(seconds // 10)
        for _ in range(rounds):
            self.runtime.time += 10
            for keeper in self.keepers:
                outcome(keeper.run())
        self.runtime.time += seconds - 10 * rounds
        for keeper in self.keepers:
            outcome(keeper.run())


@pytest.fixture
def world() -> Iterator[Keepers]:
    """Two instances."""
    one = Keepers()
    yield one
    one.check()


def talk(user: User, *texts: str) -> None:
    """Say something."""
    for text in texts:
        outcome(user.say(text))


def test_what_is_said_is_kept_while_somebody_is_there(world: Keepers) -> None:
    """A room with people keeps its history however long they are silent."""
    talk(world.one.user("ann", "tea"), "1", "2")
    world.run(10 * GRACE)
    assert world.texts("tea") == ["1", "2"]


def test_a_room_that_everybody_has_left_is_forgotten(world: Keepers) -> None:
    """A minute after the last one has left on the last instance, what was said is gone."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea", "pot")
    talk(ann, "1")
    talk(bob, "in pot")
    outcome(ann.leave())
    world.run(2 * GRACE)
    assert world.texts("tea") == ["1"]
    outcome(bob.leave("tea"))
    world.run(GRACE - 10)
    assert world.texts("tea") == ["1"]
    world.run(20)
    assert world.texts("tea") == []
    assert world.texts("pot") == ["in pot"]
    assert not outcome(world.one.presence.emptied())


def test_who_comes_back_in_time_finds_everything(world: Keepers) -> None:
    """A room is not purged when somebody returned within the minute, nor soon after."""
    ann = world.one.user("ann", "tea")
    talk(ann, "1")
    for _ in range(3):
        outcome(ann.leave())
        world.run(GRACE - 10)
        outcome(ann.join("tea"))
        world.run(20)
    outcome(ann.leave())
    world.run(GRACE - 10)
    assert world.texts("tea") == ["1"]


def test_what_is_said_after_the_end_was_noted_stays(world: Keepers) -> None:
    """Only what was there when the room was found empty is purged, not what came after it."""
    ann = world.one.user("ann", "tea")
    talk(ann, "old")
    outcome(ann.leave())
    world.run(GRACE - 10)
    gate = world.one.gate
    gate.hold("purge")
    world.runtime.time += 20
    purging = run(world.keepers[0].run())
    assert gate.waiting("purge") == 1
    outcome(ann.join("tea"))
    talk(ann, "new")
    gate.release()
    assert purging.called
    assert world.texts("tea") == ["new"]


def test_two_instances_purge_once(world: Keepers) -> None:
    """However many instances look after a room, one of them purges it."""
    ann = world.one.user("ann", "tea")
    talk(ann, "1")
    outcome(ann.leave())
    world.run(3 * GRACE)
    assert [i.gate.taken.count("purge") for i in world.instances].count(1) == 1
    assert sum(i.gate.taken.count("purge") for i in world.instances) == 1


def test_a_room_that_presence_has_forgotten_is_found_again(world: Keepers) -> None:
    """After presence lost everything, the rooms in the log that nobody is in are purged as well."""
    ann = world.one.user("ann", "tea", "pot")
    talk(ann, "in pot")
    outcome(ann.say("in tea", "tea"))
    outcome(ann.leave("tea"))
    world.store.empty.clear()
    world.run(10 * (SWEEP_EVERY + 1) + GRACE)
    assert world.texts("tea") == []
    assert world.texts("pot") == ["in pot"]


@pytest.mark.parametrize("step", ["emptied", "last_seq", "forget_empty", "purge", "versions"])
def test_what_cannot_be_done_now_is_done_later(world: Keepers, step: str) -> None:
    """While the log or presence is away nothing fails, and afterwards the room is purged."""
    ann = world.one.user("ann", "tea")
    talk(ann, "1")
    outcome(ann.leave())
    error = StoreUnavailable() if step in ("last_seq", "purge") else PresenceUnavailable()
    world.one.gate.fail(step, error)
    world.keepers.pop()
    world.run(2 * GRACE)
    assert not world.one.gate.failing
    world.run(10 * (SWEEP_EVERY + 1) + GRACE)
    assert world.texts("tea") == []


def test_nothing_is_purged_while_presence_is_away(world: Keepers) -> None:
    """An instance that cannot tell who is where removes nothing."""
    ann = world.one.user("ann", "tea")
    talk(ann, "1")
    outcome(ann.leave())
    world.run(GRACE - 10)
    world.store.cut()
    world.run(10 * GRACE)
    assert world.texts("tea") == ["1"]
    world.store.restore()
    world.run(10)
    assert world.texts("tea") == []
