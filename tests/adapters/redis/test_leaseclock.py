"""What an instance knows of its lease by the time alone."""

import pytest
from twisted.internet.task import Clock

from disroom.adapters.redis.leaseclock import LeaseClock

LEASE = 15.0


@pytest.fixture
def time() -> Clock:
    """A machine's time."""
    return Clock()


@pytest.fixture
def lease(time: Clock) -> LeaseClock:
    """A lease that has just begun."""
    return LeaseClock(LEASE, time.seconds)


def test_a_standstill_is_seen_at_once_and_until_the_store_agrees(
    lease: LeaseClock, time: Clock
) -> None:
    """Nothing is done for a session before it is known what others did to it meanwhile."""
    time.advance(LEASE)
    assert not lease.lapsed
    time.advance(0.1)
    assert lease.lapsed
    assert not lease.unsure
    asked = lease.look()
    assert lease.lapsed
    assert lease.unsure
    lease.sure(asked)
    assert not lease.lapsed


def test_an_answer_from_before_a_standstill_says_nothing(lease: LeaseClock, time: Clock) -> None:
    """It lay unread while others took the sessions out."""
    asked = lease.look()
    time.advance(LEASE + 1)
    lease.look()
    lease.sure(asked)
    assert lease.lapsed


def test_who_looks_often_enough_did_not_stand_still(lease: LeaseClock, time: Clock) -> None:
    """A store that does not answer for long is no standstill, and is told apart from one."""
    lease.sure(lease.look())
    for _ in range(20):
        time.advance(1)
        lease.look()
    assert not lease.lapsed
    assert lease.unanswered
    lease.sure(lease.look())
    assert not lease.unanswered


def test_the_chat_goes_on_where_nothing_can_be_found_out(lease: LeaseClock, time: Clock) -> None:
    """As without a store at any time."""
    time.advance(LEASE + 1)
    lease.look()
    lease.go_on()
    assert not lease.lapsed
