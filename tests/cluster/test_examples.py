"""The examples do what they say."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.chat import Chat, user
from tests.processes.child import die_with_parent
from tests.processes.disroom import DisroomProcess
from tests.processes.text_client import Clients

EXAMPLES = Path(__file__).parents[2] / "examples"
SENSOR = EXAMPLES / "sensor.py"


def command_for(server: DisroomProcess) -> list[str]:
    """How the sensor is started."""
    return [sys.executable, str(SENSOR), "127.0.0.1", str(server.port), "sensor", "lab"]


@pytest.fixture
def server(chat: Chat) -> DisroomProcess:
    """A server."""
    return chat.instance()


@pytest.fixture
def sensor(server: DisroomProcess) -> Iterator[subprocess.Popen[str]]:
    """The sensor, which speaks frames in the room ``lab``."""
    with subprocess.Popen(
        command_for(server), stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent()
    ) as process:
        yield process
        process.kill()


def test_a_sensor_says_what_it_reads(
    clients: Clients, server: DisroomProcess, sensor: subprocess.Popen[str]
) -> None:
    """Thirty lines of Python are a device, and people read it beside each other's lines."""
    person = user(clients, server, "ann", "lab")
    person.expect(r"#lab sensor: -?\d+\.\d °C$")
    person.send_line("send thank you")
    person.expect(r"#lab ann: thank you$")
    person.expect(r"#lab sensor: -?\d+\.\d °C$")
    assert len(SENSOR.read_text(encoding="utf-8").splitlines()) <= 30


def test_a_sensor_whose_name_is_taken_says_so(clients: Clients, server: DisroomProcess) -> None:
    """Whoever starts it twice learns why the second does not run."""
    user(clients, server, "sensor", "lab")
    done = subprocess.run(
        command_for(server), capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "sensor is taken" in done.stderr


@contextmanager
def running(command: list[str], **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run an example for as long as it is looked at."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, preexec_fn=die_with_parent(), **settings
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_bot_answers_and_goes_on_elsewhere(chat: Chat, clients: Clients) -> None:
    """Whoever asks it is answered once, whichever of its servers died meanwhile."""
    servers = {name: chat.instance(instance_name=name) for name in ("one", "two")}
    addresses = [f"127.0.0.1:{server.port}" for server in servers.values()]
    person = user(clients, servers["two"], "ann", "tea")
    command = [sys.executable, str(EXAMPLES / "bot.py"), "bot", "tea", *addresses]
    with running(command):
        person.expect("--> bot joined$")
        person.send_line("send bot: abc\nwhois bot")
        where = person.expect("-- bot is on ").split()[4]
        servers.pop(where).kill()
        (left,) = servers.values()
        person = user(clients, left, "ben", "tea")
        person.send_line("send bot: dlrow olleh")
        person.expect("#tea bot: ben: hello world$", timeout=20)
        person.send_line("history")
        lines = person.collect_until("^-- #tea .*nothing older$")
        assert sum(line.endswith("bot: ann: cba") for line in lines) == 1
        assert sum(line.endswith("bot: ben: hello world") for line in lines) == 1


def test_a_bridge_says_what_a_program_prints(clients: Clients, server: DisroomProcess) -> None:
    """Line by line, in order, and it leaves at the end of the input."""
    person = user(clients, server, "ann", "tea")
    bridge = [sys.executable, str(EXAMPLES / "bridge.py"), "log", "tea", f"127.0.0.1:{server.port}"]
    with running(bridge) as process:
        assert process.stdin is not None
        person.expect("--> log joined$")
        for number in range(3):
            process.stdin.write(b"line %d\n" % number)
            process.stdin.flush()
            person.expect(f"#tea log: line {number}$")
        process.stdin.close()
        person.expect("<-- log left$")
        assert process.wait(10) == 0


def test_a_greeter_is_a_service_of_twisted(
    clients: Clients, server: DisroomProcess, tmp_path: Path
) -> None:
    """It greets who comes, not itself, and leaves when it is stopped."""
    person = user(clients, server, "ann", "tea")
    settings = {"SERVERS": f"127.0.0.1:{server.port}", "NICK": "host", "ROOM": "tea"}
    twistd = Path(sysconfig.get_path("scripts")) / "twistd"
    command = [str(twistd), "-n", "--pidfile=", "-y", str(EXAMPLES / "greeter.py")]
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        running(
            command, env={**os.environ, **settings}, stdout=output, stderr=output, cwd=tmp_path
        ) as process,
    ):
        person.expect("--> host joined$")
        user(clients, server, "ben", "tea")
        person.expect("#tea host: welcome, ben$")
        process.terminate()
        person.expect("<-- host left$")
        assert process.wait(10) in (0, -signal.SIGTERM)  # twistd ends by the signal that it got
    assert "welcome, host" not in "\n".join(person.lines)
    assert "Unhandled" not in log.read_text()


@pytest.mark.parametrize(("number", "tool"), [(0, "asyncio"), (1, "twisted")])
def test_the_examples_of_the_page_run(
    clients: Clients, server: DisroomProcess, tmp_path: Path, number: int, tool: str
) -> None:
    """What docs/clients.md shows can be copied."""
    page = (EXAMPLES.parent / "docs" / "clients.md").read_text(encoding="utf-8")
    shown = re.findall(r"```python\n(.*?)```", page, re.S)[number]
    assert tool in shown
    program = tmp_path / "parrot.py"
    program.write_text(shown.replace("localhost:8080", f"127.0.0.1:{server.port}"))
    twistd = Path(sysconfig.get_path("scripts")) / "twistd"
    by_tool = {
        "asyncio": [sys.executable, str(program)],
        "twisted": [str(twistd), "-n", "--pidfile=", "--logfile=log", "-y", str(program)],
    }
    person = user(clients, server, "ann", "tea")
    with running(by_tool[tool], cwd=tmp_path):
        person.expect("--> parrot joined$")
        person.send_line("send hello")
        person.expect("#tea parrot: ann said: hello$")
