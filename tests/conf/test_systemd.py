"""conf/systemd: the units, checked by systemd's own tool and run as systemd would."""

import contextlib
import shlex
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest

from disroom.service import STOP_SECONDS
from tests.processes.child import Child
from tests.processes.ports import ReservedPort

CONF = Path(__file__).parents[2] / "conf"
UNITS = ("disroom.service", "disroom@.service")
SCRIPTS = sysconfig.get_path("scripts")
PROMISED_SECONDS = 5.0

Directives = dict[str, list[str]]


def directives(unit: str) -> Directives:
    """Return a unit's settings; one given several times has several values."""
    found: Directives = {}
    for line in (CONF / "systemd" / unit).read_text(encoding="utf-8").splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


class Unit(Child):
    """A unit's main process, in a root directory of its own.

    Args:
        unit: Its file.
        instance: What stands for %i.
        root: Stands for /, in all paths but the program's, which is that of the tests' environment.
    """

    def __init__(self, unit: str, instance: str, root: Path) -> None:
        super().__init__(unit.replace("@", f"@{instance}"), root)
        self.directives = directives(unit)
        self._specifiers = {
            "%i": instance,
            "%H": socket.gethostname(),
            "%S": str(root / "var" / "lib"),
            "%t": str(root / "run"),
        }
        self._root = root
        for parent, setting in (("var/lib", "StateDirectory"), ("run", "RuntimeDirectory")):
            for name in self.directives.get(setting, []):
                (root / parent / self._expanded(name)).mkdir(parents=True, exist_ok=True)
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify_socket = root / f"notify-{self.name}"
        self._notified.bind(str(self._notify_socket))

    def start(self) -> Self:
        """Start it and wait until it has notified that it is ready."""
        [command] = self.directives["ExecStart"]
        self._launch(shlex.split(self._expanded(command)), self._environment())
        self._wait_ready(lambda: self.notification(0.0) == "READY=1")
        return self

    def close(self) -> None:
        """Stop it."""
        super().close()
        self._notified.close()

    def notification(self, timeout: float) -> str:
        """Return the next one, or nothing if none comes in time."""
        self._notified.settimeout(timeout)
        with contextlib.suppress(TimeoutError, BlockingIOError):
            return self._notified.recv(4096).decode()
        return ""

    def path(self, path: str) -> Path:
        """Return where a path of the unit is."""
        return Path(self._expanded(path))

    def _expanded(self, value: str) -> str:
        for specifier, replacement in self._specifiers.items():
            value = value.replace(specifier, replacement)
        assert "%" not in value, f"unknown specifier in {value}"
        value = value.replace("/opt/disroom/bin", SCRIPTS)
        return value.replace("/etc/disroom", str(self._root / "etc" / "disroom"))

    def _environment(self) -> dict[str, str]:
        environment = {"NOTIFY_SOCKET": str(self._notify_socket)}
        for assignment in self.directives["Environment"]:
            name, _, value = self._expanded(assignment).partition("=")
            environment[name] = value
        for file in self.directives["EnvironmentFile"]:
            with contextlib.suppress(FileNotFoundError):  # each of them is marked optional
                text = self.path(file.removeprefix("-")).read_text(encoding="utf-8")
                for line in text.splitlines():
                    if line and not line.startswith("#"):
                        name, _, value = line.partition("=")
                        environment[name] = value
        return environment


@pytest.fixture
def root() -> Iterator[Path]:
    """A root directory with the shipped configuration in it."""
    # Not the test's own directory: the path of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="unit-") as directory:
        etc = Path(directory) / "etc" / "disroom"
        etc.mkdir(parents=True)
        shutil.copy(CONF / "disroom.toml", etc)
        shutil.copy(CONF / "systemd" / "disroom.env", etc)
        with (etc / "disroom.env").open("a", encoding="utf-8") as env:
            # On all addresses a port would also clash with a connection from another address.
            env.write("DISROOM_INTERFACE=127.0.0.1\n")
        yield Path(directory)


@pytest.fixture
def new_unit(root: Path) -> Iterator[Callable[[str, str], Unit]]:
    """Start a unit; arguments: its file, its instance."""
    with contextlib.ExitStack() as started:

        def new(unit: str, instance: str = "") -> Unit:
            return started.enter_context(Unit(unit, instance, root))

        yield new


def stop(unit: Unit) -> None:
    """Stop a unit as systemd does, and check that it ends as it should."""
    since = time.monotonic()
    unit.terminate()
    assert unit.notification(PROMISED_SECONDS) == "STOPPING=1", unit.log_tail()
    # Having stopped in order, twistd ends itself by the signal it got; to systemd both are clean.
    assert unit.wait_exit(PROMISED_SECONDS).code in (0, -signal.SIGTERM), unit.log_tail()
    assert "Server Shut Down" in unit.output()
    assert time.monotonic() - since < PROMISED_SECONDS


def greeting(port: int) -> bytes:
    """Return the beginning of what a chat port sends."""
    with socket.create_connection(("127.0.0.1", port), timeout=5.0) as connection:
        return connection.recv(100)


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("unit", UNITS)
def test_systemd_takes_the_units(unit: str, tmp_path: Path) -> None:
    """Each setting is known to systemd, which calls the service well confined."""
    text = (CONF / "systemd" / unit).read_text(encoding="utf-8")
    copy = tmp_path / unit.replace("@", "@8081")
    copy.write_text(text.replace("/opt/disroom/bin", SCRIPTS), encoding="utf-8")
    for check in (["verify"], ["security", "--offline=true", "--threshold=20", "--no-pager"]):
        result = subprocess.run(
            ["systemd-analyze", *check, str(copy)], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert result.stderr == ""


def test_the_unit_starts_and_stops_as_systemd_expects(
    new_unit: Callable[[str, str], Unit], root: Path
) -> None:
    """`systemctl start` returns when people can connect, and `systemctl stop` within 5 s."""
    port = ReservedPort()
    with (root / "etc" / "disroom" / "disroom.env").open("a", encoding="utf-8") as env:
        env.write(f"DISROOM_PORT={port.number}\n")
    unit = new_unit("disroom.service", "")
    assert greeting(port.number).startswith(b"Welcome")
    assert list((root / "var" / "lib" / "disroom").iterdir())
    stop(unit)
    port.release()


def test_the_template_makes_instances_that_are_one_chat(
    new_unit: Callable[[str, str], Unit],
) -> None:
    """Several instances run side by side, each on its port, and one stops without the other."""
    ports = [ReservedPort(), ReservedPort()]
    first, second = (new_unit("disroom@.service", str(port.number)) for port in ports)
    for unit, port in ((first, ports[0]), (second, ports[1])):
        assert greeting(port.number).startswith(b"Welcome")
        assert readiness(unit.path("%t/disroom/%i/admin.sock")).startswith(b"HTTP/1.1 200")
    stop(first)
    assert greeting(ports[1].number).startswith(b"Welcome")
    stop(second)
    for port in ports:
        port.release()


def readiness(admin: Path) -> bytes:
    """Return the answer to /readyz."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5.0)
        connection.connect(str(admin))
        connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return connection.recv(4096)


def test_both_units_are_confined_alike() -> None:
    """What one unit forbids the other forbids as well."""
    single, template = (directives(unit) for unit in UNITS)
    naming = {"Description", "Environment", "EnvironmentFile", "RuntimeDirectory"}
    for settings in (single, template):
        for name in naming:
            settings.pop(name, None)
    assert single == template


def test_systemd_gives_the_service_the_time_it_needs() -> None:
    """The service is never killed in the middle of its orderly stop."""
    for unit in UNITS:
        [patience] = directives(unit)["TimeoutStopSec"]
        assert STOP_SECONDS < float(patience) < STOP_SECONDS + 5
