"""Whom a private message reaches, and what its sender is told."""

import pytest

from disroom.chat.errors import NoSuchNick, NotDelivered
from disroom.chat.names import Nick
from tests.chat.world import World, outcome


@pytest.mark.parametrize("far", [False, True])
def test_a_private_message_reaches_one_alone(world: World, far: bool) -> None:
    """``msg`` finds its recipient on any instance, and nobody else sees it."""
    ann, cat = world.one.user("ann", "tea"), world.one.user("cat", "tea")
    bob = (world.two if far else world.one).user("bob", "tea")
    sent = outcome(ann.whisper("BOB", "psst")).message
    assert (str(sent.recipient), sent.text) == ("bob", "psst")
    assert bob.story() == ["(ann) psst"]
    assert "(ann) psst" not in cat.story()
    assert not world.texts("tea")


def test_a_private_message_that_does_not_arrive_is_told_of(world: World) -> None:
    """Who writes to nobody, to one who just left, or to a dead instance is told so."""
    ann, bob = world.one.user("ann"), world.two.user("bob")
    with pytest.raises(NoSuchNick):
        outcome(ann.whisper("nobody", "hi"))
    with pytest.raises(NoSuchNick):
        outcome(ann.session.whois(Nick.parse("nobody")))
    world.post.silent.add(world.two.presence.incarnation)
    with pytest.raises(NotDelivered):
        outcome(ann.whisper("bob", "hi"))
    world.post.silent.clear()
    world.two.gate.hold("release")
    bob.session.close("")
    with pytest.raises(NotDelivered):
        outcome(ann.whisper("bob", "hi"))
