"""How many connections there may be on all workers together."""

from __future__ import annotations

from disroom.workers.tally import Tally, Verdict


def test_the_last_place_is_given_once_and_given_again() -> None:
    """Who is one too many is refused, until somebody goes."""
    tally = Tally(2, 0)
    assert tally.admit(1, None) is tally.admit(2, "192.0.2.1") is Verdict.WELCOME
    assert tally.admit(3, None) is Verdict.FULL
    tally.forget(3)
    assert len(tally) == 2
    tally.forget(1)
    tally.forget(1)
    assert tally.admit(4, None) is Verdict.WELCOME
    assert tally.admit(5, None) is Verdict.FULL


def test_without_a_limit_everybody_is_welcome() -> None:
    """0 leaves it to what the workers have room for."""
    tally = Tally(0, 0)
    assert {tally.admit(key, "192.0.2.1") for key in range(1000)} == {Verdict.WELCOME}


def test_an_address_has_its_share() -> None:
    """Each address counts for itself; loopback does not."""
    tally = Tally(0, 1)
    assert tally.admit(1, "192.0.2.1") is Verdict.WELCOME
    assert tally.admit(2, "192.0.2.1") is Verdict.CROWDED
    assert tally.admit(3, "192.0.2.2") is Verdict.WELCOME
    assert tally.admit(4, "127.0.0.1") is tally.admit(5, "127.0.0.1") is Verdict.WELCOME
    assert len(tally) == 4
    tally.forget(1)
    assert tally.admit(6, "192.0.2.1") is Verdict.WELCOME


def test_an_address_that_is_told_later() -> None:
    """What a proxy tells counts from then on, and no longer than the connection."""
    tally = Tally(0, 1)
    for key in (1, 2, 3):
        assert tally.admit(key, None) is Verdict.WELCOME
    assert tally.locate(1, "192.0.2.1")
    assert not tally.locate(2, "192.0.2.1")
    tally.forget(2)
    tally.forget(1)
    assert tally.locate(1, "192.0.2.1"), "it is gone: there is nothing to count"
    assert tally.locate(3, "192.0.2.1")
