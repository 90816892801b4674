"""What comes and goes over a connection to Redis, without one."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from disroom.adapters.redis.address import RedisAddress
from disroom.adapters.redis.connection import RedisConnection, RedisRefused, RedisUnavailable
from tests.processes.resp import encode

REPLIES: tuple[tuple[bytes, Any], ...] = (
    (b"+OK\r\n", "OK"),
    (b":-7\r\n", -7),
    (b"$3\r\n007\r\n", b"007"),
    (b"$0\r\n\r\n", b""),
    (b"$-1\r\n", None),
    (b"$8\r\na\r\n$1\r\nb\r\n", b"a\r\n$1\r\nb"),
    (b"*3\r\n$1\r\na\r\n*1\r\n:1\r\n$-1\r\n", [b"a", [1], None]),
    (b"*0\r\n", []),
    (b"*5\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n", [1, 2, 3, 4, 5]),
)


def connected(timeout: float = 1.0) -> tuple[RedisConnection, StringTransport, Clock, list[bytes]]:
    """A connection over nothing, its clock, and the messages published to it."""
    clock, published = Clock(), list[bytes]()
    connection = RedisConnection(
        reactor=clock, timeout=timeout, address=RedisAddress(), published=published.append
    )
    transport = StringTransport()
    connection.makeConnection(transport)
    return connection, transport, clock, published


def asked(connection: RedisConnection, *command: str) -> list[Any]:
    """Where the reply to a command will be put, or the exception."""
    found: list[Any] = []
    Deferred.fromCoroutine(connection.ask(*command)).addCallbacks(
        found.append, lambda failure: found.append(failure.value)
    )
    return found


@given(st.lists(st.sampled_from(REPLIES), min_size=1), st.data())
def test_replies_arrive_however_the_network_cuts_them(
    replies: list[tuple[bytes, Any]], data: st.DataObject
) -> None:
    """No user gets the answer to another's question."""
    connection, _, _, published = connected()
    found = [asked(connection, "GET", str(number)) for number in range(len(replies))]
    stream = b"".join(raw for raw, _ in replies)
    message = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n"
    stream += message
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=5))
    edges = [0, *sorted(cuts), len(stream)]
    for start, stop in itertools.pairwise(edges):
        connection.dataReceived(stream[start:stop])
    assert found == [[value] for _, value in replies]
    assert published == [b"hello"]


def test_commands_are_sent_as_they_are() -> None:
    """A nick that looks like a number, or is none of ASCII, reaches Redis unchanged."""
    connection, transport, _, _ = connected()
    asked(connection, "SET", "007", "Äpfel", "")
    assert transport.value() == encode("SET", "007", "Äpfel", "")


def test_an_error_belongs_to_its_command() -> None:
    """One user's refused request does not fail another's."""
    connection, _, _, _ = connected()
    first, second = asked(connection, "ONE"), asked(connection, "TWO")
    connection.dataReceived(b"-ERR unknown command\r\n+OK\r\n")
    assert isinstance(first[0], RedisRefused)
    assert str(first[0]) == "unknown command"
    assert second == ["OK"]


def test_silence_ends_a_connection_and_slowness_does_not() -> None:
    """A dead Redis is given up in time; one that works through a backlog is not."""
    connection, transport, clock, _ = connected(timeout=1.0)
    first, second = asked(connection, "ONE"), asked(connection, "TWO")
    clock.pump([0.125] * 7)
    connection.dataReceived(b"+OK\r\n")
    clock.pump([0.125] * 7)
    assert first == ["OK"]
    assert not transport.disconnected
    clock.pump([0.125] * 2)
    assert transport.disconnected
    connection.connectionLost(Failure(ConnectionAborted()))
    assert isinstance(second[0], RedisUnavailable)
    assert str(second[0]) == "no answer within 1 s"
    assert isinstance(asked(connection, "THREE")[0], RedisUnavailable)
    assert not clock.getDelayedCalls()


def test_an_idle_connection_is_left_alone() -> None:
    """Silence is no fault where nothing was asked."""
    connection, transport, clock, _ = connected(timeout=1.0)
    asked(connection, "ONE")
    connection.dataReceived(b"+OK\r\n")
    clock.pump([0.5] * 8)
    found = asked(connection, "TWO")
    clock.pump([0.125] * 7)
    connection.dataReceived(b"+OK\r\n")
    assert found == ["OK"]
    assert not transport.disconnected


def test_a_standstill_is_no_silence() -> None:
    """What was not even sent when the process was frozen, or not read, is not given up for that."""
    connection, transport, clock, _ = connected(timeout=1.0)
    found = asked(connection, "ONE")
    clock.advance(10.0)
    clock.pump([0.125] * 7)
    assert not transport.disconnected and not found
    clock.pump([0.125] * 2)
    assert transport.disconnected


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress(host="cache")),
        ("redis://cache:7000/3", RedisAddress(host="cache", port=7000, database=3)),
        ("redis://cache?db=3", RedisAddress(host="cache", database=3)),
        ("redis://:p%40ss@[::1]:1/", RedisAddress(host="::1", port=1, password="p@ss")),
        (
            "rediss://ann:pass@cache",
            RedisAddress(host="cache", tls=True, username="ann", password="pass"),
        ),
        ("unix:///run/redis.sock?db=2", RedisAddress(path="/run/redis.sock", database=2)),
    ],
)
def test_every_form_of_address_is_understood(url: str, address: RedisAddress) -> None:
    """Redis is configured by the URL that its own tools take."""
    assert RedisAddress.parse(url) == address
    assert "pass" not in f"{address} {address!r}"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://cache", "http://cache: not a redis://, rediss://, unix:// or sentinel:// URL"),
        ("cache:6379", "not a redis://, rediss://, unix:// or sentinel:// URL"),
        ("redis://", "redis://: a host is missing"),
        ("redis://ann:pass@cache:x", "redis://cache:x: the port must be a number up to 65535"),
        ("redis://ann:pa/pass@cache", "redis://cache: the port must be a number up to 65535"),
        ("redis://:p#pass@cache", "redis://cache: the port must be a number up to 65535"),
        ("redis://:p?pass@cache", "redis://cache: the port must be a number up to 65535"),
        ("redis://cache/lobby", "redis://cache/lobby: the database must be a number"),
        ("redis://cache?database=1", "redis://cache: unknown option database"),
        ("unix://run/redis", "an absolute path is missing, as in unix:///run/redis"),
    ],
)
def test_a_wrong_address_is_explained(url: str, message: str) -> None:
    """A mistyped URL is answered with what is wrong about it, and without the password."""
    with pytest.raises(ValueError) as refused:
        RedisAddress.parse(url)
    assert message in str(refused.value)
    assert "pass" not in str(refused.value)


def test_credentials_given_apart_win() -> None:
    """A password from a file or the environment replaces one in the URL, where `ps` shows it."""
    address = RedisAddress.parse("redis://ann:old@cache", password="new")
    assert (address.username, address.password) == ("ann", "new")


def test_files_without_certificates_are_refused(tmp_path: Path) -> None:
    """TLS is never made weaker by a file that holds nothing to trust."""
    empty = tmp_path / "ca.pem"
    empty.write_text("")
    address = RedisAddress.parse("rediss://cache", ca_file=empty)
    with pytest.raises(ValueError, match=r"TLS: cannot use .*no certificate"):
        address.endpoint(Clock(), 1.0)
