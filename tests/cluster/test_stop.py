"""Stopping, whatever state the instance and its brokers are in; and health, while it runs."""

from __future__ import annotations

import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.chat import Chat, user
from tests.eventually import eventually_blocking
from tests.processes.child import Child
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.ports import ReservedPort
from tests.processes.redis import RedisServer
from tests.processes.text_client import Clients

CLEAN = (0, -signal.SIGTERM)
"""Having stopped in order, twistd ends by the signal that it got."""

SECONDS = 5.0
MESSAGES = 200


def ends(server: DisroomProcess) -> str:
    """Wait until a server that was told to stop has ended, in order; its output."""
    code, output = server.wait_exit(SECONDS)
    assert code in CLEAN, output
    assert output.endswith("Server Shut Down.\n")
    assert "Traceback" not in output
    return output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_the_exit_status_is_that_of_the_signal(
    chat: Chat, clients: Clients, number: signal.Signals, workers: int
) -> None:
    """Who presses Ctrl-C sees no traceback, and whoever runs it can tell by what it was ended."""
    server = chat.instance(env={"DISROOM_WORKERS": str(workers)})
    ann = user(clients, server, "ann", "tea")
    server.send_signal(number)
    ann.expect("Goodbye!")
    code, output = server.wait_exit(SECONDS)
    assert code == -number
    assert output.endswith("Server Shut Down.\n")
    assert "Traceback" not in output


def test_sigterm_under_talk(chat: Chat, clients: Clients) -> None:
    """Clients get the reason and a goodbye, the others see them leave at once, no line is lost."""
    stopping, other = chat.instance(), chat.instance()
    ann, ben = user(clients, stopping, "ann", "tea"), user(clients, stopping, "ben", "rum")
    wat = user(clients, other, "wat", "tea")
    ann.expect("--> wat joined")
    for number in range(MESSAGES):
        ann.send_line(f"send <{number}>")
        wat.send_line(f"send <w{number}>")
    ann.expect("ann: <20>")
    stopping.terminate()
    stopping.terminate()
    for client in (ann, ben):
        client.expect(r"^Error: this server is going down; connect again \(going-down\)$")
        client.expect("^Goodbye!$")
        client.wait_ended()
    for _ in range(2):  # in either order
        wat.expect(rf"<-- ann left \(going down\)$|wat: <w{MESSAGES - 1}>$", timeout=2)
    ends(stopping)
    seen = {line.partition("ann: ")[2] for line in ann.lines if "ann: <" in line}
    assert seen <= {line.partition("ann: ")[2] for line in wat.lines}
    wat.send_line("nick ben")
    wat.expect("You are ben")


@pytest.mark.parametrize("state", ["dead", "frozen"])
@pytest.mark.parametrize("away", [["nats"], ["redis"], ["nats", "redis"]], ids="+".join)
def test_sigterm_without_brokers(
    state: str,
    away: list[str],
    chat: Chat,
    new_nats: Callable[..., NatsServer],
    new_redis: Callable[..., RedisServer],
    clients: Clients,
) -> None:
    """A broker that is dead or frozen delays the end by a second or so, and nobody's goodbye."""
    nats, redis = new_nats(), new_redis()
    chat.nats_url, chat.redis_url = nats.url, redis.url
    brokers: dict[str, Child] = {"nats": nats, "redis": redis}
    server = chat.instance()
    ann = user(clients, server, "ann", "tea")
    for name in away:
        if state == "dead":
            brokers[name].kill()
        else:
            brokers[name].pause()
    ann.send_line("send too late")
    server.terminate()
    ann.expect(r"\(going-down\)$", timeout=1)
    ann.expect("Goodbye!")
    ends(server)


@pytest.mark.parametrize("silent", ["nats", "redis"])
def test_sigterm_while_starting(silent: str, chat: Chat, tmp_path: Path) -> None:
    """A start that waits for a broker can be given up at any time."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(15)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        if silent == "nats":
            chat.nats_url = f"nats://{address}"
        else:
            chat.redis_url = f"redis://{address}"
        arguments: dict[str, Any] = chat.arguments()
        server = DisroomProcess(tmp_path, **arguments).launch()
        for _ in range(2):  # the first only looks whether there is anybody
            listener.accept()
        server.terminate()
        output = ends(server)
    assert "Cannot start" not in output


def test_health_through_outages(
    chat: Chat, new_nats: Callable[..., NatsServer], new_redis: Callable[..., RedisServer]
) -> None:
    """`/readyz` says 503 while a broker is away, and which; `/livez` 200 all the time."""
    nats, redis = new_nats(), new_redis()
    chat.nats_url, chat.redis_url = nats.url, redis.url
    brokers: dict[str, Child] = {"nats": nats, "redis": redis}
    port = ReservedPort()
    server = chat.instance(admin=str(port.number))

    def says(path: str, status: int, text: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port.number}{path}", timeout=2) as page:
                return (page.status, page.read().decode()) == (status, text)
        except urllib.error.HTTPError as page:
            with page:
                return (page.code, page.read().decode()) == (status, text)
        except OSError:
            return False

    ready = "nats: ok\nredis: ok\n"
    eventually_blocking(lambda: says("/readyz", 200, ready))
    for name, broker in brokers.items():
        gone = ready.replace(f"{name}: ok", f"{name}: not reachable")
        broker.kill()
        eventually_blocking(partial(says, "/readyz", 503, gone), timeout=5)
        assert says("/livez", 200, "ok\n")
        broker.start()
        eventually_blocking(partial(says, "/readyz", 200, ready))
    server.stop()
    assert not says("/livez", 200, "ok\n")
    port.release()
