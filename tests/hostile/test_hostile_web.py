"""One client of the web port, however slow or hostile, costs the others nothing."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

import pytest

from tests.hostile.company import ROOM, Company
from tests.hostile.test_hostile import LITTLE, POURING_SECONDS, guest
from tests.processes.client import LineClient
from tests.processes.text_client import Clients
from tests.processes.websocket_client import HANDSHAKE, WebSocketClient
from tests.wire.test_websocket import masked

TEXT, PING = 1, 9


def page(company: Company, nick: str, receive_buffer: int | None = None) -> WebSocketClient:
    """Connect a user of WebSocket who joins the company's room, and is gone with the connection."""
    client = WebSocketClient(company.server.listening[-1], receive_buffer)
    assert client.ask("nick", nick=nick)["type"] == "ok"
    assert client.ask("join", room=ROOM)["type"] == "ok"
    return client


def pour(client: WebSocketClient, data: bytes, seconds: float = POURING_SECONDS) -> int:
    """Send without reading a byte, as fast as it is taken; return how much was."""
    sent = 0
    client.socket.settimeout(0.1)
    until = time.monotonic() + seconds
    with contextlib.suppress(OSError):
        while time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                sent += client.socket.send(data)
    return sent


def test_one_that_never_reads_while_its_room_is_flooded(small: Company, clients: Clients) -> None:
    """It is closed once its queue is full, and the log says so."""
    with small.undisturbed(), page(small, "blank", LITTLE):
        before = small.server.output().count("it does not read")
        flooder = guest(small, clients, "flooder2")
        for number in range(100):
            flooder.send_line(f"send {'x' * 3000}\r\n" * 50 + f"send until {number}")
            flooder.expect(f": until {number}$")
            if small.server.output().count("it does not read") > before:
                break
        else:
            pytest.fail("it was not closed")
        flooder.close()


@pytest.mark.parametrize("limits", ["small", "default"])
@pytest.mark.parametrize(
    "data",
    [
        masked(PING, b"") * 1000,
        masked(PING, b"x" * 125) * 100,
        masked(0, b"", final=False) * 1000,
    ],
    ids=["empty pings", "full pings", "empty fragments"],
)
def test_what_asks_for_nothing_for_ever(
    data: bytes, limits: str, request: pytest.FixtureRequest
) -> None:
    """It is read slowly, and its answers wait in a queue with a bound."""
    company: Company = request.getfixturevalue(limits)
    with company.undisturbed() as seen, page(company, f"pinging{time.monotonic_ns()}") as client:
        client.socket.sendall(masked(TEXT, b"", final=False))  # which the fragments continue
        pour(client, data)
    assert seen.cpu < 1.5


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02{}", 1002),
        (masked(0, b"x"), 1002),
        (masked(TEXT, b"{", final=False) + masked(TEXT, b"}"), 1002),
        (masked(PING, b"x" * 126), 1002),
        (b"\xf1\x80\0\0\0\0", 1002),
        (masked(TEXT, b'{"op":"ping","id":1,"x":"\xff"}'), 1007),
        (masked(TEXT, b"[" * 60_000), 1007),
        (masked(2, b"\x81\xa2op\xa4ping"), 1003),
        (masked(TEXT, b"x" * 70_000), 1009),
        (masked(TEXT, b"x", final=False) + masked(0, b"x" * 100, final=False) * 700, 1009),
        (b"\x81\xff" + (1 << 62).to_bytes(8, "big") + b"\0\0\0\0" + b"x" * 70_000, 1009),
    ],
    ids=[
        "not masked",
        "continuing nothing",
        "one in another",
        "a long ping",
        "reserved bits",
        "not UTF-8",
        "deep JSON",
        "another kind",
        "too long",
        "too long in fragments",
        "exabytes announced",
    ],
)
def test_what_breaks_the_protocol(default: Company, data: bytes, code: int) -> None:
    """The connection is closed with the code for it."""
    nick = f"breaker{code}-{len(data)}"
    with default.undisturbed(), page(default, nick) as client:
        client.socket.sendall(data)
        client.read_to_end()
        assert client.close_code == code
        default.sees(f"<-- {nick} left")


def test_a_handshake_of_half_and_silence(small: Company) -> None:
    """A hundred of them keep nobody out, and a body is not waited for."""
    host = small.server.listening[-1]
    assert isinstance(host, tuple)
    with small.undisturbed(), contextlib.ExitStack() as opened:
        for number in range(100):
            half = socket.create_connection(host)
            opened.callback(half.close)
            half.sendall(HANDSHAKE[: number + 1])
        with page(small, "whole") as client:
            assert client.ask("ping")["type"] == "ok"
            client.ask("exit")
        with socket.create_connection(host) as poster:
            poster.sendall(b"POST / HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n")
            assert poster.recv(100).startswith(b"HTTP/1.1 413 ")


def test_requests_that_are_poured_in_are_slowed_down(default: Company) -> None:
    """They are carried out at the pace of anybody's, and are read no faster."""
    with default.undisturbed() as seen, page(default, "hasty") as client:
        taken = pour(client, masked(TEXT, b'{"op":"rooms","id":1}') * 100)
    assert taken < 8 << 20
    assert seen.cpu < 1.5


def test_resets_at_every_stage(small: Company) -> None:
    """Wherever a connection breaks off, nothing is left of it."""
    stages: list[Callable[[WebSocketClient], object]] = [
        lambda client: client.send("nick", nick="stage"),
        lambda client: client.socket.sendall(masked(TEXT, b'{"op":"hel', final=False)),
        lambda client: client.socket.sendall(b"\x81"),
        lambda client: client.socket.sendall(masked(8, b"\x03\xe8")),
    ]
    with small.undisturbed():
        for stage in stages * 5:
            client = WebSocketClient(small.server.listening[-1])
            stage(client)
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.socket.close()


def test_lines_at_the_wrong_door(small: Company, clients: Clients) -> None:
    """Whoever speaks lines to the web port is told that it is HTTP."""
    confused = LineClient(clients, small.server.listening[-1])
    confused.send_line("join tea")
    confused.send_line("")
    confused.expect("400 Bad Request")
