"""The Sentinels of the tests."""

from pathlib import Path

from tests.eventually import eventually_blocking
from tests.processes.redis import RedisKind
from tests.processes.sentinel import WatchedRedis


def test_a_replica_takes_over(tmp_path: Path, redis_kind: RedisKind) -> None:
    """A killed master is replaced by the one with its data; passwords are shown where asked for."""
    with WatchedRedis(tmp_path, kind=redis_kind, password="p1", sentinel_password="p2") as watched:
        first, second = watched.master, watched.replica
        first.command("SET", "key", "value")
        first.kill()
        eventually_blocking(lambda: watched.master is second, 20)
        assert second.command("GET", "key") == b"value"
