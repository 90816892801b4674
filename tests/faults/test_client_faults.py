"""Clients of the library talk while every instance dies, again and again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from tests.cluster.chat import Chat
from tests.eventually import eventually_blocking
from tests.faults.proof import gone
from tests.faults.report import Fault
from tests.processes.child import die_with_parent
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.ports import ReservedPort
from tests.processes.rawnats import RawNats

RATE = 50
"""Messages a second, of all clients."""

FLOWED = 50
"""Messages that are stored between two faults."""


@dataclass
class Swarm:
    """The program of many clients, and what it tells in the end."""

    process: subprocess.Popen[str]

    @property
    def _out(self) -> Any:
        assert self.process.stdout is not None
        return self.process.stdout

    def wait_talking(self) -> None:
        """Return when all have come in."""
        assert self._out.readline() == "talking\n"

    def finish(self) -> list[dict[str, Any]]:
        """Have everybody say its last word, and return what each has seen."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        told = self._out.readline()
        assert self.process.wait(timeout=10) == 0
        seen: list[dict[str, Any]] = json.loads(told)
        return seen


@pytest.fixture
def servers(chat: Chat) -> Iterator[list[DisroomProcess]]:
    """Two instances, each on a port of its own that it has again after it died."""
    with ExitStack() as stack:
        ports = [ReservedPort(), ReservedPort()]
        for port in ports:
            stack.callback(port.release)
        yield [chat.instance(port=port.number) for port in ports]


def stored(raw: RawNats, chat: Chat) -> dict[str, list[tuple[int, str]]]:
    """Seq and text of every message in the stream, by room."""
    prefix = f"{chat.name}.room."
    rooms: dict[str, list[tuple[int, str]]] = {}
    for message in raw.stream_messages(chat.name, f"{prefix}>"):
        text = json.loads(message.payload)["text"]
        rooms.setdefault(message.subject.removeprefix(prefix), []).append((message.seq, text))
    return rooms


@pytest.mark.parametrize(
    ("clients", "kills"), [(20, 2), pytest.param(200, 20, marks=pytest.mark.faults)]
)
def test_nobody_notices_that_instances_die(
    chat: Chat,
    nats: NatsServer,
    servers: list[DisroomProcess],
    fault: Fault,
    clients: int,
    kills: int,
) -> None:
    """Every client ends with exactly what the stream has of its room, whoever was killed."""
    rooms = clients // 10
    asked = {
        "servers": [f"127.0.0.1:{server.port}" for server in servers],
        "clients": clients,
        "rooms": rooms,
        "rate": RATE,
    }
    command = [sys.executable, "-m", "tests.client.swarm", json.dumps(asked)]
    with (
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent(),
        ) as process,
        nats.connect() as raw,
    ):
        swarm = Swarm(process)
        swarm.wait_talking()

        def flows() -> None:
            before = raw.stream_info(chat.name)["state"]["last_seq"]
            eventually_blocking(
                lambda: raw.stream_info(chat.name)["state"]["last_seq"] >= before + FLOWED,
                timeout=30,
            )

        for number in range(kills):
            flows()
            server = servers[number % 2]
            server.kill()
            fault.proved(gone(server))
            flows()
            server.start()
        flows()
        seen = swarm.finish()
        truth = stored(raw, chat)
    delivered = 0
    for each in seen:
        since = [(seq, text) for seq, text in truth[each["room"]] if seq > each["start"]]
        assert [tuple(given) for given in each["given"]] == since, each["nick"]
        assert not each["gaps"]
        assert not each["failed"]
        assert {tuple(ack) for ack in each["acknowledged"]} <= set(truth[each["room"]])
        delivered += len(since)
    texts = [text for messages in truth.values() for _, text in messages]
    assert len(texts) == len(set(texts)), "something was stored twice"
    acknowledged = sum(len(each["acknowledged"]) for each in seen)
    assert acknowledged == len(texts)
    lost = sum(each["disconnected"] for each in seen)
    assert lost >= kills
    assert all(a < b for room in truth.values() for (a, _), (b, _) in pairwise(room))
    fault.reported(
        f"instances killed {kills} times under {clients} clients of the library",
        f"sent {len(texts)}, acknowledged {acknowledged}, delivered {delivered}, lost 0, "
        f"duplicated 0, out of order 0",
        f"{lost} connections lost, {sum(e['begun_anew'] for e in seen)} sessions begun anew",
    )
