"""The binary protocol as one connection speaks it, on a chat in memory."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport

from disroom.chat.errors import NotStored
from disroom.chat.events import Draft
from disroom.chat.names import Nick, RoomName
from disroom.chat.outgoing import DELAYED_SECONDS
from disroom.transports.firstbyte import FirstByteFactory
from disroom.transports.frame import FrameProtocol, frame_format
from disroom.transports.lane import CROWDED
from disroom.transports.line import LineFactory, LineSettings
from disroom.transports.peer import REMEMBERED
from disroom.wire.errors import GoingDown
from disroom.wire.frame import LENGTH_BYTES, MOST_BYTES, FrameDecoder, encode
from disroom.wire.line import GOODBYE, PONG, WELCOME, LineFormat
from disroom.wire.requests import OPS
from tests.chat.world import outcome
from tests.transports.house import FarEnd, House

Map = dict[str, Any]


class FrameHouse(House):
    """A server that speaks lines and frames on the same port."""

    def __init__(
        self, *, most: int = 100, beside: FrameHouse | None = None, **settings: Any
    ) -> None:
        super().__init__(most=most, beside=beside)
        lines = LineFactory(
            self.reception,
            format=LineFormat(),
            settings=LineSettings(**{"flood": None, "unnamed": 0.0, **settings}),
        )
        format_ = frame_format()
        self.factory = FirstByteFactory(lines, lambda client: FrameProtocol(client, format_))

    def program(self, nick: str = "", *rooms: str) -> Program:
        """Let a program in, with a name and rooms where they are given."""
        program = Program(self)
        if nick:
            program.ask("nick", nick=nick)
        for room in rooms:
            program.ask("join", room=room)
        program.read()
        return program


class Program(FarEnd):
    """The client's side of a connection: counts its requests from 1 on."""

    def __init__(self, house: FrameHouse) -> None:
        super().__init__(house, house.factory, StringTransport())
        self._decoder = FrameDecoder(1 << 30)
        self._greeted = False
        self.last = 0

    def request(self, op: str, **fields: Any) -> bytes:
        """The frame of the next request."""
        self.last += 1
        return encode(msgspec.msgpack.encode({"op": op, "id": self.last, **fields}))

    def ask(self, op: str, **fields: Any) -> None:
        """Send a request."""
        self.type(self.request(op, **fields))

    def read(self) -> list[Map]:
        """What the program was sent since this was asked the last time."""
        self.house.turn()
        data: bytes = self.transport.value()
        self.transport.clear()
        if not self._greeted:
            _, zero, data = data.partition(b"\0")
            self._greeted = bool(zero)
            data = zero + data
        return [msgspec.msgpack.decode(body) for body in self._decoder.feed(data)]

    def answer(self, op: str, **fields: Any) -> Map:
        """Send a request and return its answer, of which there is one."""
        self.ask(op, **fields)
        (answer,) = [m for m in self.read() if m["type"] in ("ok", "error")]
        assert answer.pop("id") == self.last
        return answer


@pytest.fixture
def house() -> FrameHouse:
    """A server without a limit on requests."""
    return FrameHouse()


def without(fields: Map, *names: str) -> Map:
    """The rest of the fields."""
    return {name: value for name, value in fields.items() if name not in names}


# Which of the two it is.


def test_the_first_byte_tells_frames_from_lines(house: FrameHouse) -> None:
    """People and devices meet on one port, each in its own way."""
    device, person = house.program(), house.program()
    assert device.answer("ping") == {"type": "ok"}
    person.type(b"ping\r\n")
    house.turn()
    assert person.transport.value() == f"{PONG}\r\n".encode()


def test_everybody_is_greeted_in_text_without_a_zero(house: FrameHouse) -> None:
    """A program passes over the greeting by looking for the first 0x00."""
    device = Program(FrameHouse(motd=("Grüße", "👋")))
    device.house.turn()
    greeting = device.transport.value()
    assert greeting.decode() == f"{WELCOME}\r\nGrüße\r\n👋\r\n"
    assert b"\0" not in greeting
    device.type(b"", device.request("ping"))
    assert device.read() == [{"type": "ok", "id": 1}]


def test_a_zero_later_on_begins_no_frame(house: FrameHouse) -> None:
    """CR NUL, which telnet sends for Enter, is a line's end and not more."""
    person = house.program()
    person.type(b"p", b"ing\r", b"\0", b"ping\r\0")
    house.turn()
    assert person.transport.value() == f"{PONG}\r\n{PONG}\r\n".encode()


@given(st.lists(st.integers(1, 40), max_size=10))
@settings(max_examples=25)
def test_requests_are_read_however_they_are_split(sizes: list[int]) -> None:
    """The network may cut where it likes."""
    device = FrameHouse().program()
    stream = device.request("nick", nick="dev-1") + device.request("ping")
    for size in sizes:
        device.type(*filter(None, [stream[:size]]))
        stream = stream[size:]
    device.type(*filter(None, [stream]))
    assert device.read() == [
        {"type": "ok", "id": 1, "nick": "dev-1"},
        {"type": "ok", "id": 2},
    ]


# What may be asked.


def test_every_request_is_answered(house: FrameHouse) -> None:
    """A device can do all that a person can do."""
    house.program("bob", "tea").ask("topic", room="tea", text="Oolong")
    device = house.program("dev")
    members = device.answer("join", room="tea")["members"]
    assert [member["nick"] for member in members] == ["bob", "dev"]
    asked: dict[str, Map] = {
        "nick": {"nick": "dev-1"},
        "join": {"room": "pot"},
        "send": {"room": "tea", "text": "23.5"},
        "me": {"room": "tea", "text": "blinks"},
        "topic": {"room": "tea"},
        "msg": {"nick": "bob", "text": "psst"},
        "users": {"room": "tea"},
        "rooms": {},
        "history": {"room": "tea", "count": 2},
        "away": {"text": "lunch"},
        "ignore": {"nick": "bob"},
        "unignore": {"nick": "bob"},
        "whois": {"nick": "bob"},
        "ping": {},
        "motd": {},
        "leave": {"room": "pot"},
        "exit": {},
    }
    answers = {op: device.answer(op, **fields) for op, fields in asked.items()}
    assert {op: answer["type"] for op, answer in answers.items()} == dict.fromkeys(asked, "ok")
    assert asked.keys() | {"hello"} == OPS.keys()
    assert answers["send"] == {"type": "ok", "room": "tea", "seq": 2}
    assert answers["topic"]["topic"]["text"] == "Oolong"
    assert [m["text"] for m in answers["history"]["messages"]] == ["23.5", "blinks"]
    assert answers["whois"]["rooms"] == ["tea"]
    assert answers["motd"] == {"type": "ok", "lines": []}
    assert device.closed


def test_a_topic_is_taken_away_by_an_empty_text(house: FrameHouse) -> None:
    """Programs are told so by an event with an empty text, and find no topic from then on."""
    bob, device = house.program("bob", "tea"), house.program("dev", "tea")
    bob.answer("topic", room="tea", text="Oolong")
    device.read()
    assert bob.answer("topic", room="tea", text="") == {"type": "ok", "room": "tea", "seq": 2}
    (event,) = device.read()
    assert (event["type"], event["nick"], event["text"]) == ("topic", "bob", "")
    assert device.answer("topic", room="tea") == {"type": "ok", "room": "tea"}
    assert bob.answer("topic", room="tea", text=" \u200b ")["code"] == "empty-text"


def test_what_happens_is_told(house: FrameHouse) -> None:
    """A device hears what the people on the same server do, and they hear it."""
    device, bob = house.program("dev", "tea"), house.program("bob", "tea")
    (joined,) = device.read()
    assert (joined["type"], [member["nick"] for member in joined["members"]]) == ("joined", ["bob"])
    bob.ask("send", room="tea", text="hello")
    bob.ask("me", room="tea", text="waves")
    bob.ask("topic", room="tea", text="Oolong")
    bob.ask("nick", nick="rob")
    bob.ask("away", text="lunch")
    bob.ask("msg", nick="dev", text="psst")
    bob.ask("exit")
    told = device.read()
    assert [m["type"] for m in told] == [
        "said",
        "did",
        "topic",
        "renamed",
        "away",
        "private",
        "left",
    ]
    assert without(told[0], "at", "id", "session") == {
        "type": "said",
        "room": "tea",
        "seq": 1,
        "nick": "bob",
        "text": "hello",
    }
    assert len({m["session"] for m in told[:4]}) == 1
    assert told[4]["member"] == {"session": told[0]["session"], "nick": "rob", "away": True}


def test_a_sender_is_told_the_seq_and_sees_its_message(house: FrameHouse) -> None:
    """The answer is the receipt; the message itself comes in the room's order as to everybody."""
    device = house.program("dev", "tea")
    device.ask("send", room="tea", text="one")
    device.ask("send", room="tea", text="two")
    told = device.read()
    said = [m["seq"] for m in told if m["type"] == "said"]
    assert said == [1, 2]
    assert [(m["id"], m["seq"]) for m in told if m["type"] == "ok"] == [
        (device.last - 1, 1),
        (device.last, 2),
    ]


def test_the_same_key_is_stored_once(house: FrameHouse) -> None:
    """A device that does not know whether it was heard says it again, without harm."""
    device = house.program("dev", "tea")
    first = device.answer("send", room="tea", text="23.5", key="r-1")
    again = device.answer("send", room="tea", text="23.5", key="r-1")
    assert first == again == {"type": "ok", "room": "tea", "seq": 1}
    assert house.world.texts("tea") == ["23.5"]


def test_while_a_message_waits_other_requests_are_answered(house: FrameHouse) -> None:
    """A send is queued in order, and its answer comes when it is stored."""
    device = house.program("dev", "tea")
    house.instance.gate.hold("append")
    device.ask("send", room="tea", text="one")
    assert device.answer("ping") == {"type": "ok"}
    house.instance.gate.release()
    (ok,) = [m for m in device.read() if m["type"] == "ok"]
    assert (ok["id"], ok["seq"]) == (device.last - 1, 1)


def test_what_is_late_or_not_stored_is_told_with_the_request(house: FrameHouse) -> None:
    """A device knows which of its messages is concerned."""
    device = house.program("dev", "tea")
    house.instance.gate.hold("append answer")
    device.ask("send", room="tea", text="one")
    sent = device.last
    house.instance.gate.release()
    device.read()
    house.instance.gate.hold("append")
    house.instance.gate.fail("append", NotStored())
    device.ask("send", room="tea", text="two")
    sent = device.last
    house.turn(DELAYED_SECONDS)
    house.instance.hub.tick()
    assert device.read() == [{"type": "delayed", "room": "tea", "request": sent}]
    house.instance.gate.release()
    assert device.read() == [
        {"type": "error", "id": sent, "code": "not-stored", "message": NotStored().message}
    ]


def test_what_was_reported_as_not_stored_and_is_there_is_told_with_the_request(
    house: FrameHouse,
) -> None:
    """A device that was told to send again learns that it need not."""
    device = house.program()
    session = device.answer("hello", nick="dev")["session"]
    device.answer("join", room="tea")
    house.instance.gate.fail("append", NotStored())
    assert device.answer("send", room="tea", text="23.5", key="r-1")["code"] == "not-stored"
    sent, id_ = device.last, f"{session}-r-1"
    draft = Draft(id_, "said", Nick.parse("dev"), session, "23.5")
    outcome(house.world.stream.append(RoomName.parse("tea"), draft))
    stored = {"type": "stored", "room": "tea", "seq": 1, "id": id_, "request": sent}
    assert [m for m in device.read() if m["type"] == "stored"] == [stored]


def test_only_the_last_requests_are_remembered(house: FrameHouse) -> None:
    """What a client that sends for years makes the server keep is bounded."""
    device = house.program("dev", "tea")
    for number in range(REMEMBERED + 10):
        device.ask("send", room="tea", text=f"{number}")
        house.turn()
    speech: Any = device.protocol._spoken._client._speech
    assert len(speech._requests) == REMEMBERED


# Going on after a lost connection.


def test_a_hello_begins_and_tells_what_resuming_takes(house: FrameHouse) -> None:
    """A client that says hello may lose its connection without losing its place."""
    device = house.program()
    hello = device.answer("hello", nick="dev")
    assert hello["token"].startswith(hello["session"])
    assert without(hello, "token", "session") == {
        "type": "ok",
        "version": 1,
        "grace": house.instance.hub.limits.grace,
        "log": house.instance.log.identity,
        "instance": "one",
        "nick": "dev",
        "rooms": [],
    }
    assert device.answer("whois", nick="dev")["nick"] == "dev"


def test_a_hello_whose_nick_is_taken_begins_nothing(house: FrameHouse) -> None:
    """The client is told, and may say hello again with another nick."""
    house.program("dev")
    device = house.program()
    assert device.answer("hello", nick="dev")["code"] == "nick-taken"
    assert device.answer("hello", nick="dev-2")["nick"] == "dev-2"


def test_who_resumes_gets_what_it_missed_once_and_in_order(house: FrameHouse) -> None:
    """Nothing is missing and nothing comes twice, whatever the line did."""
    bob = house.program("bob", "tea")
    device = house.program()
    hello = device.answer("hello", nick="dev")
    device.ask("join", room="tea")
    bob.ask("send", room="tea", text="one")
    seen = [m["seq"] for m in device.read() if m["type"] == "said"]
    device.lose()
    house.turn()
    assert [(m["type"], m["member"].get("away")) for m in bob.read() if m["type"] == "away"] == [
        ("away", True)
    ]
    bob.ask("send", room="tea", text="two")
    bob.ask("send", room="tea", text="three")
    device = house.program()
    device.ask("hello", token=hello["token"], log=hello["log"], seqs={"tea": seen[-1]})
    answer, *missed = device.read()
    assert answer["nick"] == "dev"
    assert answer["token"] != hello["token"]
    assert [(room["room"], room["total"]) for room in answer["rooms"]] == [("tea", 2)]
    bob.ask("send", room="tea", text="four")
    said = [m["text"] for m in [*missed, *device.read()] if m["type"] == "said"]
    assert said == ["two", "three", "four"]
    assert not [m for m in bob.read() if m["type"] in ("joined", "left")]


def test_who_does_not_say_what_it_has_seen_is_shown_the_last_messages(house: FrameHouse) -> None:
    """Where the instance before had not found it lost, the answer has them; then what is new."""
    bob = house.program("bob", "tea")
    device = house.program()
    token = device.answer("hello", nick="dev")["token"]
    device.ask("join", room="tea")
    bob.ask("send", room="tea", text="one")
    device = FrameHouse(beside=house).program()
    device.ask("hello", token=token)
    (answer,) = device.read()
    (tea,) = answer["rooms"]
    assert answer["instance"] == "two"
    assert ([m["text"] for m in tea["messages"]], tea["older"]) == (["one"], False)
    bob.ask("send", room="tea", text="two")
    assert [m["text"] for m in device.read() if m["type"] == "said"] == ["two"]


def test_another_log_is_told_as_a_gap(house: FrameHouse) -> None:
    """A client is told plainly that what it has seen says nothing about what it has missed."""
    device = house.program()
    hello = device.answer("hello", nick="dev")
    device.ask("join", room="tea")
    device.lose()
    device = house.program()
    device.ask("hello", token=hello["token"], log="another", seqs={"tea": 7})
    assert {"type": "gap", "room": "tea"} in device.read()


def test_a_token_is_good_until_the_next_has_been_used(house: FrameHouse) -> None:
    """An answer that was lost strands nobody; a token that was found in a log is worth little."""
    device = house.program()
    token = device.answer("hello", nick="dev")["token"]
    device.lose()
    device = house.program()
    device.ask("hello", token=token)
    device.lose()
    device = house.program()
    answer = device.answer("hello", token=token)
    assert answer["nick"] == "dev"
    device.answer("ping")
    device.lose()
    device = house.program()
    assert device.answer("hello", token=token)["code"] == "no-session"
    assert device.answer("hello", token=answer["token"])["nick"] == "dev"


def test_the_end_of_the_input_uses_no_token(house: FrameHouse) -> None:
    """Who gave up before the answer came hung up in good order, and never had the next token."""
    device = house.program()
    token = device.answer("hello", nick="dev")["token"]
    device.lose()
    device = house.program()
    device.ask("hello", token=token)
    device.protocol.readConnectionLost()
    house.turn()
    device.lose()
    assert house.program().answer("hello", token=token).get("nick") == "dev"


def test_a_message_that_was_under_way_is_sent_again_under_its_key(house: FrameHouse) -> None:
    """A device that lost its connection before the answer sends again, and it is stored once."""
    device = house.program()
    hello = device.answer("hello", nick="dev")
    device.ask("join", room="tea")
    device.ask("send", room="tea", text="23.5", key="r-1")
    device.lose()
    device = house.program()
    device.ask("hello", token=hello["token"], log=hello["log"], seqs={"#TEA": 0})
    device.read()
    assert device.answer("send", room="tea", text="23.5", key="r-1")["seq"] == 1
    assert house.world.texts("tea") == ["23.5"]


@pytest.mark.parametrize("token", ["", "x", "a.b", "é.é", "x" * 60_000])
def test_a_token_of_no_session_is_refused(house: FrameHouse, token: str) -> None:
    """Whoever guesses gets nothing, and may begin anew."""
    device = house.program()
    assert device.answer("hello", token=token)["code"] == "no-session"
    assert device.answer("hello", nick="dev")["nick"] == "dev"


def test_who_is_resumed_elsewhere_is_told_goodbye(house: FrameHouse) -> None:
    """Two connections are never one session at once."""
    device = house.program()
    token = device.answer("hello", nick="dev")["token"]
    second = house.program()
    assert second.answer("hello", token=token)["nick"] == "dev"
    assert [(m["type"], m["code"]) for m in device.read()] == [("goodbye", "resumed-elsewhere")]
    assert device.closed
    assert second.answer("ping") == {"type": "ok"}


# What is wrong.


def test_a_request_that_does_not_fit_is_refused_and_the_next_is_read(house: FrameHouse) -> None:
    """A mistake costs its own request and nothing else."""
    device = house.program("dev", "tea")
    assert device.answer("send", room="tea") == {
        "type": "error",
        "code": "bad-request",
        "message": "text: the field is missing",
    }
    assert device.answer("dance")["code"] == "unknown-command"
    assert device.answer("join", room="a b")["code"] == "bad-room"
    assert device.answer("history", room="pot")["code"] == "not-in-room"
    assert device.answer("nick", nick="dev-2")["type"] == "ok"


def test_without_a_name_one_is_asked_for(house: FrameHouse) -> None:
    """Nobody is in a room without a name."""
    assert house.program().answer("join", room="tea")["code"] == "no-nick"


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (encode(b""), "bad-frame"),
        (encode(b"\xc1"), "bad-frame"),
        (encode(b"\x93\x01\x02\x03"), "bad-frame"),
        (encode(b"\x91" * 60_000 + b"\xc0"), "bad-frame"),
        ((MOST_BYTES + 1).to_bytes(LENGTH_BYTES, "big"), "frame-too-long"),
        (b"\x00\xff\xff\xff", "frame-too-long"),
        (b"\xff" * 100_000, "frame-too-long"),
        (b"GET / HTTP/1.1\r\n\r\n", "frame-too-long"),
    ],
)
def test_what_cannot_be_read_ends_the_connection_with_the_reason(
    house: FrameHouse, bad: bytes, code: str
) -> None:
    """What was asked before is answered, what comes after is not, and the rooms see it leave."""
    device, bob = house.program("dev", "tea"), house.program("bob", "tea")
    device.read()
    device.type(device.request("ping") + bad + device.request("send", room="tea", text="no"))
    ok, goodbye = device.read()
    assert ok == {"type": "ok", "id": device.last - 1}
    assert (goodbye["type"], goodbye["code"]) == ("goodbye", code)
    assert device.closed
    assert house.world.texts("tea") == []
    assert [m["reason"] for m in bob.read() if m["type"] == "left"] == [code.replace("-", " ")]
    device.type(device.request("ping"))
    assert device.read() == []


@pytest.mark.parametrize("bad", [encode(b"\xc1"), b"\xff\xff\xff\xff"])
def test_what_was_sent_before_something_unreadable_is_stored(house: FrameHouse, bad: bytes) -> None:
    """A program's mistake costs nothing of what it said before, in whichever rooms."""
    device = house.program("dev", "tea", "pot")
    house.instance.gate.hold("append")
    rooms = ("tea", "tea", "pot", "tea")
    sends = [device.request("send", room=room, text=f"{n}") for n, room in enumerate(rooms)]
    device.type(b"".join([*sends, bad, device.request("send", room="tea", text="no")]))
    assert device.read() == []
    assert not device.closed
    house.instance.gate.release()
    told = [m["type"] for m in device.read() if m["type"] != "said"]
    assert told == ["ok", "ok", "ok", "ok", "goodbye"]
    assert (house.world.texts("tea"), house.world.texts("pot")) == (["0", "1", "3"], ["2"])
    assert device.closed


def test_after_a_length_that_is_too_great_nothing_is_read(house: FrameHouse) -> None:
    """A client that goes on and on is not read while what it asked before is carried out."""
    device = house.program("dev")
    house.instance.gate.hold("locate")
    device.ask("whois", nick="dev")
    device.type(b"\xff\xff\xff\xff")
    assert device.paused
    house.instance.gate.release()
    assert [m["type"] for m in device.read()] == ["ok", "goodbye"]
    assert device.closed


def test_a_mistake_of_the_server_is_answered(house: FrameHouse) -> None:
    """Even then a client that waits for an answer gets one, and can go on."""
    device = house.program("dev")
    house.instance.gate.fail("locate", ZeroDivisionError())
    assert device.answer("whois", nick="dev")["code"] == "internal"
    assert device.answer("ping") == {"type": "ok"}


# Its pace and its patience are those of lines.


def test_too_many_requests_wait(house: FrameHouse) -> None:
    """A device that floods is slowed down, and is answered in the end."""
    slow = FrameHouse(flood=(10.0, 5))
    device = slow.program()
    device.type(b"".join(device.request("ping") for _ in range(8)))
    assert len(device.read()) == 5
    slow.turn(0.1)
    assert len(device.read()) == 1


def test_who_takes_no_name_or_is_silent_is_closed() -> None:
    """Half a frame and then nothing keeps no place."""
    house = FrameHouse(unnamed=60.0)
    device = house.program()
    device.type(b"\0\0")
    house.turn(60.0)
    (goodbye,) = device.read()
    assert (goodbye["type"], goodbye["code"]) == ("goodbye", "unnamed")
    house = FrameHouse(idle=10.0)
    device = house.program("dev")
    device.type(b"\0")
    house.turn(10.0)
    assert device.read()[-1]["code"] == "idle"
    assert device.closed


def test_who_asks_now_and_then_is_not_silent() -> None:
    """A device that pings is let be."""
    house = FrameHouse(idle=10.0)
    device = house.program("dev")
    for _ in range(3):
        house.turn(6.0)
        assert device.answer("ping") == {"type": "ok"}
    assert not device.closed


def test_while_too_much_waits_nothing_more_is_read(house: FrameHouse) -> None:
    """The rest stays in the network, and is read when there is place again."""
    device = house.program("dev")
    house.instance.gate.hold("locate")
    device.ask("whois", nick="dev")
    device.type(b"".join(device.request("ping") for _ in range(CROWDED)))
    assert device.paused
    house.instance.gate.release()
    assert len(device.read()) == CROWDED + 1
    assert not device.paused


# The end.


def test_a_server_that_goes_down_asks_to_reconnect(house: FrameHouse) -> None:
    """A device knows that it may go on elsewhere at once."""
    device = house.program("dev", "tea")
    house.connections.close_all()
    error = GoingDown()
    assert device.read() == [{"type": "reconnect", "code": error.code, "message": error.message}]
    assert device.closed


def test_exit_is_answered_once_everything_is_stored(house: FrameHouse) -> None:
    """Who is told goodbye has lost nothing."""
    device = house.program("dev", "tea")
    house.instance.gate.hold("append")
    device.ask("send", room="tea", text="last")
    device.ask("exit")
    assert device.read() == []
    house.instance.gate.release()
    told = [m for m in device.read() if m["type"] != "said"]
    assert [(m["type"], m.get("id")) for m in told] == [
        ("ok", device.last - 1),
        ("ok", device.last),
        ("goodbye", None),
    ]
    assert house.world.texts("tea") == ["last"]
    assert device.closed


def test_who_leaves_waits_for_no_pace() -> None:
    """What a program asked before its exit is answered at once, and then it may go."""
    house = FrameHouse(flood=(10.0, 5))
    device = house.program("dev")
    device.type(b"".join(device.request("ping") for _ in range(8)) + device.request("exit"))
    assert [m["type"] for m in device.read()] == ["ok"] * 9 + ["goodbye"]


def test_half_closing_is_exiting(house: FrameHouse) -> None:
    """A program that sends and closes has its requests carried out; half a frame is dropped."""
    device = house.program("dev", "tea")
    device.type(device.request("send", room="tea", text="last") + b"\0\0\0\x10abc")
    device.protocol.readConnectionLost()
    told = [m["type"] for m in device.read()]
    assert told[-1] == "goodbye"
    assert house.world.texts("tea") == ["last"]
    assert device.closed


def test_a_lost_connection_ends_the_session(house: FrameHouse) -> None:
    """Nobody is shown present who is gone."""
    device, bob = house.program("dev", "tea"), house.program("bob", "tea")
    device.lose()
    assert [m["reason"] for m in bob.read() if m["type"] == "left"] == ["connection lost"]
    assert len(house.connections) == 1


def test_who_comes_when_it_is_full_is_told_in_text() -> None:
    """Before its first byte nobody knows what a client speaks."""
    house = FrameHouse(most=1)
    house.program("dev")
    second = Program(house)
    house.turn()
    assert b"server-full" in second.transport.value()
    second.type(second.request("ping"))
    assert second.closed


def test_lines_and_frames_share_a_room(house: FrameHouse) -> None:
    """A person reads what a device says, and the device what the person says."""
    device, person = house.program("dev", "tea"), house.program()
    person.type(b"nick ann\r\njoin tea\r\nsend how warm?\r\n")
    device.ask("send", room="tea", text="23.5")
    assert [m["text"] for m in device.read() if m["type"] == "said"] == ["how warm?", "23.5"]
    person.type(b"exit\r\n")
    house.turn()
    text = person.transport.value().decode()
    assert "#tea dev: 23.5\r\n" in text
    assert text.endswith(f"{GOODBYE}\r\n")


def test_requests_that_come_together_are_stored_together(house: FrameHouse) -> None:
    """A program that sends many messages at once has them stored at once, each with its answer."""
    program = house.program("alice", "tea")
    program.type(b"".join(program.request("send", room="tea", text=text) for text in "abc"))
    assert house.instance.log.given == [["a", "b", "c"]]
    answers = [message for message in program.read() if message["type"] == "ok"]
    assert [answer["id"] for answer in answers] == [3, 4, 5]
    assert [answer["seq"] for answer in answers] == [1, 2, 3]
