"""How long a client may take."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from disroom.chat.errors import ChatError
from disroom.countdown import STEPS
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

    def wait(self, seconds: float) -> None:
        """Let time go by while the loop turns."""
        self.clock.pump([0.125] * round(seconds / 0.125))

    def stand_still(self, seconds: float) -> None:
        """Let time go by in which nothing is read; then comes what is due, before that is."""
        self.clock.advance(seconds)


def test_who_takes_no_name_is_given_up() -> None:
    """Lines do not help, a name does."""
    client = Watched(unnamed=60, idle=0)
    client.wait(59)
    client.patience.heard()
    assert not client.ended
    client.wait(1)
    assert [type(error) for error in client.ended] == [Unnamed]
    client.wait(1000)
    assert len(client.ended) == 1


def test_who_has_a_name_may_be_silent() -> None:
    """Without an idle limit nothing ends the silence, and no timer is left."""
    client = Watched(unnamed=60, idle=0)
    client.named = True
    client.wait(60)
    assert not client.ended
    assert not client.clock.getDelayedCalls()


def test_every_line_begins_the_idle_time_anew() -> None:
    """It is the silence that counts, not the time since the beginning."""
    client = Watched(unnamed=0, idle=10)
    for _ in range(5):
        client.wait(8)
        client.patience.heard()
    assert not client.ended
    client.wait(9.875)
    assert not client.ended
    client.wait(0.25)
    assert [type(error) for error in client.ended] == [Idle]


def test_silence_is_ended_in_time() -> None:
    """Whenever the last line came."""
    client = Watched(unnamed=0, idle=60)
    client.wait(1)
    client.patience.heard()
    client.wait(59)
    assert not client.ended
    client.wait(1)
    assert [type(error) for error in client.ended] == [Idle]


def test_the_limit_that_is_reached_first_counts() -> None:
    """Who talks on without a name is given up for that, though it is not silent for too long."""
    client = Watched(unnamed=60, idle=50)
    client.wait(40)
    client.patience.heard()
    client.wait(20)
    assert [type(error) for error in client.ended] == [Unnamed]


def test_a_standstill_is_not_the_client_s_silence() -> None:
    """What it said meanwhile lies unread, so it has the time anew in which that was."""
    client = Watched(unnamed=0, idle=10)
    for _ in range(5):
        client.wait(9.5)
        client.stand_still(3600)
        assert not client.ended
        client.patience.heard()
    client.stand_still(3600)
    client.wait(10)
    assert [type(error) for error in client.ended] == [Idle]


@pytest.mark.parametrize("before", [0, 30, 59])
def test_a_standstill_takes_nothing_of_the_time_to_choose_a_name(before: float) -> None:
    """Nobody is sent away because the server was deaf; who says nothing after it is, as ever."""
    client = Watched(unnamed=60, idle=0)
    client.wait(before)
    client.stand_still(55)
    client.stand_still(3600)
    client.wait(59 - before)
    assert not client.ended
    client.wait(2 * 60 / STEPS)
    assert [type(error) for error in client.ended] == [Unnamed]


def test_an_instance_that_never_keeps_up_waits_for_nobody_for_ever() -> None:
    """Where each look comes late, who says nothing has twice the time and not much more."""
    client = Watched(unnamed=60, idle=0)
    while not client.ended and client.clock.seconds() < 200:
        (timer,) = client.clock.getDelayedCalls()
        client.stand_still(timer.getTime() - client.clock.seconds() + 2)
    assert [type(error) for error in client.ended] == [Unnamed]
    assert 120 <= client.clock.seconds() < 160


def test_nothing_is_watched_after_the_end() -> None:
    """A closed connection leaves no timer behind."""
    client = Watched(unnamed=60, idle=10)
    client.patience.stop()
    client.patience.stop()
    assert not client.clock.getDelayedCalls()


def test_no_limits_need_no_timer() -> None:
    """Both may be off."""
    assert not Watched(unnamed=0, idle=0).clock.getDelayedCalls()
