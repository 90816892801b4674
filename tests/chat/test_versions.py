"""Changes of presence come out in the order of their versions, whatever becomes of the news."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disroom.chat.names import RoomName
from disroom.chat.presence import Change
from disroom.chat.versions import MOST_AHEAD, Versions

TEA = RoomName.parse("tea")


def change(version: int) -> Change:
    """A change that makes this version."""
    return Change(TEA, version, 0.0)


def numbers(changes: list[Change]) -> list[int]:
    """Their versions."""
    return [change.version for change in changes]


@pytest.fixture
def versions() -> Versions:
    """With version 10 held."""
    versions = Versions()
    versions.reach(10)
    return versions


@given(st.lists(st.integers(11, 20)), st.permutations(range(11, 21)))
def test_each_is_applied_once_and_in_order(heard: list[int], others: list[int]) -> None:
    """Nobody sees a coming twice, nor a going before its coming, however the news arrives."""
    versions = Versions()
    versions.reach(10)
    applied = [number for n in heard + others for number in numbers(versions.take(change(n)))]
    assert applied == list(range(11, 21))
    assert (versions.held, versions.behind) == (20, False)


def test_nothing_is_applied_before_it_is_known_to_what() -> None:
    """What is heard of while the first list is read is applied to that list."""
    versions = Versions()
    for version in (1, 11, 10):
        assert not versions.take(change(version))
    assert numbers(versions.reach(10)) == [11]


def test_a_gap_is_noticed_and_closed_by_a_list(versions: Versions) -> None:
    """What was missed is known to have been, and what came after it is not lost."""
    assert not versions.take(change(12))
    assert not versions.take(change(14))
    assert (versions.held, versions.behind) == (10, True)
    assert numbers(versions.reach(11)) == [12]
    assert versions.behind
    assert numbers(versions.reach(13)) == [14]
    assert not versions.behind


def test_a_version_that_is_only_known_of_is_missing(versions: Versions) -> None:
    """Where all news of a change was lost, comparing tells of it."""
    versions.heard(9)
    assert not versions.behind
    versions.heard(11)
    assert versions.behind
    assert numbers(versions.take(change(11))) == [11]
    assert not versions.behind


def test_what_waits_is_bounded(versions: Versions) -> None:
    """News that never fits does not fill the memory, and more than one list may be needed then."""
    for version in range(12, 13 + MOST_AHEAD):
        versions.take(change(version))
    assert not versions.reach(11)
    assert versions.behind
    assert len(versions.reach(12)) == MOST_AHEAD
    assert not versions.behind
