"""What a user sees of those it ignores."""

import pytest

from disroom.chat.errors import TooManyIgnored
from disroom.chat.names import Nick
from disroom.chat.replies import IgnoreSet
from tests.chat.world import World, outcome, world_of

BOB = Nick.parse("bob")


def test_who_is_ignored_is_not_heard(world: World) -> None:
    """What an ignored nick says, does or whispers is hidden until it is shown again."""
    ann, bob = world.one.user("ann", "tea"), world.two.user("bob", "tea")
    ann.story()
    ann.session.ignore(BOB)
    ann.session.ignore(BOB)
    outcome(bob.say("a"))
    outcome(bob.session.act("b"))
    outcome(bob.whisper("ann", "c"))
    outcome(bob.session.set_topic("d"))
    assert ann.story() == ["#tea topic bob: d"]
    assert ann.session.unignore(BOB) == IgnoreSet(BOB, False)
    outcome(bob.say("e"))
    assert ann.story() == ["#tea bob: e"]


def test_the_number_of_those_ignored_is_bounded() -> None:
    """Nobody fills the server's memory with names; who is heard again makes room for another."""
    world = world_of(ignored=2)
    ann = world.one.user("ann")
    ann.session.ignore(BOB)
    ann.session.ignore(Nick.parse("eve"))
    with pytest.raises(TooManyIgnored):
        ann.session.ignore(Nick.parse("mallory"))
    ann.session.ignore(BOB)
    ann.session.unignore(BOB)
    assert ann.session.ignore(Nick.parse("mallory")).ignored


def test_who_ignores_itself_still_gets_its_receipts(world: World) -> None:
    """A user's own line comes back whatever it ignores."""
    ann = world.one.user("ann", "tea")
    ann.session.ignore(Nick.parse("ann"))
    outcome(ann.say("hi"))
    assert ann.story() == ["#tea ann: hi"]
