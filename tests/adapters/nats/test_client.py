"""The shorter way of a message through nats-py gives what its own way gives."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport
from nats.errors import ProtocolError
from twisted.internet.defer import Deferred

from disroom.adapters.aio import soon
from disroom.adapters.nats.client import GATHER_SECONDS, DirectClient, supported
from disroom.adapters.nats.message import Incoming, parse_headers
from tests.contract.witness import promise

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


class Reading:
    """A client that reads what a server sends, with a subscriber for direct and one for not.

    Attributes:
        taken: What the subscribers were given: by nats-py 8's, directly 7's.
        told: What else nats-py took note of.
    """

    def __init__(self) -> None:
        self.client = DirectClient()
        self.taken: list[tuple[str, str, bytes, dict[str, str]]] = []
        self.subscription = self._subscription(7)
        self.client.call_directly(self.subscription, self.take)
        self.queue = self._subscription(8)._pending_queue

    def _subscription(self, sid: int) -> Subscription:
        subscription = self.client._subs[sid] = Subscription(self.client, sid, "any")
        subscription._pending_queue = asyncio.Queue()
        return subscription

    def take(self, message: Incoming) -> None:
        """Take a message."""
        self.taken.append((message.subject, message.reply, message.data, message.headers))

    def read(self, data: bytes) -> None:
        """Read what a server has sent, and let the queue be taken from."""
        finished(self.client._ps.parse(data))
        while not self.queue.empty():
            self.take(Incoming.of(self.queue.get_nowait()))


ON_THE_WIRE: tuple[tuple[bytes, tuple[str, str, bytes, dict[str, str]] | None], ...] = (
    (b"MSG a.b 7 2\r\nhi\r\n", ("a.b", "", b"hi", {})),
    (b"MSG a.b 7 re.ply 4\r\nh\r\ni\r\n", ("a.b", "re.ply", b"h\r\ni", {})),
    (b"MSG x 7 0\r\n\r\n", ("x", "", b"", {})),
    (b"HMSG a 7 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n", ("a", "", b"hi", {"A": "b"})),
    (b"HMSG a 7 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", ("a", "r", b"", {"Status": "503"})),
    (b"MSG a.b 8 2\r\nho\r\n", ("a.b", "", b"ho", {})),
    (b"HMSG a 8 re 18 19\r\nNATS/1.0\r\nA: b\r\n\r\n!\r\n", ("a", "re", b"!", {"A": "b"})),
    (b"MSG gone 9 2\r\nno\r\n", None),
    (b"MSG  a.b   7  2\r\nhi\r\n", ("a.b", "", b"hi", {})),
    (b"+OK\r\n", None),
    (b"PONG\r\n", None),
)
"""What a server sends, and what a subscriber is given for it."""


@given(st.lists(st.sampled_from(ON_THE_WIRE), max_size=8), st.data())
def test_whatever_is_read_at_once(
    sent: list[tuple[bytes, tuple[str, str, bytes, dict[str, str]] | None]], data: st.DataObject
) -> None:
    """However the network cuts it up, each message is given whole, once, and in order."""
    reading = Reading()
    stream = b"".join(raw for raw, _ in sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    for begin, end in itertools.pairwise([0, *cuts, len(stream)]):
        reading.read(stream[begin:end])
    expected = [message for _, message in sent if message is not None]
    assert sorted(reading.taken, key=repr) == sorted(expected, key=repr)
    # Those of a queue are taken from it when all that was read has been given out.
    direct = [message for raw, message in sent if message and b" 7 " in raw]
    assert [message for message in reading.taken if message in direct] == direct


@pytest.mark.parametrize("line", [b"NONSENSE\r\n", b"MSG a 7 x\r\n", b"HMSG a 7 9 2\r\n??\r\n"])
def test_what_no_server_sends_is_left_to_nats_py(line: bytes) -> None:
    """Which ends the connection on it, or makes of it what it can; nothing is read for ever."""
    reading = Reading()
    with suppress(ProtocolError):
        reading.read(line)
    assert all(message[0] == "a" for message in reading.taken)


def test_a_subscriber_is_called_until_it_is_forgotten() -> None:
    """Nothing comes any more once the subscription is cancelled, not even what was read with it."""
    reading = Reading()

    def take(message: Incoming) -> None:
        reading.take(message)
        reading.client.call_no_more(reading.subscription)

    reading.client.call_directly(reading.subscription, take)
    reading.client._subs.pop(7)
    reading.read(b"MSG a 7 1\r\n1\r\nMSG a 7 1\r\n2\r\n")
    assert reading.taken == [("a", "", b"1", {})]


def test_a_pong_that_nobody_waits_for_any_more_is_one_all_the_same() -> None:
    """A server that answers late is not taken for dead."""
    client, loop = DirectClient(), asyncio.new_event_loop()
    given_up = loop.create_future()
    given_up.cancel()
    loop.close()
    client._pongs, client._pings_outstanding = [given_up], 1
    finished(client._process_pong())
    assert (client._pongs, client._pings_outstanding) == ([], 0)


@given(st.dictionaries(NAMES, VALUES, max_size=6), st.binary(max_size=20))
def test_a_message_by_nats_py_s_own_way_is_the_same(headers: dict[str, str], data: bytes) -> None:
    """Where the shorter way cannot be taken nothing else changes."""
    message = Incoming.of(Msg(Client(), "a.b", "re", data, headers or None))
    assert (message.subject, message.reply, message.data) == ("a.b", "re", data)
    assert message.headers == headers


class Written(TcpTransport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nats-py is untyped here
        self.writes: list[bytes] = []

    def __bool__(self) -> bool:
        return True

    def writelines(self, lines: list[bytes]) -> None:
        """Take one write."""
        self.writes.append(b"".join(lines))


HEAD = b"NATS/1.0\r\nA: b\r\n\r\n"


def frames(*numbers: int) -> bytes:
    """What `publish` sends of these."""
    frame = b"HPUB a.b re.ply 18 23\r\nNATS/1.0\r\nA: b\r\n\r\ndata%d\r\n"
    return b"".join(frame % number for number in numbers)


def publish(client: DirectClient, *numbers: int) -> None:
    """Publish a message for each number."""
    for number in numbers:
        client.send("a.b", b"data%d" % number, "re.ply", HEAD)


class Writing:
    """A client that is connected, and what it writes."""

    def __init__(self) -> None:
        self.now = 0.0
        self.transport = Written()
        self.client = DirectClient(lambda: self.now)
        self.client._status, self.client._transport = Client.CONNECTED, self.transport

    @property
    def writes(self) -> list[bytes]:
        """Each of them."""
        return self.transport.writes


@promise
async def test_what_is_published_in_one_turn_leaves_in_one_write() -> None:
    """However many talk at once, in their order, after one turn that brought nothing more."""
    writing = Writing()
    publish(writing.client, 0, 1, 2)
    assert writing.writes == []
    await turn()
    await turn()
    assert writing.writes == [frames(0, 1, 2)]
    publish(writing.client, 3)
    await turn()
    await turn()
    assert writing.writes[1:] == [frames(3)]


@promise
async def test_what_turn_after_turn_publishes_leaves_in_one_write() -> None:
    """Each turn that brings something may be followed by one that does, too."""
    writing = Writing()
    for number in range(5):
        publish(writing.client, number)
        await turn()
    assert writing.writes == []
    await turn()
    assert writing.writes == [frames(0, 1, 2, 3, 4)]


@promise
async def test_a_message_waits_for_others_no_longer_than_a_millisecond() -> None:
    """Where every turn brings more, forever."""
    writing = Writing()
    for number in range(6):
        publish(writing.client, number)
        writing.now += GATHER_SECONDS * 0.4
        await turn()
    assert writing.writes == [frames(0, 1, 2), frames(3, 4, 5)]


@promise
async def test_what_is_published_can_be_written_now() -> None:
    """Once, and in front of what follows; after the connection has ended nothing leaves."""
    writing = Writing()
    publish(writing.client, 0)
    assert writing.client.pending_data_size == len(frames(0))
    writing.client.write_now()
    writing.client.write_now()
    assert writing.writes == [frames(0)]
    assert writing.client.pending_data_size == 0
    publish(writing.client, 1)
    writing.client._status = Client.CLOSED
    await turn()
    await turn()
    writing.client.write_now()
    assert len(writing.writes) == 1


async def turn() -> None:
    """Let the loop have its next turn."""
    passed: Deferred[None] = Deferred()
    soon(lambda: passed.callback(None))
    await passed
