"""What JetStream sends is read alike by whichever way it comes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disroom.adapters.jetstream import api
from disroom.adapters.jetstream.api import Stored
from disroom.adapters.nats.message import Incoming

TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def live(*fields: str, data: bytes = b"{}") -> Incoming:
    """A copy with these header fields."""
    lines = "".join(f"{field}\r\n" for field in fields)
    return Incoming(b"live.tea", b"", data, f"NATS/1.0\r\n{lines}\r\n".encode())


def republished(time: str, seq: int = 7, previous: int = 4) -> Incoming:
    """A live copy as nats-server 2.15 makes it."""
    return live(
        "Nats-Msg-Id: k-1",
        "Nats-Stream: DISROOM",
        "Nats-Subject: disroom.room.tea",
        f"Nats-Sequence: {seq}",
        f"Nats-Time-Stamp: {time}",
        f"Nats-Last-Sequence: {previous}",
    )


@given(TIMES, st.integers(0, 10**9 - 1), st.integers(1, 2**60), st.integers(0, 2**60))
def test_a_live_copy_is_the_message_that_is_stored(
    when: datetime, nanos: int, seq: int, previous: int
) -> None:
    """Whoever saw a message and whoever reads it back sees the same one, at the same time."""
    fraction = f"{nanos:09}".rstrip("0")
    message = republished(f"{when:%Y-%m-%dT%H:%M:%S}.{fraction or '0'}Z", seq, previous)
    stored = Stored.from_live(message)
    assert stored == Stored.from_message(message)
    assert (stored.seq, stored.previous, stored.id) == (seq, previous, "k-1")


def test_the_usual_live_copy_is_read_at_once() -> None:
    """Otherwise every message silently costs more."""
    head = republished("2026-11-25T23:52:33.844617583Z").head
    assert api._LIVE.fullmatch(head)


@pytest.mark.parametrize(
    "fields",
    [
        ("Nats-Subject: r", "Nats-Sequence: 7", "Nats-Time-Stamp: 2026-11-25T23:52:33Z"),
        ("Nats-Time-Stamp: 2026-11-25T23:52:33.5+01:00", "Nats-Subject: r", "Nats-Sequence: 7"),
        ("Other: x", "Nats-Msg-Id: é", "Nats-Sequence: 7", "Nats-Subject: r"),
        (),
    ],
)
def test_any_other_copy_is_read_field_by_field(fields: tuple[str, ...]) -> None:
    """Whatever else a server or a publisher adds, leaves out or orders otherwise."""
    message = live(*fields)
    try:
        expected = Stored.from_message(message)
    except KeyError:
        with pytest.raises(KeyError):
            Stored.from_live(message)
    else:
        assert Stored.from_live(message) == expected
