"""The examples do what they say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.chat import Chat, user
from tests.processes.child import die_with_parent
from tests.processes.disroom import DisroomProcess
from tests.processes.text_client import Clients

SENSOR = Path(__file__).parents[2] / "examples" / "sensor.py"


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
