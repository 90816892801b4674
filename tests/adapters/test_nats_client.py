"""The shorter way of a message through nats-py gives what its own way gives."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from disroom.adapters.nats_client import DirectClient, parse_headers, supported

NAMES = st.text("abcdefghijklmnopqrstuvwxyzABC-0123456789", min_size=1, max_size=20)
VALUES = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=30).map(str.strip)


def finished(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that has nothing to wait for."""
    with pytest.raises(StopIteration) as end:
        work.send(None)
    return end.value.value


def as_nats_py_reads(raw: bytes) -> dict[str, str] | None:
    """What nats-py itself makes of a header block."""
    headers: dict[str, str] | None = finished(Client()._process_headers(raw))
    return headers


def test_the_installed_version_is_known() -> None:
    """Otherwise every message silently costs more, and docs/performance.md is wrong."""
    assert supported()


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=6))
def test_headers_are_read_as_nats_py_reads_them(headers: dict[str, str]) -> None:
    """Every field, whatever its value."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    raw = f"NATS/1.0\r\n{lines}\r\n".encode()
    assert parse_headers(raw) == as_nats_py_reads(raw) == headers


@pytest.mark.parametrize(
    "raw",
    [
        b"NATS/1.0 503\r\n\r\n",
        b"NATS/1.0 404 Message Not Found\r\n\r\n",
        b"NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 7\r\n\r\n",
    ],
)
def test_a_status_is_read_as_nats_py_reads_it(raw: bytes) -> None:
    """With and without a description and fields."""
    assert parse_headers(raw) == as_nats_py_reads(raw)


def test_a_subscriber_is_called_until_it_is_forgotten() -> None:
    """It gets the message whole, and nothing once the subscription is cancelled."""
    client, taken = DirectClient(), list[Msg]()
    subscription = Subscription(client, 7, "a.b")
    client._subs[7] = subscription

    async def bring() -> None:
        await client._process_msg(7, b"a.b", b"inbox.1", b"data", b"NATS/1.0\r\nA: b\r\n\r\n")

    client.call_directly(subscription, taken.append)
    finished(bring())
    assert [(m.subject, m.reply, m.data, m.headers) for m in taken] == [
        ("a.b", "inbox.1", b"data", {"A": "b"})
    ]
    client.call_no_more(subscription)
    client._subs.clear()
    finished(bring())
    assert len(taken) == 1
