"""WebSocket as one connection speaks it, on a chat in memory."""

from __future__ import annotations

import base64
import json
import re
from http import HTTPStatus
from typing import Any

import msgspec
import pytest
from twisted.internet.testing import StringTransport
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from disroom.countdown import EXCUSED
from disroom.transports.connections import Connections
from disroom.transports.intake import OVERHEAD_BYTES
from disroom.transports.reception import ClientSettings
from disroom.transports.web import web_site
from disroom.transports.webchannel import HTTP_SECONDS, LAST_SECONDS, SILENCE_SECONDS
from disroom.transports.websocket import PING_SECONDS, PONG_SECONDS
from disroom.transports.webvisitor import Origins, Proxies
from disroom.wire.errors import GoingDown
from disroom.wire.websocket import MOST_BYTES
from tests.transports.house import FarEnd, House

Map = dict[str, Any]

HANDSHAKE = {
    "Host": "chat.example.org",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
}


class WebHouse(House):
    """A server with a web site."""

    def __init__(
        self,
        *,
        most: int = 100,
        per_address: int = 0,
        origins: tuple[str, ...] = (),
        proxies: tuple[str, ...] = (),
        **settings: Any,
    ) -> None:
        super().__init__(most=most, per_address=per_address)
        self.site = web_site(
            self.reception,
            ClientSettings(**{"flood": None, "unnamed": 0.0, **settings}),
            origins=Origins(origins),
            proxies=Proxies(proxies),
            visitors=Connections(most, per_address),
        )

    def browser(self, **headers: str | None) -> Browser:
        """Open a WebSocket."""
        browser = Browser(self)
        browser.request("/ws", **{**HANDSHAKE, **headers})
        return browser

    def member(self, nick: str, *rooms: str) -> Browser:
        """Open a WebSocket with a name, in some rooms."""
        browser = self.browser()
        browser.ask("hello", nick=nick)
        for room in rooms:
            browser.ask("join", room=room)
        browser.read()
        return browser


class _Transport(StringTransport):
    """A connection that has an address and can be reset."""

    aborted = False

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Take note."""
        self.aborted = True


class Browser(FarEnd):
    """The client's side of a connection: HTTP first, then a WebSocket."""

    def __init__(self, house: WebHouse) -> None:
        transport = _Transport()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        super().__init__(house, house.site, transport)
        self.wire = Connection(ConnectionType.CLIENT)
        self.answered: bytes | None = None
        self.closing: CloseConnection | None = None
        self.pings = 0
        self.pongs = 0
        self.last = 0

    def request(self, path: str, method: str = "GET", /, **headers: str | None) -> bytes:
        """Send an HTTP request and return what is answered."""
        lines = [f"{method} {path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items() if value is not None]
        self.type("\r\n".join([*lines, "", ""]).encode())
        self.house.turn()
        data: bytes = self.transport.value()
        head, _, rest = data.partition(b"\r\n\r\n")
        self.transport.clear()
        self.answered = head
        if head.startswith(b"HTTP/1.1 101"):
            self.wire.receive_data(rest)
        return data

    def ask(self, op: str, **fields: Any) -> None:
        """Send a request as JSON."""
        self.last += 1
        self.send({"op": op, "id": self.last, **fields})

    def send(self, message: Any, *, binary: bool = False) -> None:
        """Send a message."""
        if binary:
            self.type(self.wire.send(BytesMessage(msgspec.msgpack.encode(message))))
        else:
            text = message if isinstance(message, str) else json.dumps(message)
            self.type(self.wire.send(TextMessage(text)))

    def read(self) -> list[Map]:
        """The messages that came since this was asked the last time."""
        self.house.turn()
        self.wire.receive_data(self.transport.value())
        self.transport.clear()
        messages = []
        for event in self.wire.events():
            match event:
                case TextMessage():
                    messages.append(json.loads(event.data))
                case BytesMessage():
                    messages.append(msgspec.msgpack.decode(event.data))
                case CloseConnection():
                    self.closing = event
                case Ping():
                    self.pings += 1
                case Pong():
                    self.pongs += 1
        return messages

    def answer(self, op: str, **fields: Any) -> Map:
        """Send a request and return its answer, of which there is one."""
        self.ask(op, **fields)
        (answer,) = [m for m in self.read() if m["type"] in ("ok", "error")]
        assert answer.pop("id") == self.last
        return answer

    @property
    def close_code(self) -> int | None:
        """The code of the close frame that came, if one did."""
        self.read()
        return self.closing.code if self.closing else None


@pytest.fixture
def house() -> WebHouse:
    """A server without a limit on requests."""
    return WebHouse()


# The handshake.


def test_a_handshake_is_answered_and_the_chat_goes_on(house: WebHouse) -> None:
    """The answer is the one of the RFC for its key, and names no extension or subprotocol."""
    browser = house.browser(**{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
    assert browser.answered == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    )
    assert browser.answer("hello", nick="alice")["nick"] == "alice"
    assert browser.answer("ping") == {"type": "ok"}


@pytest.mark.parametrize("packets", ["one", "bytes"])
def test_what_comes_with_the_handshake_is_not_lost(house: WebHouse, packets: str) -> None:
    """A client may be eager, and a packet may end anywhere."""
    browser = Browser(house)
    head = "".join(f"{name}: {value}\r\n" for name, value in HANDSHAKE.items())
    ping = browser.wire.send(TextMessage(json.dumps({"op": "ping", "id": 7})))
    data = f"GET /ws HTTP/1.1\r\n{head}\r\n".encode() + ping
    browser.type(*([data] if packets == "one" else [bytes([byte]) for byte in data]))
    house.turn()
    answer = browser.transport.value().partition(b"\r\n\r\n")[2]
    browser.wire.receive_data(answer)
    (event,) = browser.wire.events()
    assert isinstance(event, TextMessage)
    assert json.loads(event.data) == {"type": "ok", "id": 7}


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Upgrade", None, 400),
        ("Connection", None, 400),
        ("Sec-WebSocket-Key", None, 400),
        ("Sec-WebSocket-Key", "too short", 400),
        ("Sec-WebSocket-Version", "8", 426),
        ("Origin", "https://evil.example", 403),
        ("Origin", "null", 403),
    ],
)
def test_what_is_no_handshake_of_ours_is_refused_in_words(
    house: WebHouse, header: str, value: str | None, status: int
) -> None:
    """Nothing of it becomes a session, and version 13 is asked for."""
    browser = house.browser(**{header: value})
    assert browser.answered is not None
    first_line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    assert browser.answered.startswith(first_line.encode())
    assert (b"Sec-Websocket-Version: 13" in browser.answered) is (status == 426)
    assert not house.instance.hub.sessions


def test_pages_of_configured_origins_come_in() -> None:
    """Then those alone, whatever the Host."""
    house = WebHouse(origins=("https://chat.example.org",))
    there = house.browser(Origin="https://chat.example.org", Host="10.0.0.1:8081")
    elsewhere = house.browser(Origin="http://10.0.0.1:8081", Host="10.0.0.1:8081")
    assert there.answered and there.answered.startswith(b"HTTP/1.1 101 ")
    assert elsewhere.answered and elsewhere.answered.startswith(b"HTTP/1.1 403 ")


# Messages.


def test_text_is_json_and_binary_is_messagepack(house: WebHouse) -> None:
    """Each is answered in its own kind, and both hear of each other."""
    page, program = house.member("page", "tea"), house.browser()
    program.send({"op": "hello", "id": 1, "nick": "program"}, binary=True)
    program.send({"op": "join", "id": 2, "room": "tea"}, binary=True)
    program.send({"op": "send", "id": 3, "room": "tea", "text": "hi"}, binary=True)
    program.transport.value()
    assert {"joined", "said"} <= {message["type"] for message in page.read()}
    frames = program.transport.value()
    assert frames[0] == 0x82
    assert [m["type"] for m in program.read()].count("ok") == 3


def test_the_kinds_do_not_mix(house: WebHouse) -> None:
    """The first message said which one it is."""
    browser = house.member("alice")
    browser.send({"op": "ping", "id": 9}, binary=True)
    (goodbye,) = browser.read()
    assert goodbye == {
        "type": "goodbye",
        "code": "bad-frame",
        "message": "messages are all text or all binary; connect again",
    }
    assert browser.closing and browser.closing.code == 1003
    assert browser.transport.disconnecting


@pytest.mark.parametrize("text", ["nonsense", "[]", '"text"', "{", "[" * 5000])
def test_what_is_no_request_closes(house: WebHouse, text: str) -> None:
    """With a goodbye that says why, and a code."""
    browser = house.member("alice")
    browser.send(text)
    (goodbye,) = browser.read()
    assert (goodbye["type"], goodbye["code"]) == ("goodbye", "bad-frame")
    assert browser.closing and browser.closing.code == 1007
    assert browser.transport.disconnecting


def test_a_fault_in_a_field_does_not_close(house: WebHouse) -> None:
    """The client can go on from there."""
    browser = house.member("alice")
    assert browser.answer("join", room=7)["code"] == "bad-request"
    assert browser.answer("dance")["code"] == "unknown-command"
    assert browser.answer("ping") == {"type": "ok"}


def test_a_message_that_is_too_long_closes(house: WebHouse) -> None:
    """In one frame or in fragments."""
    browser = house.member("alice")
    browser.send("x" * (MOST_BYTES + 1))
    (goodbye,) = browser.read()
    assert goodbye["code"] == "frame-too-long"
    assert browser.closing and browser.closing.code == 1009


def test_fragments_are_one_message(house: WebHouse) -> None:
    """However small they are."""
    browser = house.member("alice")
    text = json.dumps({"op": "ping", "id": 5})
    for at, letter in enumerate(text):
        last = at == len(text) - 1
        browser.type(browser.wire.send(TextMessage(letter, message_finished=last)))
    assert browser.read() == [{"type": "ok", "id": 5}]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x81\x02{}", 1002),
        (b"\x81\x82\0\0\0\0\xff\xfe", 1007),
        (b"\x80\x80\0\0\0\0", 1002),
        (b"\xf1\x80\0\0\0\0", 1002),
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_what_breaks_the_protocol_closes_with_a_goodbye_and_its_code(
    house: WebHouse, data: bytes, code: int, binary: bool
) -> None:
    """Not masked, not UTF-8, continuing nothing, with reserved bits: in the client's own kind."""
    browser, other = house.browser(), house.member("bob", "tea")
    browser.send({"op": "hello", "id": 1, "nick": "alice"}, binary=binary)
    browser.send({"op": "join", "id": 2, "room": "tea"}, binary=binary)
    browser.read()
    other.read()
    browser.type(data)
    (goodbye,) = browser.read()
    assert (goodbye["type"], goodbye["code"]) == ("goodbye", "bad-frame")
    assert browser.closing and browser.closing.code == code
    reason = f"bad-frame: {goodbye['message']}"
    assert browser.closing.reason == reason and len(reason) > len("bad-frame: ; connect again")
    assert browser.transport.disconnecting
    left = [(m["type"], m.get("reason")) for m in other.read()]
    assert left == [("left", "bad frame")]


def test_what_a_client_closes_itself_is_answered_with_a_close_alone(house: WebHouse) -> None:
    """As a connection that was lost: its session can be resumed."""
    browser, other = house.member("alice", "tea"), house.member("bob", "tea")
    browser.read()
    browser.type(browser.wire.send(CloseConnection(1000)))
    assert browser.read() == []
    assert browser.closing and browser.closing.code == 1000
    assert [m["type"] for m in other.read()] == ["away"]


@pytest.mark.parametrize(
    "end",
    [
        b"\x81\x02{}",
        b"\x81\x82\0\0\0\0[]",
        b"\x81\xff\0\0\0\0\0\x01\0\x01\0\0\0\0" + b"x" * (MOST_BYTES + 1),
        b"\x82\x81\0\0\0\0\x80",
        b"\x88\x82\0\0\0\0\x03\xe8",
    ],
    ids=["not masked", "no request", "too long", "of the other kind", "a close"],
)
def test_what_was_sent_before_the_end_is_stored(house: WebHouse, end: bytes) -> None:
    """Whether the client closes or breaks the protocol, and in whichever rooms it spoke."""
    browser = house.member("alice", "tea", "pot")
    house.instance.gate.hold("append")
    sent = b""
    for number, room in enumerate(("tea", "tea", "pot", "tea")):
        request = {"op": "send", "id": 9 + number, "room": room, "text": f"{number}"}
        sent += browser.wire.send(TextMessage(json.dumps(request)))
    browser.type(sent + end)
    assert browser.close_code is None
    house.instance.gate.release()
    assert browser.close_code is not None
    assert (house.world.texts("tea"), house.world.texts("pot")) == (["0", "1", "3"], ["2"])
    assert browser.transport.disconnecting


def test_one_event_is_one_frame_for_everybody(house: WebHouse) -> None:
    """It is encoded once, with its frame, for all members."""
    one, two = house.member("one", "tea"), house.member("two", "tea")
    one.read()
    one.ask("send", room="tea", text="hi")
    house.turn()
    sent = [b.transport.value() for b in (one, two)]
    (said,) = re.findall(rb'\x81.{0,3}\{"type":"said".*?\}', sent[1], re.DOTALL)
    assert said in sent[0]


# Pings.


def test_pings_are_answered_with_what_they_carry(house: WebHouse) -> None:
    """At once, and before what waits."""
    browser = house.browser()
    browser.type(browser.wire.send(Ping(b"are you there")))
    assert browser.transport.value() == b"\x8a\x0dare you there"


def test_a_client_that_is_silent_is_asked_and_then_given_up(house: WebHouse) -> None:
    """25 s of silence, and 8 s for the pong."""
    browser = house.member("alice")
    house.turn(PING_SECONDS - 1)
    browser.read()
    assert browser.pings == 0
    house.turn(1)
    browser.read()
    assert browser.pings == 1
    house.turn(PONG_SECONDS - 1)
    assert not browser.transport.aborted
    house.turn(1)
    assert browser.transport.aborted


def test_a_client_that_answers_is_kept(house: WebHouse) -> None:
    """For as long as it does."""
    browser = house.member("alice")
    for _ in range(5):
        house.turn(PING_SECONDS)
        browser.read()
        browser.type(browser.wire.send(Pong(b"")))
    assert browser.pings == 5
    house.turn(PING_SECONDS - 1)
    assert not browser.transport.aborted


def test_a_standstill_of_the_server_costs_nobody_the_connection(house: WebHouse) -> None:
    """The answer that came meanwhile is read; without one the client is asked once more."""
    answering, gone = house.member("alice"), house.member("bob")
    house.turn(PING_SECONDS)
    house.stand_still(3600)
    assert not (answering.transport.aborted or gone.transport.aborted)
    answering.type(answering.wire.send(Pong(b"")))
    house.turn(PONG_SECONDS)
    assert gone.transport.aborted
    house.turn(PING_SECONDS - PONG_SECONDS)
    assert not answering.transport.aborted
    gone.read()
    assert gone.pings == 2


def test_a_server_that_never_keeps_up_waits_for_nobody_for_ever(house: WebHouse) -> None:
    """Where it always looks too late, who answers nothing is given up all the same."""
    browser = house.member("alice")
    for _ in range(EXCUSED + 1):
        assert not browser.transport.aborted
        house.stand_still(PING_SECONDS + 1)
    assert browser.transport.aborted


def test_a_client_that_cannot_be_heard_is_not_given_up() -> None:
    """Whoever asks too much is read no further for a while: its pongs lie unread meanwhile."""
    house = WebHouse(flood=(1.0, 1))
    browser = house.member("alice")
    for _ in range(300):
        browser.ask("ping")
    assert browser.transport.producerState == "paused"
    house.turn(PING_SECONDS)
    house.turn(PONG_SECONDS)
    house.turn(PONG_SECONDS)
    assert not browser.transport.aborted


def test_a_client_that_has_much_to_read_is_not_given_up(house: WebHouse) -> None:
    """The ping lies behind all that, and its answer with it."""
    browser = house.member("alice")
    house.turn(PING_SECONDS)
    browser.transport.producer.pauseProducing()
    house.turn(PONG_SECONDS * 3)
    assert not browser.transport.aborted
    browser.transport.producer.resumeProducing()
    house.turn(PONG_SECONDS)
    assert browser.transport.aborted


def test_pings_without_end_are_read_slowly(house: WebHouse) -> None:
    """They are answered, and then nothing is read for as long as they were too many."""
    browser = house.member("alice")
    pings = browser.wire.send(Ping(b"")) * (OVERHEAD_BYTES // 6 + 1)
    browser.type(pings)
    assert not browser.transport.disconnecting
    browser.type(pings)
    assert browser.transport.producerState == "paused"
    house.turn(3.0)
    assert browser.transport.producerState == "producing"


def test_pings_of_a_client_that_does_not_read_are_not_hoarded() -> None:
    """What it is answered counts as what waits for it, and that has a bound."""
    house = WebHouse(queue_bytes=4096)
    browser = house.member("alice")
    browser.transport.producer.pauseProducing()
    for _ in range(20):
        browser.type(browser.wire.send(Ping(b"x" * 100)) * 5)
        house.turn(1.0)
    assert browser.transport.disconnecting
    assert browser.protocol.site.connections is house.connections


# The end.


def test_a_client_that_closes_is_answered_and_let_go(house: WebHouse) -> None:
    """Its session is left as by a connection that was lost: it may come back."""
    browser = house.member("alice", "tea")
    browser.type(browser.wire.send(CloseConnection(1001)))
    assert browser.close_code == 1000
    assert browser.transport.disconnecting
    browser.lose()
    assert len(house.connections) == 0


def test_a_session_is_taken_up_again(house: WebHouse) -> None:
    """With the token, and what was said meanwhile follows the answer."""
    first, bob = house.browser(), house.member("bob", "tea")
    token = first.answer("hello", nick="alice")["token"]
    seen = first.answer("join", room="tea")
    first.lose()
    bob.answer("send", room="tea", text="are you gone?")
    second = house.browser()
    second.ask("hello", token=token, log=seen.get("log", ""), seqs={"tea": 0})
    welcome, *missed = second.read()
    assert (welcome["type"], welcome["nick"]) == ("ok", "alice")
    assert [m["text"] for m in missed if m["type"] == "said"] == ["are you gone?"]


def test_exit_closes_as_usual(house: WebHouse) -> None:
    """The answer, a goodbye, and the code for nothing wrong."""
    browser = house.member("alice")
    browser.ask("exit")
    assert [m["type"] for m in browser.read()] == ["ok", "goodbye"]
    assert browser.closing and browser.closing.code == 1000


def test_a_server_that_goes_down_says_so(house: WebHouse) -> None:
    """Going away, and to connect again; connections that are still HTTP just close."""
    member, visitor = house.member("alice"), Browser(house)
    house.connections.close_all()
    (told,) = member.read()
    assert (told["type"], told["code"]) == ("reconnect", GoingDown.code)
    assert member.closing and member.closing.code == 1001
    assert visitor.transport.disconnecting


def test_a_client_without_a_name_is_closed() -> None:
    """As on any other port."""
    house = WebHouse(unnamed=60.0)
    browser = house.browser()
    for _ in range(3):
        house.turn(20)
        browser.type(browser.wire.send(Pong(b"")))
    (told,) = browser.read()
    assert (told["type"], told["code"]) == ("goodbye", "unnamed")
    assert browser.closing and browser.closing.code == 1008


# Limits.


def test_connections_count_while_they_are_http(house: WebHouse) -> None:
    """One that turns into a WebSocket is counted once."""
    visitor = Browser(house)
    assert len(house.connections) == 1
    visitor.request("/ws", **HANDSHAKE)
    assert len(house.connections) == 1
    visitor.lose()
    assert len(house.connections) == 0


def test_a_full_server_says_so_in_http() -> None:
    """In one line, with the status for it."""
    house = WebHouse(most=1)
    Browser(house)
    second = Browser(house)
    assert second.transport.value().startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"server is full" in second.transport.value()
    assert second.transport.disconnecting
    second.type(b"GET / HTTP/1.1\r\n\r\n")
    second.lose()
    assert len(house.connections) == 1


def test_an_address_has_so_many_connections_that_are_still_http() -> None:
    """Apart from its clients: a browser makes several to load the page, and then one to stay."""
    house = WebHouse(per_address=2)
    stays = house.browser()
    visitors = [Browser(house) for _ in range(3)]
    answers = [visitor.request("/", Host="localhost")[:12] for visitor in visitors]
    assert answers == [b"HTTP/1.1 200", b"HTTP/1.1 200", b"HTTP/1.1 503"]
    assert visitors[2].transport.disconnecting
    visitors[0].lose()
    assert Browser(house).request("/", Host="localhost").startswith(b"HTTP/1.1 200 ")
    assert stays.answer("ping") == {"type": "ok"}


def test_an_address_has_so_many_and_proxies_say_whose_it_is() -> None:
    """Behind a proxy that is believed, each client counts for itself."""
    house = WebHouse(per_address=1, proxies=("192.168.1.1",))  # StringTransport's peer
    one = house.browser(**{"X-Forwarded-For": "203.0.113.1"})
    other = house.browser(**{"X-Forwarded-For": "203.0.113.2"})
    again = house.browser(**{"X-Forwarded-For": "6.6.6.6, 203.0.113.1"})
    assert one.close_code is None
    assert other.close_code is None
    assert [m["code"] for m in again.read()] == ["too-many-connections"]
    assert again.closing and again.closing.code == 1013


def test_an_address_that_is_not_believed_is_the_connection_s() -> None:
    """X-Forwarded-For of anybody else is nothing."""
    house = WebHouse(per_address=1)
    house.browser(**{"X-Forwarded-For": "203.0.113.1"})
    again = house.browser(**{"X-Forwarded-For": "203.0.113.2"})
    assert again.close_code == 1013


def test_silence_before_the_handshake_ends(house: WebHouse) -> None:
    """Half a request, and nothing more."""
    browser = Browser(house)
    browser.type(b"GET /ws HTTP/1.1\r\nHost: chat")
    house.turn(SILENCE_SECONDS - 1)
    assert not browser.transport.aborted
    house.turn(1)
    assert browser.transport.aborted


def test_a_standstill_of_the_server_ends_no_handshake(house: WebHouse) -> None:
    """What was sent meanwhile is read, and answered."""
    silent, asking = Browser(house), Browser(house)
    house.stand_still(SILENCE_SECONDS + HTTP_SECONDS)
    assert not (silent.transport.aborted or asking.transport.aborted)
    asking.type(b"GET /ws HTTP/1.1\r\nHost: chat")
    house.turn(LAST_SECONDS)
    assert silent.transport.aborted and not asking.transport.aborted
    house.turn(SILENCE_SECONDS - LAST_SECONDS)
    assert asking.transport.aborted


def test_a_handshake_that_drips_ends(house: WebHouse) -> None:
    """A byte every few seconds is no silence, and has its bound too."""
    browser = Browser(house)
    for _ in range(int(HTTP_SECONDS // 5)):
        assert not browser.transport.aborted
        browser.type(b"G")
        house.turn(5)
    assert browser.transport.aborted


def test_a_websocket_is_not_http_any_more(house: WebHouse) -> None:
    """Its own pings watch over it, and none of HTTP's bounds."""
    browser = house.member("alice")
    for _ in range(10):
        house.turn(HTTP_SECONDS / 5)
        browser.type(browser.wire.send(Pong(b"")))
    assert not browser.transport.aborted
    assert browser.answer("ping") == {"type": "ok"}


def test_messages_that_come_together_are_stored_together(house: WebHouse) -> None:
    """What a page has kept while it was cut off is stored at once when it is back."""
    browser = house.member("alice", "tea")
    sent = [{"op": "send", "id": id_, "room": "tea", "text": "abc"[id_]} for id_ in range(3)]
    browser.type(b"".join(browser.wire.send(TextMessage(json.dumps(one))) for one in sent))
    assert house.instance.log.given == [["a", "b", "c"]]
