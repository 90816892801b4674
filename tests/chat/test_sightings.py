"""What the messages of people say who, as far as presence has told, are not in the room."""

from typing import Any

import pytest

from disroom.chat.events import Message
from disroom.chat.names import Nick, RoomName
from disroom.chat.sightings import CLOCKS_SECONDS, FRESH_SECONDS, JUST_LEFT_SECONDS, Sightings
from tests.chat.stepped import SteppedRuntime


def message(at: float) -> Message:
    """Something that bob said."""
    fields: dict[str, Any] = {"room": RoomName.parse("tea"), "nick": Nick.parse("bob")}
    return Message(seq=1, at=at, id="m1", kind="said", session="bob", text="hi", **fields)


def test_for_a_while_a_message_from_before_a_leaving_is_a_straggler() -> None:
    """A message that was on its way when its sender left does not bring the sender back."""
    runtime = SteppedRuntime()
    sightings = Sightings(runtime, lambda: runtime.time)
    left_at = runtime.time + JUST_LEFT_SECONDS  # a clock is ahead
    straggler, later = message(left_at + CLOCKS_SECONDS), message(left_at + CLOCKS_SECONDS + 0.1)
    assert sightings.shows_arrival(straggler)
    sightings.left(["bob"], left_at)
    runtime.pass_time(JUST_LEFT_SECONDS)
    sightings.expire()
    assert not sightings.shows_arrival(straggler)
    assert sightings.shows_arrival(later)
    runtime.pass_time(0.1)
    sightings.expire()
    assert sightings.shows_arrival(straggler)


@pytest.mark.parametrize("log_ahead", [-60, 0, 60])
def test_an_old_message_shows_no_arrival(log_ahead: float) -> None:
    """What was said a while ago does not tell who is here now, by whatever clock that goes."""
    runtime = SteppedRuntime()
    sightings = Sightings(runtime, lambda: runtime.time + log_ahead)
    old = message(runtime.time + log_ahead)
    runtime.pass_time(FRESH_SECONDS - 0.1)
    assert sightings.shows_arrival(old)
    runtime.pass_time(0.1)
    assert not sightings.shows_arrival(old)


def test_who_was_seen_is_to_be_confirmed_in_time() -> None:
    """Nobody whose coming is told of, or whose leaving, is doubted; anybody else is, once."""
    runtime = SteppedRuntime()
    sightings = Sightings(runtime, lambda: runtime.time)
    for session in ("ann", "bob", "cat"):
        sightings.seen(session, 7.0)
    assert sightings.confirmed("ann") == 7.0
    assert sightings.confirmed("ann") is None
    sightings.left(["bob"], runtime.time)
    assert list(sightings.unconfirmed) == ["cat"]
    runtime.pass_time(FRESH_SECONDS)
    assert not sightings.expire()
    runtime.pass_time(0.1)
    assert sightings.expire()
    assert not sightings.expire()
    assert not sightings.unconfirmed
