"""The text protocol as one connection speaks it, on a chat in memory."""

from __future__ import annotations

import contextlib
import gc
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet import reactor as _reactor
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs

from disroom.chat.errors import NotStored, PresenceUnavailable, StoreUnavailable
from disroom.chat.limits import Limits
from disroom.transports.connection import LINGER_BYTES, LINGER_SECONDS
from disroom.transports.firstbyte import FirstByteFactory
from disroom.transports.intake import FLOOD_SECONDS, LOOK_AHEAD, OVERHEAD_BYTES
from disroom.transports.lane import CROWDED
from disroom.transports.line import (
    ENDLESS_LINES,
    LineFactory,
    LineSettings,
)
from disroom.transports.outbox import ANSWER_BYTES, Flusher
from disroom.transports.reception import Reception
from disroom.wire.errors import (
    BadEncoding,
    GoingDown,
    LineTooLong,
    ServerFull,
    SlowClient,
    TelnetFlood,
    UnknownCommand,
)
from disroom.wire.line import WELCOME, LineFormat, error_line, help_lines
from tests.contract.witness import promise
from tests.eventually import eventually
from tests.processes.certificates import Certificates
from tests.transports.house import FarEnd, House

GREETING = f"{WELCOME}\r\n"
IAC, DO, DONT, WILL, WONT, SB = b"\xff", b"\xfd", b"\xfe", b"\xfb", b"\xfc", b"\xfa"
INTERRUPT = b"\xff\xf4"
TIMING_MARK, BINARY, ECHO = b"\x06", b"\x00", b"\x01"


class LineHouse(House):
    """A server that speaks lines."""

    def __init__(self, *, most: int = 100, limits: Limits | None = None, **settings: Any) -> None:
        super().__init__(most=most, limits=limits)
        self.factory = LineFactory(
            self.reception,
            format=LineFormat(),
            settings=LineSettings(**{"flood": None, "unnamed": 0.0, **settings}),
        )

    def connect(self) -> Terminal:
        """Let a client in, which has read its greeting."""
        terminal = Terminal(self)
        terminal.read()
        return terminal

    def user(self, nick: str, *rooms: str) -> Terminal:
        """Let a client in with a name and rooms."""
        terminal = self.connect()
        terminal.send(f"nick {nick}", *(f"join {room}" for room in rooms))
        terminal.read()
        return terminal


class Terminal(FarEnd):
    """The client's side of a connection."""

    def __init__(self, house: LineHouse) -> None:
        super().__init__(house, house.factory, StringTransport())
        self.lost = False

    def send(self, *lines: str) -> None:
        """Send lines, a packet each."""
        self.type(*(f"{line}\r\n".encode() for line in lines))

    def raw(self) -> bytes:
        """What the client was sent since this was asked the last time."""
        self.house.turn()
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    def read(self) -> list[str]:
        """The same, as lines, of which all must be whole."""
        text = self.raw().decode()
        assert text.endswith("\r\n") or not text
        return text.split("\r\n")[:-1]

    def ask(self, *lines: str) -> list[str]:
        """Send lines and return the answers, with the times taken out."""
        self.send(*lines)
        return [re.sub(r"^\[(?:....-..-.. )?..:..:..\]", "[T]", line) for line in self.read()]

    def half_close(self) -> None:
        """Send nothing more."""
        self.protocol.readConnectionLost()

    def lose(self) -> None:
        """Break off."""
        self.lost = True
        super().lose()


@pytest.fixture
def house() -> LineHouse:
    """A server without a limit on commands."""
    return LineHouse()


# The beginning.


def test_a_client_is_greeted_in_one_line(house: LineHouse) -> None:
    """Who connects reads what to do."""
    assert Terminal(house).raw() == GREETING.encode()


def test_the_message_of_the_day_follows_the_greeting() -> None:
    """Who connects reads the news, and may read them again."""
    house = LineHouse(motd=("one", "", "two"))
    terminal = Terminal(house)
    assert terminal.read() == [WELCOME, "one", "", "two"]
    assert terminal.ask("motd") == ["one", "", "two", "-- that was it"]
    assert LineHouse().connect().ask("motd") == ["-- there is no message of the day"]


def test_who_comes_when_it_is_full_is_told_and_closed(house: LineHouse) -> None:
    """A server with as many connections as there can be says so, and takes the next one again."""
    full = LineHouse(most=1)
    first = full.connect()
    second = Terminal(full)
    assert second.read() == [error_line(ServerFull())]
    assert second.closed
    second.type(b"ping\n")
    with capturedLogs() as logged:
        second.half_close()
        second.lose()
    assert not logged
    assert len(full.connections) == 1
    first.lose()
    assert Terminal(full).read() == [WELCOME]


# Lines.

CONVERSATION = [
    "nick alice",
    "join tea",
    "send grüße 👋",
    "",
    "me waves",
    "users",
    "history 2",
    "nonsense",
    "topic day",
    "leave",
    "ping",
]
ANSWERS = [
    "You are alice",
    "Joined room tea as alice",
    "Users in tea: alice",
    "-- #tea has no messages yet",
    "[T] #tea alice: grüße 👋",
    "[T] #tea * alice waves",
    "Users in tea: alice",
    "[T] #tea alice: grüße 👋",
    "[T] #tea * alice waves",
    "-- #tea 1..2; nothing older",
    error_line(UnknownCommand("nonsense")),
    "[T] #tea -- topic by alice: day",
    "Left room tea",
    "Pong",
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r\0", b"\r"])
def test_every_line_end_works(house: LineHouse, end: bytes) -> None:
    """Netcat's, telnet's, a raw terminal's and a program's lines are understood alike."""
    terminal = house.connect()
    terminal.type(b"".join(line.encode() + end for line in CONVERSATION))
    assert terminal.ask() == ANSWERS


@given(
    data=st.data(),
    ends=st.lists(
        st.sampled_from([b"\n", b"\r\n", b"\r\0", b"\r"]),
        min_size=len(CONVERSATION),
        max_size=len(CONVERSATION),
    ),
    telnet=st.booleans(),
)
@settings(max_examples=40)
def test_it_makes_no_difference_how_the_bytes_are_split(
    data: st.DataObject, ends: list[bytes], telnet: bool
) -> None:
    """However the network cuts what a client sends, and telnet's part of it, it is one."""
    noise = INTERRUPT + IAC + DO + TIMING_MARK if telnet else b""
    stream = b"".join(
        noise + line.encode() + end for line, end in zip(CONVERSATION, ends, strict=True)
    )
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=30).map(sorted))
    terminal = LineHouse().connect()
    terminal.type(*(stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)))
    got = terminal.raw()
    for answer in (IAC + DO + BINARY, IAC + WILL + TIMING_MARK):
        assert (answer in got) is telnet
        got = got.replace(answer, b"")
    shown = [re.sub(r"^\[[^]]*\]", "[T]", line) for line in got.decode().split("\r\n")]
    assert shown == [*ANSWERS, ""]


def test_every_single_byte_may_come_alone(house: LineHouse) -> None:
    """A client that sends each key by itself is understood."""
    terminal = house.connect()
    stream = "".join(f"{line}\r\n" for line in CONVERSATION).encode()
    terminal.type(*(stream[at : at + 1] for at in range(len(stream))))
    assert terminal.ask() == ANSWERS


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=8).map(sorted))
@example(b"\xff\xfa" + b"x" * 150, [])
@settings(max_examples=150)
def test_no_bytes_break_a_connection(noise: bytes, cuts: list[int]) -> None:
    """Whatever is sent, what follows on a line of its own is answered."""
    terminal = LineHouse(line_bytes=300).user("alice", "tea")
    with capturedLogs() as logged:
        terminal.type(*(noise[a:b] for a, b in zip([0, *cuts], [*cuts, len(noise)], strict=True)))
        terminal.type(b"\xff\xf0\n\xff\xf0\nleave\n/leave\n/talk off\nping\n")
        got = terminal.raw()
    assert not logged
    assert got.endswith(b"Pong\r\n") or terminal.closed


def test_a_line_that_is_too_long_is_dropped_and_told_of(house: LineHouse) -> None:
    """Who pastes a novel is told how much goes into a line, and may go on."""
    terminal = house.user("alice", "tea")
    told = error_line(LineTooLong(4096))
    long = "send " + "x" * 5000
    assert terminal.ask(long, "ping") == [told, "Pong"]
    assert terminal.ask(f"ping\r\n{long}\r\nping\r\n{long}\r\n\r\nping") == [
        *("Pong", told, "Pong", told, "Pong")
    ]
    stream = f"{long}\r\nping\r\n".encode()
    terminal.type(*(stream[at : at + 100] for at in range(0, len(stream), 100)))
    assert terminal.read() == [told, "Pong"]
    terminal.type(long.encode(), b"ping\n", b"ping\n")
    assert terminal.read() == [told, "Pong"]
    assert not house.world.texts("tea")


@pytest.mark.parametrize(("length", "fits"), [(4096, True), (4097, False)])
def test_the_bound_of_a_line_does_not_count_its_end(length: int, fits: bool) -> None:
    """A line of just so many bytes is taken, by itself or among others, whatever its end."""
    house = LineHouse(limits=Limits(text_bytes=5000))
    terminal = house.user("alice", "tea")
    line = b"say " + b"x" * (length - 4)
    for number, end in enumerate([b"\n", b"\r\n", b"\r\0", b"\r"], 1):
        terminal.type(line + end)
        terminal.type(b"ping\n" + line + end + b"ping\n")
        assert len(house.world.texts("tea")) == (2 * number if fits else 0)


@pytest.mark.parametrize("piece", [100, 4096, 70_000])
def test_a_line_without_an_end_closes_the_connection(house: LineHouse, piece: int) -> None:
    """A client that never ends its line is told why it is closed, and costs no memory before."""
    terminal = house.user("alice", "tea")
    sent = 0
    while not terminal.closed and sent < 200_000:
        terminal.type(b"x" * piece)
        sent += piece
        assert len(terminal.protocol._buffer) <= 4096
    told = error_line(LineTooLong(4096))
    assert terminal.read() == [told, told, "Goodbye!"]
    assert sent <= 4096 * ENDLESS_LINES + 2 * piece
    assert house.world.in_room("tea") == []


def test_what_is_not_utf8_is_told_of(house: LineHouse) -> None:
    """A terminal of another encoding learns what is wrong, line by line."""
    terminal = house.connect()
    terminal.type(b"ping\n\xe4\xf6\nping\n")
    pong, told, again = terminal.read()
    assert (pong, again) == ("Pong", "Pong")
    assert told == error_line(BadEncoding())


def test_keys_that_edit_a_line_are_applied(house: LineHouse) -> None:
    """A raw terminal's backspace, Ctrl-U and Ctrl-W do what they are for."""
    terminal = house.connect()
    terminal.type(b"pomg\x08\x7f\x7fing\r", b"rubbish\x15ping\r", b"ping all\x17\r")
    assert terminal.read() == ["Pong", "Pong", "Pong"]


# Browsers.


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1",
        b"POST / HTTP/1.0",
        b"POST /" + b"x" * 5000 + b" HTTP/1.1",
        b"POST /" + b"x" * 70_000 + b" HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
    ],
)
@pytest.mark.parametrize("piece", [1000, 1 << 20])
def test_a_browser_cannot_be_made_to_chat(house: LineHouse, head: bytes, piece: int) -> None:
    """A page that makes its readers' browsers connect here cannot have them say anything."""
    victim = house.user("bob", "tea")
    terminal = house.connect()
    body = b"nick evil\r\njoin tea\r\nsend spam\r\n"
    stream = head + b"\r\nHost: here\r\n\r\n" + body
    terminal.type(*(stream[at : at + piece] for at in range(0, len(stream), piece)))
    answer = terminal.raw()
    assert answer.startswith((b"HTTP/1.1 400 Bad Request\r\n", b"Error: a line has at most"))
    assert terminal.closed
    assert victim.read() == []
    assert house.world.texts("tea") == []


def test_who_talks_about_http_may(house: LineHouse) -> None:
    """Only the first line of a connection can be a browser's."""
    terminal = house.user("bob", "tea")
    assert terminal.ask("send GET / HTTP/1.1") == ["[T] #tea bob: GET / HTTP/1.1"]


# Telnet.


def test_nothing_is_negotiated_with_who_is_not_telnet(house: LineHouse) -> None:
    """Netcat shows no rubbish: not a byte of telnet is sent before the client sends one."""
    terminal = Terminal(house)
    terminal.send("ping", "nick alice")
    assert IAC not in terminal.raw()


def test_a_telnet_port_negotiates_at_once() -> None:
    """A listener for telnet alone asks for BINARY before it greets."""
    assert Terminal(LineHouse(telnet=True)).raw() == IAC + DO + BINARY + GREETING.encode()


@pytest.mark.parametrize("busy", ["storing", "paced", "crowded", "unread"])
def test_telnet_is_answered_past_everything_that_waits(busy: str) -> None:
    """After Ctrl-C telnet shows nothing until it is answered, so that is never behind a queue."""
    house = LineHouse(flood=(1.0, 3) if busy == "paced" else None)
    terminal = house.user("alice", "tea")
    if busy == "paced":
        terminal.send(*["ping"] * 10)
    elif busy == "unread":
        terminal.transport.producer.pauseProducing()
        terminal.send(*["help"] * CROWDED)
    else:
        house.instance.gate.hold("append", "leave")
        terminal.send("send x", "leave", *["ping"] * (CROWDED - 2))
    terminal.raw()
    tail = b"ping\n" * 5 if busy in ("crowded", "unread") else b""
    terminal.type(tail + INTERRUPT + IAC + DO + TIMING_MARK + b"ping\n")
    assert terminal.protocol.paused is bool(tail)
    if busy == "unread":
        terminal.transport.producer.resumeProducing()
        assert terminal.transport.value().index(IAC + WILL + TIMING_MARK) < 10
    else:
        assert IAC + WILL + TIMING_MARK in terminal.transport.value()
    assert not terminal.paused


def test_telnet_is_answered_while_a_bounded_amount_waits_before_it(house: LineHouse) -> None:
    """It is looked for beyond what can be carried out, but not for ever; then it is in its turn."""
    terminal = house.user("alice", "tea")
    house.instance.gate.hold("users")
    terminal.type(b"users\n" + b"ping\n" * CROWDED)
    ahead = b"ping\n" * (LOOK_AHEAD // 5)
    terminal.type(ahead)
    assert not terminal.paused
    terminal.type(IAC + DO + TIMING_MARK + b"ping\n")
    assert IAC + WILL + TIMING_MARK in terminal.raw()
    assert terminal.paused
    house.instance.gate.release()
    assert not terminal.paused
    assert terminal.read().count("Pong") == CROWDED + LOOK_AHEAD // 5 + 1


def test_lines_that_come_one_by_one_into_a_crowd_are_bounded_as_well(house: LineHouse) -> None:
    """Each waits its turn outside the lane, and in time no more of them are read."""
    terminal = house.user("alice", "tea")
    house.instance.gate.hold("users")
    terminal.type(b"users\n" + b"ping\n" * CROWDED)
    line = b"ping".ljust(999) + b"\n"
    ahead = LOOK_AHEAD // len(line)
    terminal.type(*[line] * ahead)
    assert not terminal.paused
    terminal.type(line)
    assert terminal.paused
    house.instance.gate.release()
    assert not terminal.paused
    assert terminal.read().count("Pong") == CROWDED + ahead + 1


def test_an_option_is_refused_and_the_line_goes_on(house: LineHouse) -> None:
    """Whatever a telnet client offers, its typing is not disturbed."""
    terminal = house.connect()
    terminal.type(b"pi" + IAC + WILL + ECHO + b"ng\r\n")
    assert terminal.raw() == IAC + DO + BINARY + IAC + DONT + ECHO + b"Pong\r\n"


def test_a_subnegotiation_without_end_closes(house: LineHouse) -> None:
    """What a client sends for ever without meaning is not read for ever."""
    terminal = house.user("alice", "tea")
    terminal.type(IAC + SB, *[b"x" * 1000] * 6)
    lines = terminal.raw().partition(BINARY)[2].decode().splitlines()
    assert lines[0].endswith("(endless-subnegotiation)")
    assert lines[1] == "Goodbye!"
    assert terminal.closed
    assert house.world.in_room("tea") == []


@pytest.mark.parametrize("endless", [b"x" * 70_000, IAC + SB + b"x" * 6000])
@pytest.mark.parametrize("crowd", [0, CROWDED])
def test_what_was_sent_before_something_endless_is_stored(
    house: LineHouse, endless: bytes, crowd: int
) -> None:
    """Whole lines before it are carried out, however many wait, and stored in whichever rooms."""
    terminal = house.user("alice", "pot", "tea")
    house.instance.gate.hold("append", "users")
    said = b"users\nsend 0\nsend 1\nsend #pot 2\nsend 3\n" + b"ping\n" * crowd
    terminal.type(said + endless, b"x")
    assert "Goodbye!" not in terminal.raw().replace(IAC + DO + BINARY, b"").decode()
    house.instance.gate.release()
    terminal.type(b"x")
    lines = terminal.read()
    assert lines.count("Pong") == crowd
    assert [line[-12:] for line in lines if "alice: " in line] == [
        *("tea alice: 0", "tea alice: 1", "pot alice: 2", "tea alice: 3")
    ]
    assert lines[-2].startswith("Error: ")
    assert lines[-1] == "Goodbye!"
    assert (house.world.texts("tea"), house.world.texts("pot")) == (["0", "1", "3"], ["2"])
    assert terminal.closed


# Asking for a name.


def test_a_name_is_asked_for_on_joining(house: LineHouse) -> None:
    """``join`` without a name asks for one, and the next line is it."""
    terminal = house.connect()
    terminal.send("join tea")
    assert terminal.raw() == b"Enter your user ID: "
    assert terminal.ask("  alice ") == [
        "Joined room tea as alice",
        "Users in tea: alice",
        "-- #tea has no messages yet",
    ]
    assert terminal.ask("join pot")[0] == "Joined room pot as alice"


def test_a_name_that_cannot_be_had_is_asked_for_again(house: LineHouse) -> None:
    """An error says why, and the question comes again, until it is answered."""
    house.user("bob")
    terminal = house.connect()
    terminal.send("join tea")
    terminal.raw()
    for name, code in (
        ("bob", "nick-taken"),
        ("a:b", "bad-nick"),
        ("exit now", "bad-nick"),
        ("\u00e4" * 40, "bad-nick"),
        ("x" * 5000, "line-too-long"),
    ):
        terminal.send(name)
        error, question = terminal.raw().decode().split("\r\n")
        assert error.startswith("Error: ")
        assert error.endswith(f"({code})")
        assert question == "Enter your user ID: "
    terminal.type(b"\xe4\n")
    assert terminal.raw().endswith(b"(bad-encoding)\r\nEnter your user ID: ")
    house.instance.gate.fail("claim", PresenceUnavailable())
    terminal.send("alice")
    assert terminal.raw().endswith(b"(presence-unavailable)\r\nEnter your user ID: ")
    assert terminal.ask("alice")[0] == "Joined room tea as alice"


def test_the_question_can_be_taken_back(house: LineHouse) -> None:
    """An empty line or a command ends the question, and the next line is a command again."""
    terminal = house.connect()
    terminal.send("join tea")
    terminal.raw()
    assert terminal.ask("") == ["-- no name, so not joined"]
    assert terminal.ask("ping") == ["Pong"]
    terminal.send("join tea")
    terminal.raw()
    assert terminal.ask("/ping", "ping") == ["Pong", "Pong"]
    terminal.send("join tea")
    terminal.raw()
    assert terminal.ask("/nonsense", "ping")[1:] == ["Pong"]
    terminal.send("join tea")
    terminal.raw()
    assert terminal.ask("/nick alice", "join tea")[:2] == [
        "You are alice",
        "Joined room tea as alice",
    ]


def test_what_telnet_says_answers_no_question(house: LineHouse) -> None:
    """It is no line, not even an empty one, and no part of what follows."""
    terminal = house.connect()
    terminal.send("join tea")
    terminal.raw()
    terminal.type(IAC + WONT + ECHO)
    assert b"--" not in terminal.raw()
    assert terminal.ask("alice")[0] == "Joined room tea as alice"


def test_who_is_asked_may_go(house: LineHouse) -> None:
    """``/exit`` works in place of a name."""
    terminal = house.connect()
    terminal.send("join tea")
    terminal.raw()
    assert terminal.ask("/exit") == ["Goodbye!"]
    assert terminal.closed


def test_a_room_that_cannot_be_joined_does_not_ask_again(house: LineHouse) -> None:
    """Once the name is had, an error of the joining is one of ``join``."""
    terminal = house.connect()
    terminal.send("join tea")
    terminal.raw()
    house.instance.gate.fail("follow", StoreUnavailable())
    (told,) = terminal.ask("alice")
    assert told.endswith("(store-unavailable)")
    assert terminal.ask("ping", "join tea")[:2] == ["Pong", "Joined room tea as alice"]


def test_the_question_may_be_answered_before_it_is_asked(house: LineHouse) -> None:
    """A program sends ``join``, the name and what it has to say in one go."""
    terminal = house.connect()
    terminal.type(b"join tea\nalice\nsend hi\n")
    got = terminal.raw().decode()
    assert got.startswith("Enter your user ID: Joined room tea as alice\r\n")
    assert got.endswith("#tea alice: hi\r\n")


# Verbs of the connection.


def test_help_tells_how_much_may_be_read_back() -> None:
    """The number that the server is configured with, which is what `history` shows at the most."""
    terminal = LineHouse(limits=Limits(history_most=2)).user("alice", "tea")
    (line,) = terminal.ask("help history")
    assert line.endswith(", at most 2 lines")
    *shown, _ = terminal.ask("send 1", "send 2", "send 3", "history 3")[3:]
    assert [text[-1] for text in shown] == ["2", "3"]


def test_help_explains_all_verbs_or_one(house: LineHouse) -> None:
    """Who asks for help gets it, also about a verb that is no verb."""
    terminal = house.connect()
    assert terminal.ask("help") == list(help_lines(None, 1000))
    (line,) = terminal.ask("help /join")
    assert line.startswith("-- join ROOM: ")
    assert terminal.ask("help x")[0].endswith("(unknown-command)")


def test_talking_says_what_is_typed(house: LineHouse) -> None:
    """With ``talk on`` people just type; a slash makes a command."""
    terminal = house.user("alice", "tea")
    assert terminal.ask("talk on") == [
        "-- talk on: lines are said; a command starts with /, as in /talk off"
    ]
    assert terminal.ask("join pot", "/ping") == ["[T] #tea alice: join pot", "Pong"]
    assert terminal.ask("", " \t", "/talk off", "ping")[1:] == ["Pong"]
    assert LineHouse().connect().ask("talk on", "hi")[1].endswith("(no-nick)")


@pytest.mark.parametrize("verb", ["exit", "quit", "/EXIT"])
def test_exit_waits_for_what_was_sent(house: LineHouse, verb: str) -> None:
    """Who says something and goes sees it stored first; what comes after ``exit`` is not read."""
    bob = house.user("bob", "tea")
    terminal = house.user("alice", "tea")
    bob.read()
    house.instance.gate.hold("append")
    terminal.send("send bye", verb, "send not this")
    assert terminal.read() == []
    assert not terminal.closed
    house.instance.gate.release()
    assert terminal.ask() == ["[T] #tea alice: bye", "Goodbye!"]
    assert terminal.closed
    assert terminal.ask("ping", "nick bob") == []
    assert bob.ask() == ["[T] #tea alice: bye", "[T] #tea <-- alice left"]
    assert house.world.texts("tea") == ["bye"]


# The end.


def test_half_closing_finishes_what_was_asked(house: LineHouse) -> None:
    """``nc -N`` sends its commands and ends its input: all are carried out, then it is closed."""
    terminal = house.connect()
    terminal.type(b"nick alice\njoin tea\nsend one\nsend two\nhistory 5\nsend three")
    house.instance.gate.hold("append")
    terminal.half_close()
    house.instance.gate.release()
    lines = terminal.ask()
    assert lines[-2:] == ["[T] #tea alice: three", "Goodbye!"]
    assert "[T] #tea alice: one" in lines
    assert terminal.closed
    assert house.world.in_room("tea") == []


def test_half_closing_without_a_word_is_a_goodbye(house: LineHouse) -> None:
    """A client that has nothing to say, or only half of something, is closed politely."""
    terminal = house.connect()
    terminal.half_close()
    assert terminal.read() == ["Goodbye!"]
    asked = house.connect()
    asked.type(b"join tea\n")
    asked.raw()
    asked.half_close()
    assert asked.read() == ["Goodbye!"]
    assert asked.closed
    assert not house.instance.hub.sessions


def test_nobody_is_asked_who_will_not_answer(house: LineHouse) -> None:
    """After the end of the input there is no question, since nothing can answer it."""
    terminal = house.connect()
    house.instance.gate.hold("users")
    terminal.type(b"users tea\njoin tea\n")
    terminal.half_close()
    house.instance.gate.release()
    assert terminal.read() == ["Users in tea: (nobody)", "Goodbye!"]


@pytest.mark.parametrize("end", ["exit", "lose", "go down"])
def test_what_was_held_back_ends_with_the_connection(end: str) -> None:
    """A flood of commands of somebody who is gone keeps the server busy no longer."""
    house = LineHouse(flood=(1.0, 2))
    terminal = house.connect()
    terminal.send("ping")
    if end == "exit":
        terminal.send("exit")
    terminal.send(*["ping"] * 50)
    if end == "lose":
        terminal.lose()
    elif end == "go down":
        house.connections.close_all()
        terminal.lose()
    house.turn(2.0)
    waiting = house.clock.getDelayedCalls()
    assert len(waiting) == (end == "exit")


def test_a_crowd_that_ends_with_exit_ends_cleanly(house: LineHouse) -> None:
    """A file of commands with ``exit`` at its end is carried out and closed without an error."""
    terminal = house.user("alice", "tea")
    house.instance.gate.hold("users")
    with capturedLogs() as logged:
        terminal.type(b"users\n" + b"ping\n" * (CROWDED - 1) + b"exit\nping\n")
        terminal.type(b"send not this\n" * LOOK_AHEAD)
        assert terminal.paused
        house.instance.gate.release()
        gc.collect()
    assert terminal.read()[-2:] == ["Pong", "Goodbye!"]
    assert house.world.texts("tea") == []
    assert not logged


@pytest.mark.parametrize("last", ["exit", "/QUIT ", "half-close"])
def test_leaving_waits_for_no_pace(last: str) -> None:
    """However many commands were sent before, who means to go is gone when they are done."""
    house = LineHouse(flood=(1.0, 2))
    terminal = house.user("alice")
    terminal.send(*["ping"] * 50)
    assert terminal.read().count("Pong") < 3
    if last == "half-close":
        terminal.half_close()
    else:
        terminal.send(last)
    lines = terminal.read()
    assert lines.count("Pong") >= 48
    assert lines[-1] == "Goodbye!"
    assert terminal.closed
    assert not house.instance.hub.sessions


def test_saying_exit_is_not_leaving() -> None:
    """While talking, the word is a text; it ends nothing, and what it hurried is made up for."""
    house = LineHouse(flood=(1.0, 4))
    terminal = house.user("alice", "tea")
    terminal.send("talk on", "one", "two", "three", "exit", "four")
    assert house.world.texts("tea") == ["one", "two", "three", "exit"]
    assert not terminal.closed
    house.turn(2)
    assert house.world.texts("tea")[4:] == []
    house.turn(2)
    assert house.world.texts("tea")[4:] == ["four"]


@pytest.mark.parametrize("last", ["exit", "half-close"])
def test_leaving_waits_for_nobody_to_read(last: str) -> None:
    """Who does not read its answers and goes has left its rooms, and its name, at once."""
    house = LineHouse()
    terminal = house.user("alice", "tea")
    terminal.transport.producer.pauseProducing()
    terminal.send("send one", "help", "leave", "join pot", "send two")
    assert house.world.texts("tea") == []
    if last == "half-close":
        terminal.half_close()
    else:
        terminal.send(last)
    assert house.world.texts("tea") == ["one"]
    assert house.world.texts("pot") == ["two"]
    assert not house.instance.hub.sessions
    assert terminal.read()[-1] == "Goodbye!"


def test_a_line_being_dropped_ends_with_the_input(house: LineHouse) -> None:
    """What is left of a line that was too long is not taken for a line at the end."""
    terminal = house.connect()
    terminal.type(b"x" * 5000, b"ping")
    terminal.half_close()
    told, goodbye = terminal.read()
    assert told.endswith("(line-too-long)")
    assert goodbye == "Goodbye!"


def test_who_closes_after_half_closing_still_has_its_commands_carried_out(house: LineHouse) -> None:
    """A pipe that ends at once, ``echo send hi | nc``, says what it had to say."""
    terminal = house.user("alice", "tea")
    house.instance.gate.hold("append")
    terminal.type(b"send one\nleave\njoin pot\nsend two\n")
    terminal.half_close()
    terminal.lose()
    assert len(house.connections) == 0
    house.instance.gate.release()
    assert house.world.texts("tea") == ["one"]
    assert house.world.texts("pot") == ["two"]
    assert not house.instance.hub.sessions
    assert house.world.in_room("pot") == []


def test_a_lost_connection_is_a_user_gone(house: LineHouse) -> None:
    """Who loses its connection has left, and the others read why."""
    bob = house.user("bob", "tea")
    terminal = house.user("alice", "tea")
    bob.read()
    house.instance.gate.hold("append")
    terminal.send("send one", "leave", "join pot", "send two")
    terminal.lose()
    house.instance.gate.release()
    assert bob.ask()[0] == "[T] #tea <-- alice left (connection lost)"
    assert not house.world.texts("pot")
    assert len(house.connections) == 1
    assert not house.clock.getDelayedCalls()


@pytest.mark.parametrize("doing", ["nothing", "exit", "half-closed", "asked"])
def test_everybody_is_told_when_the_server_goes_down(house: LineHouse, doing: str) -> None:
    """A stopping instance says goodbye to everybody, whatever they are doing, and once."""
    terminal = house.user("alice", "tea") if doing != "asked" else house.connect()
    house.instance.gate.hold("append")
    if doing == "exit":
        terminal.send("send x", "exit")
    elif doing == "half-closed":
        terminal.send("send x")
        terminal.half_close()
    elif doing == "asked":
        terminal.send("join tea")
        terminal.raw()
    gone = house.connections.all_gone()
    with capturedLogs() as logged:
        house.connections.close_all()
        house.connections.close_all()
        assert terminal.read() == [error_line(GoingDown()), "Goodbye!"]
        house.instance.gate.release()
        assert terminal.read() == []
    assert not logged
    assert terminal.closed
    assert house.world.in_room("tea") == []
    assert not gone.called
    terminal.lose()
    assert gone.called
    assert not house.clock.getDelayedCalls()


def test_who_loses_its_nick_is_told(house: LineHouse) -> None:
    """The holder of a nick that went to another reads why it is closed."""
    terminal = house.user("alice", "tea")
    (session,) = house.instance.hub.sessions
    house.instance.hub.lost(session)
    told, goodbye = terminal.read()
    assert told.endswith("(nick-lost)")
    assert goodbye == "Goodbye!"
    assert terminal.closed


def test_a_client_that_does_not_take_its_goodbye_is_cut_off(house: LineHouse) -> None:
    """Closing does not wait for ever for a client that does not read."""
    terminal = house.connect()
    terminal.send("exit")
    house.turn(LINGER_SECONDS - 0.1)
    assert not terminal.transport.disconnected
    house.turn(1.2)
    assert terminal.transport.disconnected


def test_a_standstill_of_the_server_is_no_time_to_take_a_goodbye(house: LineHouse) -> None:
    """What is left to send is sent when the server moves again, before the client is cut off."""
    terminal = house.connect()
    terminal.send("exit")
    house.stand_still(3600)
    house.turn(LINGER_SECONDS / 2)
    assert not terminal.transport.disconnected
    house.turn(LINGER_SECONDS)
    assert terminal.transport.disconnected


def test_a_client_that_has_much_to_read_at_its_goodbye_is_given_the_time(house: LineHouse) -> None:
    """Who asks for much and goes is cut off no sooner than a slow line needs to bring it."""
    terminal = house.connect()
    terminal.transport.producer.pauseProducing()
    terminal.type(b"help\n" * 250 + b"exit\n")
    told = sum(len(line) + 2 for line in terminal.read())
    assert told > 2 * LINGER_BYTES
    house.turn(LINGER_SECONDS + told // LINGER_BYTES - 0.1)
    assert not terminal.transport.disconnected
    house.turn(1.2)
    assert terminal.transport.disconnected


def test_a_client_that_does_not_read_is_told_why_and_closed() -> None:
    """Too much that waits ends the connection; the others read that it did not read."""
    house = LineHouse(queue_bytes=1000)
    bob = house.user("bob", "tea")
    terminal = house.user("alice", "tea")
    bob.read()
    terminal.transport.producer.pauseProducing()
    for _ in range(20):
        bob.ask("send " + "x" * 100)
    assert terminal.read() == [error_line(SlowClient())]
    assert terminal.closed
    assert bob.ask() == []
    assert house.world.in_room("tea") == ["bob"]
    assert bob.ask("send still there") == ["[T] #tea bob: still there"]
    terminal.lose()
    assert not house.clock.getDelayedCalls()


def test_a_client_that_never_reads_its_answers_is_closed() -> None:
    """Who asks and reads nothing does not stay for ever, though little waits; others read why."""
    house = LineHouse(unread=60.0)
    bob, terminal = house.user("bob", "tea"), house.user("alice", "tea")
    bob.read()
    terminal.transport.producer.pauseProducing()
    terminal.send("help", "help")
    for _ in range(59):
        house.turn(1)
    assert not terminal.closed
    house.turn(1)
    assert terminal.read() == [error_line(SlowClient())]
    assert terminal.closed
    assert [line.rpartition("] ")[2] for line in bob.read()] == [
        "#tea <-- alice left (not reading)"
    ]
    terminal.lose()
    assert not house.clock.getDelayedCalls()


def test_a_slow_client_costs_the_others_nothing() -> None:
    """A client that does not read holds up nobody's messages."""
    house = LineHouse()
    bob, slow = house.user("bob", "tea"), house.user("slow", "tea")
    bob.read()
    slow.transport.producer.pauseProducing()
    for number in range(200):
        assert bob.ask(f"send {number}") == [f"[T] #tea bob: {number}"]
    slow.transport.producer.resumeProducing()
    assert [line.rpartition(" ")[2] for line in slow.read()] == [str(n) for n in range(200)]


# Crowds and floods.


def test_a_flood_of_commands_is_slowed_down_and_none_is_lost() -> None:
    """A client that sends too fast is served at the pace, in order, and is read on afterwards."""
    house = LineHouse(flood=(100.0, 10))
    terminal = house.user("alice", "tea")
    stream = "".join(f"send {number}\n".rjust(100) for number in range(1000)).encode()
    terminal.type(stream)
    assert terminal.paused
    assert len(house.world.texts("tea")) < 10
    for _ in range(100):
        house.turn(0.01)
    assert 90 < len(house.world.texts("tea")) < 120
    for _ in range(1000):
        house.turn(0.01)
    assert house.world.texts("tea") == [str(number) for number in range(1000)]
    assert not terminal.paused
    assert len(terminal.read()) == 1000


def test_a_flood_of_help_leaves_in_pieces(house: LineHouse) -> None:
    """However much is asked for at once, one turn hands a bounded part to the transport."""
    terminal = house.connect()
    sizes: list[int] = []
    terminal.transport.write = lambda data: sizes.append(len(data))
    terminal.type(b"help\n" * 1000)
    terminal.raw()
    help_bytes = sum(len(line) + 2 for line in help_lines(None, 1000))
    assert sum(sizes) == 1000 * help_bytes
    assert max(sizes) <= ANSWER_BYTES + help_bytes
    assert not terminal.paused


def test_who_does_not_read_its_answers_is_read_no_further() -> None:
    """Its own commands never close a client; what waits for it stays small."""
    house = LineHouse(queue_bytes=1000)
    terminal = house.connect()
    terminal.transport.producer.pauseProducing()
    terminal.type(b"help\n" * CROWDED + b"motd".ljust(999) + b"\n")
    assert not terminal.paused
    terminal.type((b"motd".ljust(999) + b"\n") * 70)
    assert terminal.raw() == b""
    assert terminal.paused
    terminal.transport.producer.resumeProducing()
    for _ in range(20):
        house.turn()
    lines = terminal.read()
    assert sum(line.startswith("-- a leading") for line in lines) == CROWDED
    assert lines[-71:] == ["-- there is no message of the day"] * 71
    assert not terminal.paused


def test_a_client_that_is_gone_is_waited_for_no_more(house: LineHouse) -> None:
    """Who breaks off with answers unread leaves its rooms at once, and no timer."""
    terminal = house.user("alice", "tea")
    terminal.transport.producer.pauseProducing()
    terminal.send("send x", "send y")
    terminal.lose()
    house.turn()
    assert house.world.in_room("tea") == []
    assert house.world.texts("tea") == []
    assert not house.clock.getDelayedCalls()


@pytest.mark.parametrize("command", [b"\xff\xf1", IAC + DO + TIMING_MARK, IAC + WILL + ECHO])
def test_telnet_commands_without_end_are_read_slowly(house: LineHouse, command: bytes) -> None:
    """They are answered, and then the client is read no further for as long as they were many."""
    terminal = house.connect()
    terminal.type(command * (OVERHEAD_BYTES // len(command)))
    assert not terminal.paused
    terminal.type(command * (OVERHEAD_BYTES // len(command)) + b"ping\n")
    assert terminal.paused
    told = terminal.raw()
    assert told.endswith(b"Pong\r\n")
    assert told.count(WILL + TIMING_MARK) in (0, 2 * (OVERHEAD_BYTES // 3))
    house.turn(0.9)
    assert terminal.paused
    house.turn(0.2)
    assert not terminal.paused


def test_a_telnet_flood_that_does_not_end_is_ended(house: LineHouse) -> None:
    """While it is held back it cannot be seen whether the client is still there at all."""
    bob = house.user("bob", "tea")
    terminal = house.user("flood", "tea")
    for _ in range(int(FLOOD_SECONDS / 2)):
        terminal.type(b"\xff\xf1" * OVERHEAD_BYTES)
        assert not terminal.closed
        house.turn(2)
    terminal.type(b"\xff\xf1" * OVERHEAD_BYTES)
    assert terminal.closed
    assert terminal.raw().endswith(f"{error_line(TelnetFlood())}\r\nGoodbye!\r\n".encode())
    assert bob.ask()[-1] == "[T] #tea <-- flood left (telnet flood)"


def test_telnet_commands_that_came_while_the_server_stood_still_are_no_flood(
    house: LineHouse,
) -> None:
    """They come at once then, whenever they were sent."""
    terminal = house.connect()
    terminal.type(b"\xff\xf1" * OVERHEAD_BYTES)
    assert terminal.paused
    house.stand_still(2 * FLOOD_SECONDS)
    terminal.type(b"\xff\xf1" * OVERHEAD_BYTES)
    assert terminal.paused and not terminal.closed


def test_many_telnet_commands_with_a_pause_are_no_flood(house: LineHouse) -> None:
    """Who sends too many now and then is slowed down and nothing else."""
    terminal = house.connect()
    for _ in range(20):
        terminal.type(b"\xff\xf1" * OVERHEAD_BYTES)
        house.turn(2)
        house.turn(1.5)
    assert not terminal.closed


def test_two_reasons_to_wait_are_both_waited_for(house: LineHouse) -> None:
    """A client that sends too much of both is read on when neither holds it back."""
    terminal = house.user("alice", "tea")
    house.instance.gate.hold("users")
    terminal.type(b"users\n" + b"ping\n" * CROWDED + b"\n" * LOOK_AHEAD)
    assert terminal.paused
    terminal.type(b"\xff\xf1" * OVERHEAD_BYTES)
    house.instance.gate.release()
    assert terminal.paused
    house.turn(2)
    assert not terminal.paused


@pytest.mark.parametrize("end", ["lost", "exit", "down"])
def test_nothing_is_left_of_a_rest(end: str, house: LineHouse) -> None:
    """Who ends while it is held back is gone as anybody else."""
    terminal = house.connect()
    tail = b"exit\n" if end == "exit" else b""
    terminal.type(b"\xff\xf1" * OVERHEAD_BYTES + tail)
    if end == "down":
        house.connections.close_all()
    terminal.lose()
    house.turn()
    assert not house.clock.getDelayedCalls()


def test_a_crowded_connection_is_read_on_when_all_is_done(house: LineHouse) -> None:
    """Commands beyond what may wait stay in the network until those before them are done."""
    terminal = house.user("alice", "tea")
    house.instance.gate.hold("users")
    more = LOOK_AHEAD // 5 + 50
    terminal.type(b"users\n" + b"ping\n" * (CROWDED + more))
    assert terminal.paused
    house.instance.gate.release()
    assert not terminal.paused
    assert terminal.read() == ["Users in tea: alice", *["Pong"] * (CROWDED + more)]


def test_a_long_line_after_a_crowd_keeps_its_place(house: LineHouse) -> None:
    """What is too long is told of between the answers of its neighbours."""
    terminal = house.user("alice", "tea")
    house.instance.gate.hold("users")
    terminal.type(b"users\n" + b"ping\n" * CROWDED + b"x" * 5000 + b"\nusers\n")
    house.instance.gate.release()
    lines = terminal.read()
    assert lines[CROWDED].startswith("Pong")
    assert lines[CROWDED + 1].endswith("(line-too-long)")
    assert lines[CROWDED + 2] == "Users in tea: alice"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("end", ["read on", "lost"])
def test_half_closing_after_a_crowd_finishes_all_of_it(
    when: str, end: str, house: LineHouse
) -> None:
    """A file of commands sent by ``nc -N`` is carried out to its last line."""
    bob = house.user("bob", "tea")
    terminal = house.user("alice", "tea")
    house.instance.gate.hold("users")
    terminal.type(b"users\n" + b"send x\n" * (3 * CROWDED + 44) + b"send last")
    assert terminal.protocol.paused
    if when == "before":
        terminal.half_close()
        if end == "lost":
            terminal.lose()
    assert house.world.texts("tea") == []
    house.instance.gate.release()
    if when == "after":
        terminal.half_close()
    house.turn()
    assert house.world.texts("tea") == ["x"] * (3 * CROWDED + 44) + ["last"]
    if not terminal.lost:
        assert terminal.read()[-1] == "Goodbye!"
    assert bob.ask()[-1] == "[T] #tea <-- alice left"
    assert len(house.instance.hub.sessions) == 1


def test_nothing_is_carried_out_of_who_is_gone_in_a_crowd(house: LineHouse) -> None:
    """A connection that breaks takes with it all that was not begun, and what waited to be cut."""
    terminal = house.user("alice", "tea")
    house.instance.gate.hold("users")
    terminal.type(b"users\n" + b"send x\n" * (3 * CROWDED))
    terminal.lose()
    house.instance.gate.release()
    house.turn()
    assert house.world.texts("tea") == []
    assert not house.instance.hub.sessions


def test_the_server_going_wrong_is_told_and_logged(house: LineHouse) -> None:
    """A mistake of the server ends in an error line, not in silence, and the connection goes on."""
    terminal = house.user("alice", "tea")
    house.instance.gate.fail("users", cast(Any, ZeroDivisionError("boo")))
    with capturedLogs() as logged:
        assert terminal.ask("users", "ping") == [
            "Error: this server made a mistake; try something else (internal)",
            "Pong",
        ]
    assert [event["log_failure"].type for event in logged] == [ZeroDivisionError]


@pytest.mark.parametrize("way", ["exit", "half-closing"])
def test_the_server_going_wrong_holds_nobody_who_goes(house: LineHouse, way: str) -> None:
    """Nobody is left with a connection behind which there is no session."""
    terminal = house.user("alice", "tea")
    house.instance.gate.fail("release", cast(Any, ZeroDivisionError("boo")))
    with capturedLogs() as logged:
        if way == "exit":
            terminal.type(b"exit\n")
        else:
            terminal.half_close()
        house.turn()
    assert terminal.closed
    assert not house.instance.hub.sessions
    assert [event["log_failure"].type for event in logged] == [ZeroDivisionError]


def test_a_message_that_fails_is_told_of_in_place(house: LineHouse) -> None:
    """An error of a message sent earlier is a line of its own."""
    terminal = house.user("alice", "tea")
    house.instance.gate.fail("append", NotStored())
    assert terminal.ask("send hi") == [error_line(NotStored())]


# Real sockets.


def conversation(address: Any, wrap: Callable[[socket.socket], socket.socket]) -> bytes:
    """Greet, ask and exit, over a socket that blocks."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as plain:
        plain.settimeout(10)
        plain.connect(address)
        with wrap(plain) as client:
            client.sendall(b"ping\nexit\n")
            got = b""
            while data := client.recv(4096):
                got += data
    return got


PROXY_HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 5678\r\n"


def half_closing(address: Any, commands: bytes, context: ssl.SSLContext | None) -> bytes:
    """Send commands and end the input, over TLS by close_notify, else by shutdown; read on."""
    with socket.socket() as plain:
        plain.settimeout(10)
        plain.connect(address)
        if context:
            commands = encrypt_to_the_end(plain, commands, context)
        plain.sendall(commands)
        if not context:
            plain.shutdown(socket.SHUT_WR)
        got = b""
        while data := plain.recv(4096):
            got += data
        return got


def encrypt_to_the_end(plain: socket.socket, data: bytes, context: ssl.SSLContext) -> bytes:
    """Shake hands, and return the data and the close_notify after it, to be sent."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(65536))
    tls.write(data)
    with contextlib.suppress(ssl.SSLError):  # the server has not said it yet
        tls.unwrap()
    return outgoing.read()


def make_real(house: LineHouse) -> Any:
    """Have a house served by the reactor, which is returned."""
    reactor = cast(Any, _reactor)
    house.factory.reception = Reception(
        reactor, house.instance.hub, house.connections, Flusher(reactor), "one"
    )
    return reactor


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # Twisted's endpoint
@pytest.mark.parametrize("first_byte", [False, True])
@pytest.mark.parametrize("kind", ["tcp", "haproxy", "ssl"])
@promise
async def test_ending_the_input_finishes_what_was_asked(
    kind: str, first_byte: bool, certificates: Certificates
) -> None:
    """Behind a proxy as without; over TLS it is carried out as well, but cannot be answered."""
    house = LineHouse(flood=(100.0, 1))
    reactor = make_real(house)
    factory: Any = house.factory
    if first_byte:
        factory = FirstByteFactory(factory, lambda client: cast(Any, None))
    descriptions = {
        "tcp": "tcp:0:interface=127.0.0.1",
        "haproxy": "haproxy:tcp:0:interface=127.0.0.1",
        "ssl": f"ssl:0:interface=127.0.0.1:certKey={certificates.certificate}"
        f":privateKey={certificates.key}",
    }
    port = await serverFromString(reactor, descriptions[kind]).listen(factory)
    commands = b"nick ann\njoin tea\nsend one\nsend two\nhistory\nsend three"
    header = PROXY_HEADER if kind == "haproxy" else b""
    context = certificates.client_context() if kind == "ssl" else None
    address = ("127.0.0.1", port.getHost().port)
    got = await deferToThread(half_closing, address, header + commands, context)
    if kind != "ssl":
        assert got.endswith(b"ann: three\r\nGoodbye!\r\n")
    await eventually(lambda: not house.instance.hub.sessions, message="the session goes on")
    assert house.world.texts("tea") == ["one", "two", "three"]
    await maybeDeferred(port.stopListening)
    await house.connections.all_gone()


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # Twisted's endpoint
@promise
async def test_a_tls_connection_that_breaks_off_is_lost(certificates: Certificates) -> None:
    """Without close_notify nobody knows whether that was all: the others read that it was lost."""
    house = LineHouse()
    bob = house.user("bob", "tea")
    reactor = make_real(house)
    port = await serverFromString(
        reactor,
        f"ssl:0:interface=127.0.0.1:certKey={certificates.certificate}"
        f":privateKey={certificates.key}",
    ).listen(house.factory)

    def breaking_off() -> None:
        with socket.create_connection(("127.0.0.1", port.getHost().port), 10) as plain:
            context = certificates.client_context()
            client = context.wrap_socket(plain, server_hostname="127.0.0.1")
            client.sendall(b"nick ann\njoin tea\nping\n")
            got = b""
            while b"Pong" not in got:
                got += client.recv(4096)
            client.close()

    await deferToThread(breaking_off)
    await eventually(lambda: len(house.instance.hub.sessions) == 1, message="ann is still there")
    assert bob.ask()[-1] == "[T] #tea <-- ann left (connection lost)"
    await maybeDeferred(port.stopListening)


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # Twisted's endpoint
@pytest.mark.parametrize("kind", ["tcp", "unix", "ssl", "haproxy"])
@promise
async def test_every_kind_of_listener_works(
    kind: str, certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The protocol is the same over TCP, TLS, a unix socket and behind a proxy."""
    monkeypatch.chdir(tmp_path)
    house = LineHouse()
    reactor = make_real(house)
    descriptions = {
        "tcp": "tcp:0:interface=127.0.0.1",
        "unix": "unix:chat",
        "ssl": f"ssl:0:interface=127.0.0.1:certKey={certificates.certificate}"
        f":privateKey={certificates.key}",
        "haproxy": "haproxy:tcp:0:interface=127.0.0.1",
    }
    port = await serverFromString(reactor, descriptions[kind]).listen(house.factory)

    def wrap(plain: socket.socket) -> socket.socket:
        if kind == "haproxy":
            plain.sendall(PROXY_HEADER)
        if kind != "ssl":
            return plain
        context = certificates.client_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context.wrap_socket(plain, server_hostname="127.0.0.1")

    address = "chat" if kind == "unix" else ("127.0.0.1", port.getHost().port)
    got = await deferToThread(conversation, address, wrap)
    assert got == f"{GREETING}Pong\r\nGoodbye!\r\n".encode()
    await maybeDeferred(port.stopListening)
    await house.connections.all_gone()


def test_lines_that_come_together_are_stored_together(house: LineHouse) -> None:
    """Whoever pastes a text costs the room one delivery, not one for each line."""
    writer, reader = house.user("alice", "tea"), house.user("bob", "tea")
    writer.type(b"send a\r\nsend b\r\nsend c\r\nusers\r\nsend d\r\n")
    assert house.instance.log.given == [["a", "b", "c"], ["d"]]
    assert [line.rpartition(" ")[2] for line in reader.read()] == ["a", "b", "c", "d"]
    writer.send("send e", "send f")
    assert house.instance.log.given[2:] == [["e"], ["f"]]
