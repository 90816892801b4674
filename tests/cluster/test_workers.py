"""`--workers`: several instances behind one port, looked after by their parent."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.brokers.instance import kill_brokers, one_of_each, wait_until_gone
from tests.cluster.chat import Chat, enter, user
from tests.eventually import eventually_blocking
from tests.processes.client import LineClient, ProgramClient
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.ports import ReservedPort
from tests.processes.text_client import Clients
from tests.processes.workers import address_of, shares, workers_of

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs Linux's /proc")

ON = re.compile(r"-- \S+ is on (\S+) since ")
CLEAN = (0, -signal.SIGTERM)


def runs(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2]
    except FileNotFoundError:
        return False
    return state.split()[0] not in "ZX"


def worker_of(client: LineClient, nick: str) -> str:
    """The instance that a user is on, as `whois` has it."""
    client.send_line(f"whois {nick}")
    found = ON.search(client.expect(f"^-- {nick} is on "))
    assert found is not None
    return found[1]


def start(chat: Chat, workers: int = 2, **arguments: Any) -> DisroomProcess:
    """An instance of so many workers, called two-1, two-2..."""
    options = [f"--workers={workers}", *arguments.pop("options", [])]
    server = chat.instance(instance_name="two", options=options, **arguments)
    assert len(workers_of(server)) == workers
    return server


def on_each(
    clients: Clients, server: DisroomProcess, *nicks: str
) -> dict[str, tuple[str, LineClient]]:
    """Users in the same room, one on each worker; by the worker's name."""
    found = {}
    for nick in nicks:
        client = user(clients, server, nick, "tea")
        found[worker_of(client, nick)] = nick, client
    assert sorted(found) == sorted(workers_of(server)), "each worker has one of them"
    return found


@pytest.mark.parametrize(("workers", "count"), [(2, 100), (2, 400), (3, 100)])
@pytest.mark.parametrize("burst", [True, False], ids=["burst", "one-by-one"])
def test_equal_shares(workers: int, count: int, burst: bool, chat: Chat) -> None:
    """However connections come, each worker gets as many as another, give or take one."""
    server = start(chat, workers)
    least, *_, most = shares(server, count, burst=burst)
    assert most - least <= 1
    assert least * workers >= count - workers


@pytest.mark.needs("telnet")
def test_two_workers_are_one_chat(chat: Chat, clients: Clients) -> None:
    """Users of telnet on both see each other, and the port is printed once."""
    server = start(chat)
    host, port = address_of(server)
    people = {nick: ProgramClient(clients, ["telnet", host, str(port)]) for nick in ("ann", "ben")}
    for nick, client in people.items():
        enter(client, nick, "tea")
    people["ann"].expect("--> ben joined")
    for nick, client in people.items():
        client.send_line(f"send from {nick}")
        for each in people.values():
            each.expect(f"#tea {nick}: from {nick}")
    observer = LineClient(clients, server.address)
    observer.send_line("nick obs")
    observer.expect("You are obs")
    assert {worker_of(observer, nick) for nick in people} == {"two-1", "two-2"}
    assert server.output().count("istening on") == 1


def test_a_killed_worker(chat: Chat, clients: Clients) -> None:
    """The other goes on and serves everybody; the killed one is back, its users gone once."""
    server = start(chat)
    people = on_each(clients, server, "ann", "ben")
    (nick, ann), (_, ben) = people["two-1"], people["two-2"]
    killed = workers_of(server)["two-1"]
    os.kill(killed, signal.SIGKILL)
    ann.wait_ended()
    ben.send_line("send still here")
    ben.expect(": still here")
    cat = user(clients, server, "cat", "tea")
    ben.expect(rf"<-- {nick} left \(server lost\)", timeout=15)
    eventually_blocking(lambda: workers_of(server)["two-1"] != killed)
    assert "two-1 was ended by SIGKILL; starting it again in 0.1 s" in server.output()
    again = user(clients, server, nick, "tea")
    assert worker_of(again, nick) == "two-1"
    again.send_line("send back")
    for each in (ben, cat):
        each.expect(f"{nick}: back")
    told = [line for line in ben.lines if re.search(rf"<-- {nick} left", line)]
    assert len(told) == 1


def test_while_one_is_away_the_rest_serve(chat: Chat) -> None:
    """One that stands still is dealt nothing, once that is noticed, and is not ready."""
    admin = ReservedPort()
    server = start(chat, admin=str(admin.number))
    frozen = workers_of(server)["two-2"]
    os.kill(frozen, signal.SIGSTOP)
    try:
        waited = partial(readiness, admin.number)
        eventually_blocking(lambda: "two-2: not reachable" in waited()[1], timeout=10)
        assert waited()[0] == 503
        for _ in range(4):
            with socket.create_connection(address_of(server), timeout=5) as client:
                assert client.recv(7) == b"Welcome"
    finally:
        os.kill(frozen, signal.SIGCONT)
    eventually_blocking(lambda: waited()[0] == 200)
    admin.release()


def readiness(port: int, path: str = "/readyz") -> tuple[int, str]:
    """The answer of the admin's page."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as page:
            return page.status, page.read().decode()
    except urllib.error.HTTPError as page:
        with page:
            return page.code, page.read().decode()


def test_health_of_all(chat: Chat, new_nats: Any) -> None:
    """The parent answers for all: ready is who has every worker ready."""
    nats: NatsServer = new_nats()
    chat.nats_url = nats.url
    admin = ReservedPort()
    start(chat, admin=str(admin.number))
    needs = [f"two-{number} {need}" for number in (1, 2) for need in ("nats", "redis")]
    answer = partial(readiness, admin.number)
    good = (200, "".join(f"{need}: ok\n" for need in needs))
    eventually_blocking(lambda: answer() == good)
    nats.kill()
    eventually_blocking(lambda: answer()[1].count("nats: not reachable") == 2)
    assert answer()[0] == 503 and readiness(admin.number, "/livez") == (200, "ok\n")
    nats.start()
    eventually_blocking(lambda: answer() == good)
    admin.release()


def test_sigterm(chat: Chat, clients: Clients) -> None:
    """Everybody on every worker gets a goodbye, and all processes are gone within 5 s."""
    server = start(chat)
    other = chat.instance()
    wat = user(clients, other, "wat", "tea")
    people = on_each(clients, server, "ann", "ben")
    pids = workers_of(server).values()
    since = time.monotonic()
    server.terminate()
    for _, client in people.values():
        client.expect(r"\(going-down\)$")
        client.expect("^Goodbye!$")
        client.wait_ended()
    code, output = server.wait_exit(5)
    assert time.monotonic() - since < 5
    assert code in CLEAN and output.endswith("Server Shut Down.\n") and "Traceback" not in output
    assert not any(runs(pid) for pid in pids)
    for nick in ("ann", "ben"):
        assert any(f"<-- {nick} left (going down)" in line for line in wat.lines) or wat.expect(
            rf"<-- {nick} left \(going down\)"
        )


def test_sigterm_with_one_that_stands_still(chat: Chat) -> None:
    """A worker that does not stop is killed, in time."""
    server = start(chat)
    pids = workers_of(server)
    os.kill(pids["two-1"], signal.SIGSTOP)
    server.terminate()
    code, _ = server.wait_exit(5.5)
    assert code in CLEAN
    assert not any(runs(pid) for pid in pids.values())


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """The state directory that instances have by default; afterwards nothing runs on it."""
    yield tmp_path / "state"
    kill_brokers(tmp_path / "state")


def test_a_killed_parent(tmp_path: Path, state: Path, clients: Clients) -> None:
    """It leaves nothing behind: no worker, and none of the brokers that all of them share."""
    options = ["--workers=2", "--instance-name=two"]
    with DisroomProcess(tmp_path, options=options) as server:
        assert one_of_each(state)
        people = on_each(clients, server, "ann", "ben")
        pids = workers_of(server)
        os.kill(pids["two-1"], signal.SIGKILL)
        eventually_blocking(lambda: workers_of(server)["two-1"] != pids["two-1"])
        _, client = people["two-2"]
        client.send_line("send the brokers are still there")
        client.expect(": the brokers are still there")
        server.kill()
        wait_until_gone(state)
        eventually_blocking(lambda: not any(map(runs, workers_of(server).values())))


def test_a_worker_that_cannot_start(chat: Chat, tmp_path: Path) -> None:
    """The parent says why, in one line, and exits with 1; nothing is left."""
    chat.instance()
    other = {"DISROOM_STREAM_MAX_BYTES": "65MiB"}
    arguments: dict[str, Any] = chat.arguments(env=other, options=["--workers=2"])
    with DisroomProcess(tmp_path, instance_name="two", **arguments).launch() as server:
        code, output = server.wait_exit()
    assert code == 1
    [line] = [line for line in output.splitlines() if "Cannot start" in line]
    assert re.search(r"Cannot start: workers: two-[12]: message log: the stream ", line)
    assert "Traceback" not in output and "istening on" not in output


def test_a_place_that_is_taken(chat: Chat, tmp_path: Path) -> None:
    """A listener that cannot be opened is told like that of a lone instance."""
    taken = tmp_path / "chat.sock"
    chat.instance(port=None, options=[f"--listen=unix:{taken}"])
    options = ["--workers=2", f"--listen=unix:{taken}"]
    arguments: dict[str, Any] = chat.arguments(options=options)
    with DisroomProcess(tmp_path, name="late", port=None, **arguments).launch() as server:
        code, output = server.wait_exit()
    assert code == 1
    assert f"cannot listen on unix:{taken}: another process listens there" in output


def test_an_address_has_its_share_of_the_port(chat: Chat, clients: Clients) -> None:
    """`connections_per_address` counts those of all workers, also behind a proxy."""
    server = start(
        chat,
        port=None,
        env={"DISROOM_LIMITS_CONNECTIONS_PER_ADDRESS": "3"},
        options=["--listen=haproxy:tcp:0:interface=127.0.0.1"],
    )

    def behind_proxy(source: str) -> LineClient:
        client = LineClient(clients, server.address)
        client.send(f"PROXY TCP4 {source} 192.0.2.9 4001 8080\r\nping\r\n".encode())
        return client

    def the_refused() -> list[LineClient]:
        clients.pump(0.05)
        return [client for client in near if client.ended]

    near = [behind_proxy("192.0.2.1") for _ in range(4)]
    # Of connections on different workers it is not always the last that is one too many.
    [refused] = eventually_blocking(the_refused)
    refused.expect(r"as it may, 3; close one \(too-many-connections\)$")
    near.remove(refused)
    for client in [*near, *(behind_proxy("192.0.2.2") for _ in range(3))]:
        client.expect("Pong")


def test_a_full_port(chat: Chat, clients: Clients) -> None:
    """`connections` counts those of all workers; one more is told so, until somebody goes."""
    server = start(chat, env={"DISROOM_LIMITS_CONNECTIONS": "3"})

    def greeting(client: LineClient) -> str:
        return client.expect(r"Welcome|\(server-full\)$")

    # The test's own look whether the service listens may not have been counted out yet.
    there: list[LineClient] = []
    while len(there) < 3:
        client = LineClient(clients, server.address)
        if "Welcome" in greeting(client):
            there.append(client)
    full = LineClient(clients, server.address)
    assert "server-full" in greeting(full)
    full.wait_ended()
    there[0].close()
    eventually_blocking(lambda: "Welcome" in greeting(LineClient(clients, server.address)))


def test_the_web(chat: Chat, clients: Clients) -> None:
    """The page and WebSocket are served by all workers, and who comes there is one of the chat."""
    server = start(chat, options=["--web=0", "--interface=127.0.0.1"])
    host, port = server.listening[-1] if isinstance(server.listening[-1], tuple) else ("", 0)
    for _ in range(4):
        with urllib.request.urlopen(f"http://{host}:{port}/", timeout=5) as page:
            assert page.status == 200
    upgrade = (
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    )
    for _ in range(4):
        client = LineClient(clients, (host, port))
        client.send(upgrade.encode())
        client.expect("^HTTP/1.1 101 ")
    assert "Traceback" not in server.output()
