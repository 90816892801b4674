"""Every kind of place to listen on, and that people can chat there."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.chat import Chat, enter
from tests.eventually import eventually_blocking
from tests.processes.certificates import Certificates
from tests.processes.child import die_with_parent
from tests.processes.client import LineClient
from tests.processes.disroom import DisroomProcess
from tests.processes.frame_client import FrameClient
from tests.processes.text_client import Clients
from tests.processes.websocket_client import WebSocketClient

IAC_DO_BINARY = b"\xff\xfd\x00"


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory with a short path, as a unix socket's must be."""
    with tempfile.TemporaryDirectory(prefix="listen-") as directory:
        yield Path(directory)


@pytest.fixture(params=["alone", "workers"])
def chat(request: pytest.FixtureRequest, chat: Chat) -> Chat:
    """Instances that listen for themselves, and such with workers."""
    if request.param == "workers":
        chat.settings["DISROOM_WORKERS"] = "2"
    return chat


def tls_endpoint(certificates: Certificates) -> str:
    """The option for a TLS listener."""
    files = f"privateKey={certificates.key}:certKey={certificates.certificate}"
    return f"--listen=ssl:0:{files}:interface=127.0.0.1"


def address_of(server: DisroomProcess, number: int) -> tuple[str, int]:
    """Where the listener of that number in the log is."""
    address = server.listening[number]
    assert isinstance(address, tuple)
    return address


def say_hello(client: LineClient, nick: str) -> None:
    """Come in and say something."""
    enter(client, nick, "tea")
    client.send_line(f"send hello from {nick}")
    client.expect(f"#tea {nick}: hello from {nick}")


def test_several_at_once(
    chat: Chat, clients: Clients, certificates: Certificates, short: Path
) -> None:
    """All listeners of an instance are one chat, and each has a line in the log."""
    path = short / "chat.sock"
    both = certificates.key.read_bytes() + certificates.certificate.read_bytes()
    (short / "localhost.pem").write_bytes(both)
    server = chat.instance(
        options=[
            "--interface=127.0.0.1",
            "--telnet=0",
            tls_endpoint(certificates),
            f"--listen=tls:{short}:port=0:interface=127.0.0.1",
            f"--listen=unix:{path}",
            "--listen=haproxy:tcp:0:interface=127.0.0.1",
        ]
    )
    assert server.output().count("Listening on ") == 6
    plain, tls, by_name, unix, haproxy, telnet = server.listening
    assert unix == path and f"Listening on unix:{path}\n" in server.output()
    for address in (plain, tls, by_name, haproxy, telnet):
        assert isinstance(address, tuple) and address[0] == "127.0.0.1"
        assert f"Listening on tcp:127.0.0.1:{address[1]}\n" in server.output()

    people = {
        "plain": LineClient(clients, plain),
        "tls": LineClient(clients, tls, tls=certificates.client_context()),
        "by-name": LineClient(clients, by_name, tls=certificates.client_context()),
        "unix": LineClient(clients, unix),
        "telnet": LineClient(clients, telnet),
        "haproxy": LineClient(clients, haproxy),
    }
    people["haproxy"].send(b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 8080\r\n")
    for nick, client in people.items():
        say_hello(client, nick)
    for nick in ("plain", "tls", "by-name", "unix", "telnet"):
        people[nick].expect("#tea haproxy: hello from haproxy")
    assert people["telnet"].raw.startswith(IAC_DO_BINARY + b"Welcome")
    assert b"\xff" not in people["plain"].raw
    people["tls"].send_line("exit")
    people["tls"].expect("Goodbye!")
    people["tls"].wait_ended()


def test_frames_wherever_one_may_listen(
    chat: Chat, clients: Clients, certificates: Certificates, short: Path
) -> None:
    """Programs speak frames on every listener but telnet's, where a zero may be telnet's own."""
    path = short / "chat.sock"
    server = chat.instance(
        options=[
            "--interface=127.0.0.1",
            "--telnet=0",
            tls_endpoint(certificates),
            f"--listen=unix:{path}",
            "--listen=haproxy:tcp:0:interface=127.0.0.1",
        ]
    )
    plain, tls, unix, haproxy, telnet = server.listening
    programs = {
        "plain": FrameClient(clients, plain),
        "tls": FrameClient(clients, tls, tls=certificates.client_context()),
        "unix": FrameClient(clients, unix),
        "haproxy": FrameClient(clients, haproxy),
    }
    programs["haproxy"].send(b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 8080\r\n")
    for nick, program in programs.items():
        assert program.ask("nick", nick=nick)["type"] == "ok"
        assert program.ask("join", room="tea")["type"] == "ok"
    for nick, program in programs.items():
        assert program.ask("send", room="tea", text=f"hello from {nick}")["type"] == "ok"
    for program in programs.values():
        for nick in programs:
            program.expect_message("said", nick=nick, text=f"hello from {nick}")
    person = LineClient(clients, telnet)
    person.expect("Welcome")
    person.send(b"\0\0\0\x10\r\nping\r\n")
    person.expect("^Pong$")


@pytest.mark.parametrize("place", ["plain", "tls", "unix", "haproxy"])
def test_the_web_page_wherever_one_may_listen(
    chat: Chat, clients: Clients, certificates: Certificates, short: Path, place: str
) -> None:
    """WebSocket is spoken in clear and under TLS, and behind proxies of either kind."""
    endpoint = {
        "plain": "127.0.0.1:0",
        "tls": tls_endpoint(certificates).removeprefix("--listen="),
        "unix": f"unix:{short / 'web.sock'}",
        "haproxy": "haproxy:tcp:0:interface=127.0.0.1",
    }[place]
    server = chat.instance(options=["--interface=127.0.0.1", f"--web={endpoint}"])
    tls = certificates.client_context() if place == "tls" else None
    first = b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 80\r\n" if place == "haproxy" else b""
    with WebSocketClient(server.listening[-1], tls=tls, first=first) as page:
        assert page.ask("hello", nick="page")["nick"] == "page"
        assert page.ask("join", room="tea")["type"] == "ok"
        person = LineClient(clients, server.address)
        say_hello(person, "person")
        while page.read().get("text") != "hello from person":
            pass
        assert page.ask("send", room="tea", text="hello from page")["type"] == "ok"
        person.expect("#tea page: hello from page")
        page.send("exit")
        assert [message["type"] for message in page.read_to_end()][-2:] == ["ok", "goodbye"]
        assert page.close_code == 1000


def test_the_proxy_protocol(chat: Chat, clients: Clients) -> None:
    """Behind a load balancer both versions of its header are taken; who sends none is let go."""
    server = chat.instance(port=None, options=["--listen=haproxy:tcp:0:interface=127.0.0.1"])
    second = b"\r\n\r\n\0\r\nQUIT\n" + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 192, 0, 2, 1])
    headers = {
        "one": b"PROXY TCP4 192.0.2.7 192.0.2.1 50000 8080\r\n",
        "two": second + b"\xc3\x50\x1f\x90",
    }
    for nick, header in headers.items():
        client = LineClient(clients, server.address)
        client.send(header)
        say_hello(client, nick)
    bare = LineClient(clients, server.address)
    bare.send_line("join tea")
    bare.wait_ended()
    assert len(bare.lines) == 1  # the greeting, which waits for nobody
    assert "Traceback" not in server.output()


def test_tls_alone(chat: Chat, clients: Clients, certificates: Certificates) -> None:
    """A client that does not speak TLS, or breaks off, is let go without a word in the log."""
    server = chat.instance(
        port=None,
        options=[tls_endpoint(certificates)],
    )
    bare = LineClient(clients, server.address)
    bare.send_line("join tea")
    bare.wait_ended()
    breaking = LineClient(clients, server.address, tls=certificates.client_context())
    breaking.expect("Welcome")
    breaking.reset()
    say_hello(LineClient(clients, server.address, tls=certificates.client_context()), "ann")
    assert "Traceback" not in server.output()


def test_a_unix_socket_left_behind(chat: Chat, clients: Clients, short: Path) -> None:
    """A killed instance's socket does not keep the next from starting; a living one's does."""
    path = short / "chat.sock"
    killed = chat.instance(port=None, options=[f"--listen=unix:{path}"])
    arguments: dict[str, Any] = chat.arguments(options=[f"--listen=unix:{path}"])
    other = DisroomProcess(short, port=None, **arguments)
    with other.launch():
        code, output = other.wait_exit()
    assert code == 1
    assert f"cannot listen on unix:{path}: another process listens there" in output
    killed.kill()
    killed.start()
    say_hello(LineClient(clients, path), "ann")
    killed.stop()
    assert not path.exists()


def test_ipv6(chat: Chat) -> None:
    """An address with colons is an IPv6 one, for the port as for the log."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    server = chat.instance(options=["--interface=::1"])
    host, port = address_of(server, 0)
    assert host == "::1" and f"Listening on tcp:[::1]:{port}\n" in server.output()
    with socket.create_connection((host, port), timeout=10) as client:
        client.sendall(b"nick six\njoin tea\nsend hello\n")
        read = client.makefile("rb")
        assert any(line.endswith(b"#tea six: hello\r\n") for line in read)


def test_a_port_that_systemd_opened(chat: Chat, clients: Clients, tmp_path: Path) -> None:
    """With socket activation the port is systemd's, and the instance takes it over."""
    arguments: dict[str, Any] = chat.arguments(options=["--listen=systemd:domain=INET:index=0"])
    server = DisroomProcess(tmp_path, port=None, **arguments)
    as_systemd = 'export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=chat; exec "$@" 3<&0'
    with socket.create_server(("127.0.0.1", 0)) as listener, server.log.open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", as_systemd, "sh", *server.command],
            stdin=listener.fileno(),
            stdout=log,
            stderr=log,
            env={**os.environ, **arguments["env"]},
            preexec_fn=die_with_parent(),
        )
        try:
            # The connection is made before there is an instance, and kept by the kernel.
            say_hello(LineClient(clients, listener.getsockname()), "ann")
        finally:
            process.terminate()
            process.wait(10)


def test_a_full_server_turns_browsers_away_in_http(chat: Chat, clients: Clients) -> None:
    """In one answer, at once; and nobody stays counted."""
    chat.settings["DISROOM_LIMITS_CONNECTIONS"] = "2"
    server = chat.instance(options=["--web=127.0.0.1:0"])
    people: list[LineClient] = []
    while len(people) < 2:  # the one that looked whether it listens may be counted yet
        person = LineClient(clients, server.address)
        if "Welcome" in person.expect("Welcome to DisRoom|server-full"):
            people.append(person)
    for _ in range(100):
        LineClient(clients, server.listening[-1]).expect("503 Service Unavailable")
    people[0].send_line("exit")
    people[0].wait_ended()

    def comes_in() -> bool:
        try:
            with WebSocketClient(server.listening[-1]) as page:
                return bool(page.ask("ping")["type"] == "ok")
        except AssertionError:  # a parent hears a moment later that somebody is gone
            return False

    eventually_blocking(comes_in)
