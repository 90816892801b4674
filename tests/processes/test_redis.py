"""The Redis servers of the tests."""

from collections.abc import Callable

import pytest

from tests.processes.certificates import Certificates
from tests.processes.redis import RedisKind, RedisServer
from tests.processes.resp import RespError


@pytest.mark.parametrize("unix", [False, True])
def test_a_killed_redis_returns_empty_at_its_address(
    new_redis: Callable[..., RedisServer], redis_kind: RedisKind, unix: bool
) -> None:
    """A test of an outage has Redis back where it was, without its data."""
    server = new_redis(kind=redis_kind, unix=unix)
    address = server.address
    server.command("SET", "key", "value")
    assert server.command("GET", "key") == b"value"
    server.kill()
    with pytest.raises(OSError):
        server.command("PING")
    server.start()
    assert server.address == address
    assert server.command("GET", "key") is None
    assert server.command("LRANGE", "none", 0, -1) == []


def test_data_can_be_kept_over_a_restart(new_redis: Callable[..., RedisServer]) -> None:
    """A test of a restart with persistence has the data back."""
    server = new_redis(appendonly=True)
    server.command("SET", "key", "value")
    server.restart()
    assert server.command("GET", "key") == b"value"


def test_the_password_is_demanded(
    new_redis: Callable[..., RedisServer], redis_kind: RedisKind
) -> None:
    """A server made with a password refuses who does not show it."""
    server = new_redis(kind=redis_kind, password="secret")
    assert server.command("PING") == b"PONG"
    server.command("CONFIG", "SET", "requirepass", "another")
    with pytest.raises(RespError, match="WRONGPASS"):
        server.command("PING")


def test_a_paused_redis_is_silent_until_resumed(new_redis: Callable[..., RedisServer]) -> None:
    """A test can freeze Redis."""
    server = new_redis()
    server.pause()
    with pytest.raises(TimeoutError):
        server.command("PING", timeout=0.1)
    server.resume()
    assert server.command("PING") == b"PONG"


@pytest.mark.needs("redis-server")
def test_tls_is_offered(new_redis: Callable[..., RedisServer], certificates: Certificates) -> None:
    """A server made with a certificate speaks TLS."""
    server = new_redis(kind="redis", tls=certificates)
    assert server.url.startswith("rediss://")
    assert server.command("PING") == b"PONG"
