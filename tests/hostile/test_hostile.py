"""One client, however slow or hostile, costs the others nothing."""

from __future__ import annotations

import contextlib
import re
import socket
import time
import unicodedata
from collections.abc import Callable

import pytest

from tests.cluster.chat import enter, user
from tests.eventually import eventually_blocking
from tests.hostile.company import ROOM, Company
from tests.processes.client import LineClient
from tests.processes.text_client import Clients

IAC_NOP = b"\xff\xf1"
DO_TIMING_MARK = b"\xff\xfd\x06"

LITTLE = 4096
"""SO_RCVBUF of a client that does not read: so it is soon noticed."""

POURING_SECONDS = 1.5

UNSEEN = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1bP1$r\x1b\\",
    "\x1bc",
    "\x9b31m",
    "\x9d0;title\x9c",
    "\x85",
    "\x00",
    "\x07",
    "\x0b",
    "\u202eevil\u202c",
    "\u2066isolate\u2069",
    "\u200b",
    "\u2060",
    "\ufeff",
    "\u2028",
    "\u2029",
    "\u200e",
]
"""Each contains what no other user may be sent."""


def stranger(company: Company, clients: Clients, receive_buffer: int | None = None) -> LineClient:
    """Connect to the company's server and read the greeting."""
    client = LineClient(clients, company.server.address, receive_buffer=receive_buffer)
    client.expect("Welcome to DisRoom")
    return client


def guest(company: Company, clients: Clients, nick: str) -> LineClient:
    """Connect a user who joins the company's room."""
    return user(clients, company.server, nick, ROOM)


def _greeted(client: LineClient) -> None:
    client.expect("Welcome to DisRoom")


def pour(client: LineClient, data: bytes) -> None:
    """Send all of it, unless the connection ends before."""
    with contextlib.suppress(OSError):
        client.send(data)


def pour_for_a_while(company: Company, data: bytes) -> int:
    """Take a name, and send without reading a byte, as fast as it is taken; return how much was."""
    sent = 0
    with socket.create_connection(("127.0.0.1", company.server.port)) as pouring:
        pouring.sendall(f"nick pouring{pouring.getsockname()[1]}\r\n".encode())
        pouring.settimeout(0.1)
        until = time.monotonic() + POURING_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(TimeoutError):
                sent += pouring.send(data)
    return sent


def test_one_that_never_reads_while_its_room_is_flooded(small: Company, clients: Clients) -> None:
    """It is closed once its queue is full, the log says so, and the room reads why it is gone."""
    with Clients() as unread, small.undisturbed():
        mute = LineClient(unread, small.server.address, receive_buffer=LITTLE)
        enter(mute, "mute", ROOM)
        flooder = guest(small, clients, "flooder")
        for number in range(100):
            flooder.send_line(f"send {'x' * 3000}\r\n" * 50 + f"send until {number}")
            flooder.expect(f": until {number}$")
            if "it does not read" in small.server.output():
                break
        small.sees(r"<-- mute left \(not reading\)$")
        flooder.close()


def test_one_byte_at_a_time(default: Company, clients: Clients) -> None:
    """Whoever types slowly, or sends each key, is understood."""
    with default.undisturbed():
        slow = stranger(default, clients)
        for byte in f"join {ROOM}\r\nslow\r\nsend grüße, byte by byte\r\nexit\r\n".encode():
            slow.send(bytes([byte]))
        slow.expect("^Goodbye!$")
        default.sees("slow: grüße, byte by byte$")


def test_a_megabyte_without_a_newline(default: Company, clients: Clients) -> None:
    """It is told once, and closed when the line goes on and on."""
    with default.undisturbed():
        client = guest(default, clients, "endless")
        pour(client, b"x" * (1 << 20))
        client.wait_ended()
        assert sum("(line-too-long)" in line for line in client.lines) <= 2
        default.sees(r"<-- endless left \(")


def test_a_subnegotiation_without_end(default: Company, clients: Clients) -> None:
    """It is closed after a few thousand bytes."""
    with default.undisturbed():
        client = guest(default, clients, "suboption")
        pour(client, b"\xff\xfa" + b"x" * (1 << 20))
        client.wait_ended()
        default.sees(r"<-- suboption left \(")


@pytest.mark.parametrize(
    ("limits", "data"),
    [
        ("default", DO_TIMING_MARK),
        ("small", DO_TIMING_MARK),
        ("default", IAC_NOP),
        ("default", b"\xff\xfb\x01\xff\xfd\x01"),
        ("default", b"\xff\xf5"),
    ],
    ids=["timing-mark", "timing-mark-small", "nop", "options", "abort-output"],
)
def test_telnet_commands_for_ever(data: bytes, limits: str, request: pytest.FixtureRequest) -> None:
    """Commands that make no line are read no faster than a person could mean them."""
    company: Company = request.getfixturevalue(limits)
    with company.undisturbed() as seen:
        taken = pour_for_a_while(company, data * 10000)
    assert taken > 65536, "nothing was poured"
    assert seen.cpu < POURING_SECONDS / 2


def test_telnet_is_answered_at_once_beside_a_telnet_flood(
    default: Company, clients: Clients
) -> None:
    """What one client is held back for holds up no other's Ctrl-C."""
    with default.undisturbed():
        with contextlib.suppress(AssertionError):
            stranger(default, clients).send(IAC_NOP * 10_000_000, timeout=0.2)
        client = stranger(default, clients)
        client.send(b"\xff\xf4" + DO_TIMING_MARK)
        client.send_line("")
        client.send_line("ping")
        assert client.expect("Pong$") and b"\xff\xfb\x06" in client.raw


def test_what_is_no_utf_8(default: Company, clients: Clients) -> None:
    """NUL, invalid and overlong bytes reach nobody; who sent them is told, and served on."""
    with default.undisturbed():
        client = guest(default, clients, "binary")
        for raw in (
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xed\xa0\x80",
            b"\xf5\x80\x80\x80",
            b"\xc3",
            b"\x80",
        ):
            client.send(b"send " + raw + b"\r\n")
            client.expect(r"\(bad-encoding\)$")
            client.send(b"topic " + raw + b"\r\njoin " + raw + b"\r\n")
            client.expect(r"\(bad-encoding\)$")
            client.expect(r"\(bad-encoding\)$")
        client.send(b"send nul\0nul\r\n")
        default.sees("binary: nulnul$")
        client.send(bytes(range(256)) * 20 + b"\r\n")
        client.send_line("ping")
        client.expect("^Pong$")


def test_what_would_move_anothers_cursor(small: Company, clients: Clients) -> None:
    """Escape sequences, C1, bidi overrides, separators: in texts, names, rooms, topics, away."""
    with small.undisturbed():
        client = guest(small, clients, "painter")
        for number, unseen in enumerate(UNSEEN):
            for verb in ("send", "me", "topic", "msg ann", "away", "nick", "join", "whois", ""):
                client.send_line(f"{verb} a{unseen}b")
            client.send_line(f"nick painter\r\njoin {ROOM}\r\nsend after {number}")
            client.expect(f"painter: after {number}$")
        small.sees(f"painter: after {len(UNSEEN) - 1}$")
        for text in client.lines:
            assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", text)
        assert any(": ared" in line for line in small.lines)
        client.send_line("exit")
        client.expect("^Goodbye!$")


def test_names_that_look_like_anothers(default: Company, clients: Clients) -> None:
    """Nobody is ann in other letters: not by case, composition or script."""
    with default.undisturbed():
        client = stranger(default, clients)
        for name in (
            "ANN",
            "Ann",
            "\uff41\uff4e\uff4e",
            "\u0430nn",
            "ann\u200b",
            "ann" + "\u0301" * 4,
        ):
            client.send_line(f"nick {name}")
            client.expect(r"^Error: .*\((nick-taken|bad-nick)\)$")
        holder = stranger(default, clients)
        holder.send_line("nick " + unicodedata.normalize("NFC", "zoé"))
        holder.expect("^You are zoé$")
        for name in (unicodedata.normalize("NFD", "zoé"), "ZOÉ"):
            client.send_line(f"nick {name}")
            client.expect(r"\(nick-taken\)$")
        client.send_line(f"nick guest\r\njoin {ROOM.upper()}")
        client.expect(f"^Joined room {ROOM} as guest$")


def test_rooms_that_look_like_subjects_or_keys(default: Company, clients: Clients) -> None:
    """A room is its own alone, whatever its name means to NATS or Redis."""
    with default.undisturbed():
        listener = stranger(default, clients)
        listener.send_line("nick listener\r\njoin a\r\njoin a.c\r\njoin a.b.c")
        listener.expect("^Joined room a.b.c as")
        client = stranger(default, clients)
        client.send_line("nick caller")
        bad = (
            "*",
            ">",
            "a.*",
            "a.>",
            "$JS.API.>",
            "disroom:room:a",
            "{a}",
            "a*",
            "a?",
            "[a]",
            "..",
        )
        for room in bad:
            client.send_line(f"join {room}")
            client.expect(r"\(bad-room\)$")
        for room in ("a.b", "a-b", "a_b", "a.", "a=2eb"):
            client.send_line(f"join {room}\r\nsay only in {room}")
        client.send_line("ping\r\nexit")
        client.expect("^Goodbye!$")
        listener.send_line("ping")
        listener.expect("^Pong$")
        assert not [line for line in listener.lines if "only in" in line]


def test_ten_thousand_commands_at_once_are_slowed_down(default: Company, clients: Clients) -> None:
    """By default they are read at the pace, and the rest stays in the network."""
    with default.undisturbed() as seen:
        client = guest(default, clients, "hasty")
        client.send(b"ping\r\n" * 10_000)
        client.expect("^Pong$")
    assert client.lines.count("Pong") < 300
    assert seen.cpu < 3
    client.reset()


@pytest.mark.parametrize(("command", "answer"), [("ping", "^Pong$"), ("help", "^-- a leading")])
def test_ten_thousand_commands_at_once_are_all_answered(
    command: str, answer: str, small: Company, clients: Clients
) -> None:
    """Without a limit they are all carried out, and the answers wait until they are read."""
    count = 10_000 if command == "ping" else 4_000
    with small.undisturbed():
        client = stranger(small, clients)
        client.send_line("nick hasty")
        client.send(f"{command}\r\n".encode() * count, timeout=30)
        for _ in range(count):
            client.expect(answer, timeout=30)
        client.send_line("exit")
        client.expect("^Goodbye!$")


def test_answers_that_nobody_reads(small: Company) -> None:
    """Who asks and asks and does not read is read no further, and costs no more than its queue."""
    with small.undisturbed() as seen:
        taken = pour_for_a_while(small, b"help\r\n" * 10_000)
    assert taken > 60_000
    assert seen.growth < 16 << 20


def test_five_hundred_joins_and_leaves(small: Company, clients: Clients) -> None:
    """Who comes and goes without end is one line of many; the lists are right afterwards."""
    with small.undisturbed():
        client = stranger(small, clients)
        client.send_line("nick flapping\r\n" + f"join {ROOM}\r\nleave\r\n" * 500 + "ping")
        client.expect("^Pong$", timeout=30)
        assert client.lines.count(f"Left room {ROOM}") == 500
        assert not [line for line in client.lines if line.startswith("Error")]
        client.send_line(f"users {ROOM}")
        assert "flapping" not in client.expect(f"^Users in {ROOM}: ")


def test_connecting_and_saying_nothing(small: Company, clients: Clients) -> None:
    """Who takes no name in time makes room for others, whatever else they send."""
    with small.undisturbed():
        silent = [stranger(small, clients) for _ in range(20)]
        for client in silent[10:]:
            client.send(b"ping\r\n" + IAC_NOP)
        for client in silent:
            client.expect(r"^Error: .*\(unnamed\)$")
            client.wait_ended()


def test_resets_at_every_stage(small: Company, clients: Clients) -> None:
    """Wherever a conversation breaks off, nothing is left of it."""
    stages = [
        b"",
        b"jo",
        b"\xff",
        b"\xff\xfa\x18",
        b"x" * 5000,
        b"join tea\r\n",
        b"join tea\r\n%b",
        b"join tea\r\n%b\r\n",
        b"nick %b\r\njoin tea\r\nsend hi\r\nhistory\r\n",
        b"nick %b\r\njoin tea\r\ntopic hi\r\nleave\r\n",
        b"nick %b\r\n" + b"help\r\n" * 500,
        b"nick %b\r\njoin tea\r\nexit\r\n",
    ]
    ends: list[Callable[[LineClient], None]] = [
        lambda client: None,
        _greeted,
        lambda client: client.half_close(),
    ]
    with small.undisturbed():
        for number, stage in enumerate(stages):
            for end, before_end in enumerate(ends):
                client = LineClient(clients, small.server.address)
                nick = b"broken%d-%d" % (number, end)
                client.send(stage % nick if b"%b" in stage else stage)
                before_end(client)
                client.reset()
        client = guest(small, clients, "broken-never")
        client.reset()
        asking = stranger(small, clients)
        asking.send_line("nick asking")
        asking.expect("^You are asking$")

        def gone() -> bool:
            asking.send_line(f"users {ROOM}")
            return "broken" not in asking.expect(f"^Users in {ROOM}: ")

        eventually_blocking(gone, 5.0, "somebody is still there")


def test_commands_split_at_every_byte(small: Company, clients: Clients) -> None:
    """A command is the same however the network cuts it up."""
    watch = stranger(small, clients)
    watch.send_line("nick watch")
    conversation = "help ping\r\nwhois é\r\0nick\n".encode() + b"pi\xff\xfb\x01ng\rexit\r\n"

    def answers(cut: int) -> bytes:
        client = stranger(small, clients)
        client.send(conversation[:cut])
        watch.send_line("ping")
        watch.expect("^Pong$")  # by now the server has read the first part
        client.send(conversation[cut:])
        client.expect("^Goodbye!$")
        client.wait_ended()
        return client.raw

    with small.undisturbed():
        expected = answers(0)
        assert expected.count(b"\r\n") == 6
        for cut in range(1, len(conversation)):
            told = answers(cut)
            # An answer to telnet goes past what is queued, so it may be anywhere between lines.
            assert sorted(told) == sorted(expected), cut


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_browser_that_was_made_to_come_here(
    method: str, default: Company, clients: Clients
) -> None:
    """It is refused, and what it was made to send is said by nobody."""
    body = f"nick evil\r\njoin {ROOM}\r\nsend from a browser\r\n"
    request = (
        f"{method} / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: Mozilla/5.0\r\n"
        f"Origin: http://evil.example\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    with default.undisturbed():
        client = stranger(default, clients)
        pour(client, request.encode())
        client.wait_ended()
        greeting, *rest = client.lines  # the greeting is no HTTP, so it is shown as no page
        assert greeting.startswith("Welcome to DisRoom!")
        assert "HTTP/1.1 400 Bad Request" in rest
    assert not [line for line in default.lines if "browser" in line or "evil" in line]
