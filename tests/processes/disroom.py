"""The service itself, run as its users run it: `twistd -n disroom`."""

import re
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.processes.child import Child
from tests.processes.dial import Address, dial

# Whole lines alone: a port may be half written.
LISTENING = re.compile(r"[Ll]istening on (?P<address>.+)\n")
UNIX = re.compile(r"unix:(?P<path>/[^\s\"]+)")
TCP = re.compile(
    r"(?:\[(?P<v6>[0-9a-f:]+)\]:|(?P<v4>\d+\.\d+\.\d+\.\d+):|:|\s|^)(?P<port>\d+)(?![\d.])"
)
LISTENERS = ("--port=", "--telnet=", "--listen=", "--web=")
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1", None: "127.0.0.1"}


class DisroomProcess(Child):
    """One instance in the foreground.

    Without `redis` and `nats` it brings its own brokers, with their data in `state_dir`.

    Args:
        directory: For its log and pid file.
        name: Of its log; several instances may share a directory.
        port: `--port`; 0 is a free one, and another after each start.
        redis: `--redis`, a URL.
        nats: `--nats`, once for each URL.
        state_dir: `--state-dir`; by default `state` in the directory.
        instance_name: `--instance-name`.
        admin: `--admin`, an address; None: not given.
        config: `--config`, a TOML file.
        flood: `--flood`; tests mostly send faster than a person.
        options: Further options, as they are.
        env: Added to the environment.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str = "disroom",
        port: int | None = 0,
        redis: str | None = None,
        nats: Sequence[str] = (),
        state_dir: Path | None = None,
        instance_name: str | None = None,
        admin: str | None = None,
        config: Path | None = None,
        flood: str | None = "off",
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, directory)
        self._env = dict(env or {})
        given = {
            "--port": port,
            "--redis": redis,
            "--state-dir": state_dir or directory / "state",
            "--instance-name": instance_name,
            "--admin": admin,
            "--config": config,
            "--flood": flood,
        }
        self.options = [f"{option}={value}" for option, value in given.items() if value is not None]
        self.options += [f"--nats={url}" for url in nats]
        self.options += options

    @property
    def command(self) -> list[str]:
        """The command line."""
        twistd = Path(sysconfig.get_path("scripts")) / "twistd"
        pid_file = self.directory / f"{self.name}.pid"
        return [str(twistd), "-n", f"--pidfile={pid_file}", "disroom", *self.options]

    def start(self) -> Self:
        """Start it and wait until it listens and takes a connection."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> Self:
        """Start it without waiting, for a test in which it fails."""
        # A pid file left behind by kill() would be read; its number may be another's by now.
        (self.directory / f"{self.name}.pid").unlink(missing_ok=True)
        self._launch(self.command, self._env)
        return self

    def wait_ready(self, timeout: float = 15.0) -> None:
        """Wait until all listeners of its options are there, and the first takes a connection."""
        self._wait_ready(self._takes_connection, timeout)

    @property
    def listening(self) -> list[Address]:
        """Where it listens, in the order of its log: host and port, or a unix socket's path."""
        return [parse_address(found["address"]) for found in LISTENING.finditer(self.output())]

    @property
    def address(self) -> Address:
        """Where its first listener is: the chat port."""
        return self.listening[0]

    @property
    def port(self) -> int:
        """The chat port."""
        assert isinstance(self.address, tuple), f"{self.address} has no port"
        return self.address[1]

    def _takes_connection(self) -> bool:
        asked_for = sum(option.startswith(LISTENERS) for option in self.options)
        if len(self.listening) < max(1, asked_for):
            return False
        dial(self.address, 1.0).close()
        return True


def parse_address(text: str) -> Address:
    """Return an address as logged: `127.0.0.1:8080`, `tcp:8080`, `[::]:8080`, `unix:/path`...

    Where it is every address of the machine, the loopback one stands for them.
    """
    if found := UNIX.search(text):
        return Path(found["path"])
    found = TCP.search(text)
    assert found is not None, f"no address in {text!r}"
    host = found["v6"] or found["v4"]
    return EVERYWHERE.get(host, host), int(found["port"])
