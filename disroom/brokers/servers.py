"""The two brokers: how each is configured, and how it shows that it is ready."""

import contextlib
import os
import socket
from pathlib import Path

import msgspec
from twisted.internet.task import deferLater

from disroom.brokers.broker import POLL_SECONDS, Broker
from disroom.brokers.errors import BrokerError
from disroom.brokers.probes import Identity, probe_nats, probe_redis
from disroom.brokers.statedir import write_private
from disroom.children import Child

PORT_SECONDS = 0.1
LOG_BYTES = 1 << 20  # NATS's log is rotated there,
LOG_FILES = 2  # and as many older ones are kept


class _Ports(msgspec.Struct):
    nats: list[str]


class NatsServer(Broker):
    """NATS with JetStream, on 127.0.0.1.

    Attributes:
        token: Its clients' secret; it goes into a file, since a command line can be seen.
        port: The one it listens on; before the start, the one to try first, 0 for none.
    """

    name = "nats-server"
    token: str
    port: int = 0

    async def launch(self, patience: float) -> None:
        """Start it, on the same port as before if that is free; see Broker.launch."""
        if not await self._frees_itself():
            self.port = 0
        try:
            await super().launch(patience)
        except BrokerError:
            if _is_free(self.port):
                raise
            self.port = 0  # taken by another between the question and its start
            await super().launch(patience)

    async def _frees_itself(self) -> bool:
        # A killed process may close the lock a moment before it closes the socket.
        deadline = self._reactor.seconds() + PORT_SECONDS
        while not (free := _is_free(self.port)) and self._reactor.seconds() < deadline:
            await deferLater(self._reactor, POLL_SECONDS)
        return free

    def _prepare(self) -> list[str]:
        config = {
            "host": "127.0.0.1",
            "port": self.port or -1,
            "ports_file_dir": str(self._state.nats_ports),
            "authorization": {"token": self.token},
            "jetstream": {"store_dir": str(self._state.nats_store)},
            "log_file": str(self._state.nats_log),
            "logfile_size_limit": LOG_BYTES,
            "logfile_max_num": LOG_FILES,
        }
        write_private(self._state.nats_config, msgspec.json.format(msgspec.json.encode(config)))
        try:
            self._state.nats_store.mkdir(mode=0o700, exist_ok=True)
            self._state.nats_ports.mkdir(mode=0o700, exist_ok=True)
            for stale in self._state.nats_ports.iterdir():  # process ids are used again
                stale.unlink()
        except OSError as error:
            raise BrokerError(f"{error.filename}: {error.strerror}") from error
        self._log_start = _size(self._state.nats_log)
        return ["-c", str(self._state.nats_config)]

    async def _probe(self, child: Child) -> Identity | None:
        if port := self._listening_port(child):
            self.port = port
            return await probe_nats(self._reactor, port)
        return None

    def _listening_port(self, child: Child) -> int | None:
        for file in self._state.nats_ports.glob(f"*_{child.pid}.ports"):
            with contextlib.suppress(OSError, msgspec.DecodeError):  # it may be half written
                [url] = msgspec.json.decode(file.read_bytes(), type=_Ports).nats
                return int(url.rpartition(":")[2])
        return None

    def _log_lines(self) -> list[str]:
        try:
            with self._state.nats_log.open("rb") as file:
                if self._log_start <= _size(self._state.nats_log):  # else it has been rotated
                    file.seek(self._log_start)
                return file.read().decode(errors="replace").splitlines()
        except OSError:
            return []


class RedisServer(Broker):
    """Redis, or Valkey, on a unix socket and nothing else, in memory and nowhere else.

    Attributes:
        socket: The path that it listens on.
    """

    name = "redis-server"
    socket: Path

    def _prepare(self) -> list[str]:
        options = {
            "--port": "0",
            "--unixsocket": str(self.socket),
            "--unixsocketperm": "700",
            "--save": "",
            "--appendonly": "no",
            "--dir": str(self._state.path),
            "--daemonize": "no",
        }
        return [word for option in options.items() for word in option]

    async def _probe(self, child: Child) -> Identity | None:
        return await probe_redis(self._reactor, self.socket)


def _is_free(port: int) -> bool:
    """Whether a server could listen there; 0, the kernel's choice, is free."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
