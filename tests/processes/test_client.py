"""The clients of cluster tests."""

import socket
from collections.abc import Iterator

import pytest

from tests.processes.client import LineClient, ProgramClient
from tests.processes.text_client import Clients


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket that stands for a server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        yield listening


def accept(listener: socket.socket) -> socket.socket:
    """Return the server's side of the next connection; its reads end after 5 s."""
    server, _ = listener.accept()
    server.settimeout(5)
    return server


@pytest.fixture
def talk(clients: Clients, listener: socket.socket) -> Iterator[tuple[LineClient, socket.socket]]:
    """A client and the server's side of its connection."""
    client = LineClient(clients, listener.getsockname())
    server = accept(listener)
    with server:
        yield client, server


def test_lines_are_expected_in_order(talk: tuple[LineClient, socket.socket]) -> None:
    """A test reads a conversation line by line, passing over what it does not care about."""
    client, server = talk
    server.sendall(b"one\r\ntwo\r\nthr")
    assert client.expect("^t") == "two"
    server.sendall("ee\r\nfour é\r\n".encode())
    assert client.collect_until("four") == ["three", "four é"]
    assert client.lines == ["one", "two", "three", "four é"]
    assert client.received[0].at <= client.received[3].at
    with pytest.raises(AssertionError, match=r"(?s)no line with 'two' after 0.05 s.*four"):
        client.expect("two", timeout=0.05)
    server.sendall(b"five\r\n")
    assert client.expect(".") == "five"


def test_a_prompt_needs_no_line_end(talk: tuple[LineClient, socket.socket]) -> None:
    """The question that stands at the end of an unfinished line can be waited for."""
    client, server = talk
    server.sendall(b"hello\r\nEnter your name: ")
    assert client.expect_prompt("name: $") == "Enter your name: "
    client.send_line("alice")
    assert server.recv(100) == b"alice\r\n"
    server.sendall(b"welcome\r\n")
    assert client.expect(".") == "welcome"


def test_every_way_to_leave_is_seen_by_the_server(
    clients: Clients, listener: socket.socket
) -> None:
    """A client can finish sending, close, or vanish with a reset."""
    polite, abrupt = (LineClient(clients, listener.getsockname()) for _ in range(2))
    server = accept(listener)
    other = accept(listener)
    with server, other:
        polite.half_close()
        assert server.recv(100) == b""
        server.sendall(b"bye\r\n")
        assert polite.expect("bye")
        abrupt.reset()
        with pytest.raises(ConnectionResetError):
            other.recv(100)
    polite.wait_ended()
    with pytest.raises(AssertionError, match="the connection has ended"):
        polite.expect("more")


def test_waiting_for_one_client_reads_the_others(clients: Clients, listener: socket.socket) -> None:
    """Nobody looks slow to the server because the test looks at somebody else."""
    first, second = (LineClient(clients, listener.getsockname()) for _ in range(2))
    one = accept(listener)
    two = accept(listener)
    with one, two:
        two.sendall(b"earlier\r\n")
        one.sendall(b"later\r\n")
        first.expect("later")
        clients.pump()
        assert second.lines == ["earlier"]


def test_a_long_send_reads_meanwhile(talk: tuple[LineClient, socket.socket]) -> None:
    """A server that will not read while it is not read from does not hang the test."""
    client, server = talk
    server.settimeout(0.05)
    with pytest.raises(TimeoutError):
        server.sendall(b"x" * 50_000_000)
    with pytest.raises(AssertionError, match="not taken"):
        client.send(b"x" * 50_000_000, timeout=0.2)
    assert client.raw.startswith(b"xxx")


@pytest.mark.needs("nc")
@pytest.mark.parametrize("terminal", [False, True])
def test_netcat_chats(clients: Clients, listener: socket.socket, terminal: bool) -> None:
    """The real nc sends what is typed, shows what comes, and ends with the connection."""
    host, port = listener.getsockname()
    user = ProgramClient(clients, ["nc", host, str(port)], terminal=terminal)
    server = accept(listener)
    with server:
        user.send_line("hello")
        assert server.recv(100) == b"hello\n"
        server.sendall(b"welcome\r\n")
        assert user.expect("wel") == "welcome"
        user.half_close()
    assert user.wait_exit() == 0


@pytest.mark.needs("telnet")
def test_telnet_chats_on_a_terminal(clients: Clients, listener: socket.socket) -> None:
    """The real telnet has a terminal of its own, and sends Ctrl-C on it as IAC IP."""
    host, port = listener.getsockname()
    user = ProgramClient(clients, ["telnet", host, str(port)])
    server = accept(listener)
    with server:
        user.expect("Escape character")
        server.sendall(b"welcome\r\n")
        user.expect("^welcome$")
        user.send_line("hello")
        assert server.recv(100) == b"hello\r\n"
        user.send(b"\x03")
        assert server.recv(100).startswith(b"\xff\xf4")
    user.wait_ended()
