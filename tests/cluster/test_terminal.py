"""disroom-chat on a terminal and in a pipe, against real instances."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cluster.chat import Chat, ids, user
from tests.processes.disroom import DisroomProcess
from tests.processes.terminal import PROGRAM, Terminal
from tests.processes.text_client import Clients

COLOURS = re.compile(r"\x1b\[(?:\d+;)*(?:3[1-6]|9\d)m")


def at(*servers: DisroomProcess) -> list[str]:
    """Where they are."""
    return [f"127.0.0.1:{server.port}" for server in servers]


def test_a_terminal_rides_through_the_death_of_its_instance(
    chat: Chat, clients: Clients, tmp_path: Path
) -> None:
    """Not a line is missing or twice, what is typed meanwhile is said, and one remark tells it."""
    servers = {name: chat.instance(instance_name=name) for name in ("one", "two")}
    ann = Terminal(clients, tmp_path, *at(*servers.values()), "-n", "ann", "-r", "tea")
    ann.see("as ann")
    ann.see("#tea: ann")
    (name,) = re.findall(r"connected to (\w+) as ann", ann.text)
    dying = servers.pop(name)
    (other,) = servers.values()
    bob = user(clients, other, "bob", "tea")
    ann.see("--> bob joined")
    for number in range(30):
        bob.send_line(f"send <{number}>")
    ann.see("bob: <5>")
    ann.type("half ")
    dying.kill()
    ann.type("and half\r")
    for number in range(30, 60):
        bob.send_line(f"send <{number}>")
    ann.see("bob: <59>")
    ann.see("ann: half and half")
    assert re.findall(r"bob: <(\d+)>", ann.text) == [str(number) for number in range(60)]
    assert ids(bob.lines) == [f"<{number}>" for number in range(60)]
    assert ann.text.count("connection lost (") == 1
    assert ann.text.count("as you were") == 1
    assert not any("<-- ann" in line or "--> ann" in line for line in bob.lines)
    assert sum(line.endswith("#tea ann: half and half") for line in bob.lines) == 1
    assert ann.leave() == 0
    bob.expect("<-- ann left$")


def test_typing_is_helped(chat: Chat, clients: Clients, tmp_path: Path) -> None:
    """Names are completed, lines come back, and Ctrl-C drops one."""
    server = chat.instance()
    bob = user(clients, server, "bob", "tea")
    ann = Terminal(clients, tmp_path, *at(server), "-n", "ann", "-r", "tea", "-r", "work")
    ann.see("#work: ann")
    ann.see("#tea>")
    ann.complete("bo", "b:")
    ann.type("how are you?\r")
    bob.expect("#tea ann: bob: how are you[?]$")
    ann.type("not this\x03and this\r")
    bob.expect("#tea ann: and this$")
    ann.type("\x1b[A\x1b[A\r")
    bob.expect("#tea ann: bob: how are you[?]$")
    ann.type("/topic Oolong\r")
    bob.expect("topic by ann: Oolong$")
    ann.complete("/msg bo", "b")
    ann.type("psst\r")
    bob.expect(r"\(private\) ann: psst$")
    ann.see("(private) -> bob: psst")
    ann.type("/wor\r")
    ann.see("there is no /wor; all commands: /help")
    ann.complete("/hel", "p")
    ann.type("\r")
    ann.see("/history [N] [before SEQ]")
    ann.complete("/join #wo", "rk")
    ann.type("\r")
    ann.see("#work>")
    bob.send_line("send and this is read, too")
    ann.see("#tea bob: and this is read, too")
    assert ann.leave() == 0


def test_a_history_that_cannot_be_written_keeps_nobody_from_talking(
    chat: Chat, clients: Clients, tmp_path: Path
) -> None:
    """As on a disk that is full: what was typed before is there until the end."""
    (tmp_path / "disroom-chat").mkdir()
    (tmp_path / "disroom-chat" / "history").symlink_to(tmp_path / "missing" / "history")
    server = chat.instance()
    bob = user(clients, server, "bob", "tea")
    ann = Terminal(clients, tmp_path, *at(server), "-n", "ann", "-r", "tea")
    ann.see("#tea>")
    ann.type("hello\r")
    bob.expect("#tea ann: hello$")
    ann.type("\x1b[A again\r")
    bob.expect("#tea ann: hello again$")
    assert ann.leave() == 0
    assert "Errno" not in ann.text


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_closing_the_window_is_leaving(
    chat: Chat, clients: Clients, tmp_path: Path, number: signal.Signals
) -> None:
    """Others see it at once, and the nick is free."""
    server = chat.instance()
    bob = user(clients, server, "bob", "tea")
    ann = Terminal(clients, tmp_path, *at(server), "-n", "ann", "-r", "tea")
    ann.see("#tea>")
    os.kill(ann.program.pid, number)
    bob.expect("<-- ann left$")
    assert ann.program.wait_exit() == 130
    assert "Traceback" not in ann.text


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_can_be_turned_off(
    chat: Chat, clients: Clients, tmp_path: Path, env: dict[str, str], coloured: bool
) -> None:
    """As https://no-color.org asks."""
    server = chat.instance()
    ann = Terminal(clients, tmp_path, *at(server), "-n", "ann", "-r", "tea", **env)
    ann.see("#tea>")
    ann.type("hello\r")
    ann.see("ann: hello")
    assert bool(COLOURS.search(ann.program.raw.decode())) is coloured
    assert ann.leave() == 0


def run(*arguments: str, given: bytes, timeout: float = 30.0) -> subprocess.CompletedProcess[bytes]:
    """Run it in a pipe."""
    return subprocess.run(
        [*PROGRAM, *arguments], input=given, capture_output=True, timeout=timeout, check=False
    )


def test_a_pipe_is_said_as_it_stands(chat: Chat, clients: Clients) -> None:
    """Every line of a build's output comes into the room, in order, whatever it begins with."""
    server = chat.instance()
    bob = user(clients, server, "bob", "tea")
    lines = [
        "make: entering",
        "",
        "/usr/bin/ld: warning",
        "\t-- done",
        "caf\u00e9 \xff without end",
    ]
    given = "\n".join(lines).encode().replace("\xff".encode(), b"\xff")
    done = run(*at(server), "-n", "make", "-r", "tea", given=given)
    assert (done.returncode, done.stderr) == (0, b"")
    bob.expect("<-- make left")
    said = [line.partition(" make: ")[2] for line in bob.lines if " make: " in line]
    assert said == [
        "make: entering",
        "/usr/bin/ld: warning",
        "-- done",
        "caf\u00e9 \ufffd without end",
    ]


def test_a_line_that_cannot_be_said_is_told_by_the_exit_status(
    chat: Chat, clients: Clients
) -> None:
    """A script can tell that something was not stored; the other lines are."""
    server = chat.instance()
    bob = user(clients, server, "bob", "tea")
    done = run(*at(server), "-n", "make", "-r", "tea", given=b"x" * 5000 + b"\nnext\n")
    assert done.returncode == 1
    assert b"text-too-long" in done.stdout
    bob.expect("make: next$")


def test_a_pipe_that_does_not_end_holds_nobody_up(
    chat: Chat, clients: Clients, tmp_path: Path
) -> None:
    """Who is told to stop says nothing more, and leaves."""
    server = chat.instance()
    bob = user(clients, server, "bob", "tea")
    errors = tmp_path / "errors"
    with (
        subprocess.Popen(["yes", "fine"], stdout=subprocess.PIPE) as endless,
        errors.open("wb") as stderr,
        subprocess.Popen(
            [*PROGRAM, *at(server), "-n", "make", "-r", "tea"],
            stdin=endless.stdout,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        ) as program,
    ):
        try:
            bob.expect("make: fine$")
            program.terminate()
            assert program.wait(30) == 130
        finally:
            program.kill()
            endless.kill()
    assert errors.read_text() == ""
    bob.expect("<-- make left$")


def test_a_nick_that_is_taken_is_told(chat: Chat, clients: Clients) -> None:
    """At once, even while the pipe is open."""
    server = chat.instance()
    user(clients, server, "bob", "tea")
    read, write = os.pipe()
    done = subprocess.run(
        [*PROGRAM, *at(server), "-n", "bob", "-r", "tea"],
        stdin=read,
        capture_output=True,
        timeout=30,
        check=False,
    )
    os.close(read)
    os.close(write)
    assert done.returncode == 1
    assert done.stderr == b"disroom-chat: bob is taken (nick-taken)\n"


def test_where_no_server_answers_it_says_what_it_tried() -> None:
    """Nobody has to guess which of the addresses is wrong."""
    done = run("127.0.0.1:1", "no-such-host.invalid:2", "-r", "tea", given=b"hello\n")
    assert done.returncode == 1
    assert done.stderr.startswith(b"disroom-chat: no server answers: ")
    assert b"127.0.0.1:1: Connection refused" in done.stderr
    assert b"no-such-host.invalid:2: " in done.stderr


def test_help_teaches() -> None:
    """Examples, and what the keys do."""
    shown = run("--help", given=b"").stdout.decode()
    for lesson in ("Tab completes names", "Ctrl-D leaves", "-n builder -r builds", "NO_COLOR"):
        assert lesson in shown
    refused = run("localhost", given=b"hello\n")
    assert refused.returncode == 2
    assert b"--room ROOM" in refused.stderr
