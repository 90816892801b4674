"""Instances as separate processes, to be killed, and the brokers that they leave or not."""

import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self

from disroom.brokers import find_nats_server
from disroom.children import Guard
from tests.eventually import eventually_blocking
from tests.processes.child import Child
from tests.processes.rawnats import RawNats
from tests.processes.resp import RespSplitter, Value, encode

PROGRAM = Path(__file__).with_name("instance_program.py")
GUARDS: tuple[Guard, ...] = ("pdeathsig", "pipe") if sys.platform == "linux" else ("pipe",)


class Status(NamedTuple):
    """What an instance says of itself."""

    alone: bool
    holding: bool
    nats_url: str
    nats_token: str
    redis_socket: str

    @property
    def nats_port(self) -> int:
        """The port in the URL."""
        return int(self.nats_url.rpartition(":")[2])


class Instance(Child):
    """A process with embedded brokers.

    Args:
        name: Of its log file.
        directory: Of its log file and, in `state`, of the state directory that all share.
        state: The state directory, if another one.
        guard: How its brokers are made to end with it.
        ready_timeout: Seconds that it waits for them.
        nats_server: An executable instead of the wheel's.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        *,
        state: Path | None = None,
        guard: Guard = GUARDS[0],
        ready_timeout: float = 10.0,
        nats_server: Path | None = None,
    ) -> None:
        super().__init__(name, directory)
        self.state = state or directory / "state"
        self._arguments = [str(self.state), guard, str(ready_timeout)]
        if nats_server is not None:
            self._arguments.append(str(nats_server))

    def start(self) -> Self:
        """Start it and wait until its brokers answer."""
        self.launch()
        self._wait_ready(lambda: self.ready)
        return self

    def launch(self) -> None:
        """Start it without waiting."""
        self._launch([sys.executable, str(PROGRAM), *self._arguments])

    @property
    def status(self) -> Status:
        """The latest one it printed."""
        lines = [line for line in self.output().splitlines() if line[:1] + line[-1:] == "{}"]
        return Status(**json.loads(lines[-1]))

    @property
    def holding(self) -> bool:
        """Whether it runs the brokers."""
        return self.ready and self.status.holding

    @property
    def ready(self) -> bool:
        """Whether its brokers have answered it."""
        # Only a line that is whole has its end.
        lines = self.output().splitlines(keepends=True)
        return any(line.startswith("{") and line.endswith("}\n") for line in lines)

    def nats(self) -> RawNats:
        """Return a connection to NATS, by the addresses it has."""
        return RawNats(self.status.nats_port, token=self.status.nats_token)

    def redis(self, *arguments: str) -> Value:
        """Return Redis's answer to one command, by the addresses it has; None if it has none."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5.0)
            client.connect(self.status.redis_socket)
            client.sendall(encode(*arguments))
            splitter = RespSplitter()
            while data := client.recv(65536):
                for frame in splitter.feed(data):
                    return frame.value
        return None


class Broker(NamedTuple):
    """A process that serves a state directory: a broker, or a shim of one."""

    name: str
    pid: int


def brokers_of(state: Path) -> list[Broker]:
    """Return the processes that have a state directory in their arguments, instances excepted."""
    return sorted(_brokers_of(state))


def _brokers_of(state: Path) -> Iterator[Broker]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may end while it is looked at
            arguments = (process / "cmdline").read_bytes()
            if os.fsencode(state) not in arguments or os.fsencode(PROGRAM) in arguments:
                continue
            if b"/shim.py\0" in arguments:
                yield Broker("shim", int(process.name))
            elif (name := (process / "exe").readlink().name) in ("nats-server", "valkey-server"):
                yield Broker(name, int(process.name))


def broker(state: Path, name: str) -> int:
    """Return the process id of the one broker of that name."""
    [pid] = [each.pid for each in brokers_of(state) if each.name == name]
    return pid


def parent_of(pid: int) -> int:
    """Return a process's parent."""
    # The second field, a name in parentheses, can have spaces.
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def one_of_each(state: Path) -> bool:
    """Whether exactly one NATS and one Redis serve a state directory."""
    return broker_names(state) == ["nats-server", "valkey-server"]


def broker_names(state: Path) -> list[str]:
    """Return the brokers that serve a state directory, sorted."""
    return [each.name for each in brokers_of(state) if each.name != "shim"]


def wait_until_gone(state: Path) -> None:
    """Wait until no broker of a state directory is left, and no shim."""
    eventually_blocking(
        lambda: not brokers_of(state), 5.0, lambda: f"brokers outlive it: {brokers_of(state)}"
    )


def kill_brokers(state: Path) -> None:
    """End what a failed test has left."""
    for each in brokers_of(state):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)


def nats_that_fails(path: Path, switch: Path) -> Path:
    """Make a nats-server that ends at once, with a word, as long as a file exists."""
    real = find_nats_server()
    fail = 'echo "it is broken"; exit 1'
    path.write_text(
        f'#!/bin/sh\n[ ! -e "{switch}" ] || {{ {fail}; }}\nexec "{real}" "$@"\n', encoding="utf-8"
    )
    path.chmod(0o755)
    return path


def store(instance: Instance, text: str) -> None:
    """Store a message in a stream, which is made if it is missing."""
    with instance.nats() as nats:
        nats.jetstream("STREAM.CREATE.KEPT", {"name": "KEPT", "subjects": ["kept"]})
        nats.publish_acked("kept", text.encode())


def stored(instance: Instance) -> list[str]:
    """Return the stored messages; none when NATS does not answer."""
    with contextlib.suppress(OSError), instance.nats() as nats:
        return [message.payload.decode() for message in nats.stream_messages("KEPT")]
    return []
