"""How long a client may take."""

from __future__ import annotations

from twisted.internet.task import Clock

from disroom.chat.errors import ChatError
from disroom.transports.patience import Patience
from disroom.wire.errors import Idle, Unnamed


class Watched:
    """A client that is being watched."""

    def __init__(self, *, unnamed: float, idle: float) -> None:
        self.clock = Clock()
        self.named = False
        self.ended: list[ChatError] = []
        self.patience = Patience(
            self.clock,
            unnamed=unnamed,
            idle=idle,
            named=lambda: self.named,
            give_up=self.ended.append,
        )


def test_who_takes_no_name_is_given_up() -> None:
    """Lines do not help, a name does."""
    client = Watched(unnamed=60, idle=0)
    client.clock.advance(59)
    client.patience.heard()
    assert not client.ended
    client.clock.advance(1)
    assert [type(error) for error in client.ended] == [Unnamed]
    client.clock.advance(1000)
    assert len(client.ended) == 1


def test_who_has_a_name_may_be_silent() -> None:
    """Without an idle limit nothing ends the silence, and no timer is left."""
    client = Watched(unnamed=60, idle=0)
    client.named = True
    client.clock.advance(60)
    assert not client.ended
    assert not client.clock.getDelayedCalls()


def test_every_line_begins_the_idle_time_anew() -> None:
    """It is the silence that counts, not the time since the beginning."""
    client = Watched(unnamed=0, idle=10)
    for _ in range(5):
        client.clock.advance(8)
        client.patience.heard()
    assert not client.ended
    client.clock.advance(9.9)
    assert not client.ended
    client.clock.advance(0.2)
    assert [type(error) for error in client.ended] == [Idle]


def test_nothing_is_watched_after_the_end() -> None:
    """A closed connection leaves no timer behind."""
    client = Watched(unnamed=60, idle=10)
    client.patience.stop()
    client.patience.stop()
    assert not client.clock.getDelayedCalls()


def test_no_limits_need_no_timer() -> None:
    """Both may be off."""
    assert not Watched(unnamed=0, idle=0).clock.getDelayedCalls()
