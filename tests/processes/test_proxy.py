"""The proxies that tests put before the brokers."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.eventually import eventually_blocking
from tests.processes.nats import NatsServer
from tests.processes.nats_proxy import NatsProxy, NatsSplitter
from tests.processes.ports import ReservedPort
from tests.processes.rawnats import RawNats
from tests.processes.redis import RedisServer
from tests.processes.redis_proxy import CountingProxy
from tests.processes.resp import RespError, RespSplitter, encode


@pytest.fixture
def proxy(redis: RedisServer) -> Iterator[CountingProxy]:
    """A proxy before the worker's Redis."""
    with CountingProxy(redis.address) as running:
        yield running


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A client of a proxy; its reads end after 2 s."""
    with socket.create_connection(("127.0.0.1", port), timeout=2) as client:
        yield client


def test_requests_are_counted_by_command(proxy: CountingProxy, unique: str) -> None:
    """A test says how many round trips a verb costs, however its requests are cut into packets."""
    with connected(proxy.port) as client:
        client.sendall(encode("SET", unique, "a\r\nb"))
        assert client.recv(100) == b"+OK\r\n"
        request = encode("get", unique)
        client.sendall(request[:9])
        client.sendall(request[9:])
        assert client.recv(100) == b"$4\r\na\r\nb\r\n"
    assert [request.name for request in proxy.requests()] == ["SET", "GET"]
    assert [request.arguments for request in proxy.requests("GET")] == [(unique.encode(),)]
    assert proxy.accepted == 1
    proxy.forget()
    assert proxy.requests() == []


def test_connections_are_cut_on_both_sides(proxy: CountingProxy) -> None:
    """A test can break every connection at once; the next one works."""
    with connected(proxy.port) as client:
        client.sendall(encode("PING"))
        assert client.recv(100) == b"+PONG\r\n"
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    assert proxy.connections == 0
    with connected(proxy.port) as client:
        client.sendall(encode("PING"))
        assert client.recv(100) == b"+PONG\r\n"


def test_connections_are_refused_and_accepted_again(proxy: CountingProxy) -> None:
    """A test can make a broker unreachable, for new connections alone, and bring it back."""
    with connected(proxy.port) as old:
        old.sendall(encode("PING"))
        assert old.recv(100) == b"+PONG\r\n"
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError), connected(proxy.port):
            pass
        old.sendall(encode("PING"))
        assert old.recv(100) == b"+PONG\r\n"
    proxy.accept()
    with connected(proxy.port) as client:
        client.sendall(encode("PING"))
        assert client.recv(100) == b"+PONG\r\n"


def test_a_stalled_direction_holds_everything_back(proxy: CountingProxy) -> None:
    """A test can make a connection hang without closing it; nothing is lost when it goes on."""
    with connected(proxy.port) as client:
        proxy.stall("to_client")
        client.sendall(encode("PING"))
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(100)
        assert len(proxy.requests("PING")) == 1
        proxy.stall()
        client.sendall(encode("ECHO", "x" * 3_000_000))
        with pytest.raises(TimeoutError):
            client.recv(100)
        assert proxy.requests("ECHO") == []
        proxy.flow()
        client.settimeout(5)
        with client.makefile("rb") as replies:
            assert replies.readline() == b"+PONG\r\n"
            assert replies.readline() == b"$3000000\r\n"
            assert len(replies.read(3_000_002)) == 3_000_002


def test_chosen_replies_are_lost(proxy: CountingProxy, unique: str) -> None:
    """A test can lose an answer whose command was carried out."""
    with connected(proxy.port) as client:
        proxy.drop_if(lambda direction, frame: frame.value == b"OK")
        client.sendall(encode("SET", unique, 1) + encode("GET", unique))
        assert client.recv(100) == b"$1\r\n1\r\n"
        proxy.drop_nothing()
        client.sendall(encode("SET", unique, 1))
        assert client.recv(100) == b"+OK\r\n"
    assert [seen.frame.raw for seen in proxy.seen if seen.dropped] == [b"+OK\r\n"]


def test_a_half_closed_connection_is_passed_on(proxy: CountingProxy) -> None:
    """The end of one direction arrives at the other side, after all that was sent before it."""
    with connected(proxy.port) as client:
        client.sendall(encode("ECHO", "last words"))
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as replies:
            assert replies.read() == b"$10\r\nlast words\r\n"
    eventually_blocking(lambda: proxy.connections == 0)


def test_a_unix_socket_can_be_the_target(tmp_path: Path) -> None:
    """The embedded Redis, which has no port, can be counted as well."""
    with (
        RedisServer(tmp_path, unix=True) as server,
        CountingProxy(server.address) as proxy,
        connected(proxy.port) as client,
    ):
        client.sendall(encode("PING"))
        assert client.recv(100) == b"+PONG\r\n"


def test_a_target_that_is_down_resets_the_client() -> None:
    """The proxy of a broker that is down lets nobody wait."""
    down = ReservedPort()
    with (
        CountingProxy(("127.0.0.1", down.number)) as proxy,
        pytest.raises(ConnectionResetError),
        connected(proxy.port) as client,
    ):
        client.recv(100)
    down.release()


def test_what_cannot_be_understood_is_reported(redis: RedisServer) -> None:
    """A test that sends nonsense through a proxy fails, with the reason, instead of hanging."""
    proxy = CountingProxy(redis.address)
    with connected(proxy.port) as client:
        client.sendall(b"nonsense\r\n")
        assert client.recv(100) == b""
    with pytest.raises(RuntimeError) as failure:
        proxy.close()
    assert "not RESP2" in str(failure.value.__cause__)


def test_chosen_nats_messages_are_lost(nats: NatsServer, unique: str) -> None:
    """A test can lose live copies while acknowledgements and everything else pass."""
    with NatsProxy(("127.0.0.1", nats.port)) as proxy, RawNats(proxy.port) as client:
        client.subscribe(f"{unique}.>")
        client.flush()
        proxy.drop_subjects("to_client", f"{unique}.live")
        for subject in ("live.a", "other", "live.b"):
            client.publish(f"{unique}.{subject}", b"1\r\n2", {"Key": subject})
        assert client.next_message().subject == f"{unique}.other"
        client.flush()
        assert [frame.subject for frame in proxy.dropped()] == [
            f"{unique}.live.a",
            f"{unique}.live.b",
        ]
        assert proxy.dropped()[0].body.endswith(b"Key: live.a\r\n\r\n1\r\n2")
        proxy.drop_subjects("to_server", f"{unique}.live")
        client.publish(f"{unique}.live.c", b"")
        client.flush()
        assert [(frame.verb, frame.subject) for frame in proxy.dropped()][2:] == [
            ("PUB", f"{unique}.live.c")
        ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_frames_are_the_same_wherever_the_packets_end(size: int) -> None:
    """What a proxy counts or drops does not depend on how the bytes arrive."""
    replies = b"*2\r\n$3\r\na\r\n\r\n:-7\r\n-ERR no\r\n$-1\r\n*-1\r\n*0\r\n+OK\r\n"
    resp = RespSplitter()
    frames = [f for i in range(0, len(replies), size) for f in resp.feed(replies[i : i + size])]
    assert b"".join(frame.raw for frame in frames) == replies
    values = [frame.value for frame in frames]
    assert values[0] == [b"a\r\n", -7]
    assert isinstance(values[1], RespError)
    assert values[2:] == [None, None, [], b"OK"]

    messages = (
        b"INFO {}\r\nPING\r\nMSG a.b 1 4\r\n\r\n\r\n\r\nHMSG c 2 d 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
    )
    nats = NatsSplitter()
    split = [f for i in range(0, len(messages), size) for f in nats.feed(messages[i : i + size])]
    assert b"".join(frame.raw for frame in split) == messages
    assert [(frame.verb, frame.subject) for frame in split] == [
        ("INFO", ""),
        ("PING", ""),
        ("MSG", "a.b"),
        ("HMSG", "c"),
    ]
    assert split[2].body == b"\r\n\r\n"
