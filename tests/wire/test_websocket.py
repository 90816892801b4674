"""WebSocket as bytes: RFC 6455's own examples, every way to split, and what breaks the protocol."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from disroom.wire import websocket
from disroom.wire.websocket import (
    Code,
    HandshakeError,
    Opcode,
    WebSocketDecoder,
    accept,
    close_frame,
    frame,
)

HANDSHAKE = {
    "upgrade": [b"websocket"],
    "connection": [b"keep-alive, Upgrade"],
    "version": b"13",
    "key": b"dGhlIHNhbXBsZSBub25jZQ==",
}


def masked(opcode: int, payload: bytes, *, final: bool = True, mask: bytes = b"\1\2\3\4") -> bytes:
    """A frame of a client's."""
    size = len(payload)
    head = bytes([(0x80 if final else 0) | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + struct.pack("!H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack("!Q", size)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def test_answers_the_handshake_of_the_rfc() -> None:
    """Section 1.3 has this key and this answer."""
    assert accept(**HANDSHAKE) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("upgrade", [b"h2c"], 400),
        ("upgrade", [], 400),
        ("connection", [b"keep-alive"], 400),
        ("version", b"8", 426),
        ("version", b"", 426),
        ("key", b"", 400),
        ("key", b"c2hvcnQ=", 400),
        ("key", b"not base64 at all!!!!!!!", 400),
    ],
)
def test_refuses_what_is_no_handshake(header: str, value: object, status: int) -> None:
    """Each header is asked for; another version is told which one would do."""
    with pytest.raises(HandshakeError) as refused:
        accept(**{**HANDSHAKE, header: value})  # type: ignore[arg-type]
    assert refused.value.status == status


def test_reads_the_masked_hello_of_the_rfc() -> None:
    """Section 5.7: a single-frame masked text message."""
    hello = bytes.fromhex("818537fa213d7f9f4d5158")
    assert WebSocketDecoder().feed(hello) == [(Opcode.TEXT, b"Hello")]


messages = st.one_of(
    st.text(max_size=300).map(lambda text: (Opcode.TEXT, text.encode())),
    st.binary(max_size=300).map(lambda data: (Opcode.BINARY, data)),
)


@given(data=st.data(), sent=st.lists(messages, max_size=5))
def test_any_split_and_any_fragmentation_gives_the_same_messages(
    data: st.DataObject, sent: list[tuple[Opcode, bytes]]
) -> None:
    """Where a packet or a fragment ends means nothing, and a ping may come between fragments."""
    stream = b""
    pings = 0
    for opcode, payload in sent:
        cuts = sorted(data.draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        parts = [payload[a:b] for a, b in zip([0, *cuts], [*cuts, len(payload)], strict=True)]
        for number, part in enumerate(parts):
            stream += masked(0 if number else opcode, part, final=number == len(parts) - 1)
            if data.draw(st.booleans()):
                stream += masked(Opcode.PING, b"?")
                pings += 1
    decoder = WebSocketDecoder()
    received = []
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, 64))
        received += decoder.feed(stream[at : at + size])
        at += size
    assert received == sent
    assert decoder.closed is None
    assert decoder.take_pongs() == frame(Opcode.PONG, b"?") * pings


@given(payload=st.binary(max_size=70_000))
def test_a_client_reads_what_is_framed(payload: bytes) -> None:
    """All three widths of the length, as another implementation has them."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(frame(Opcode.BINARY, payload))
    (event,) = client.events()
    assert isinstance(event, BytesMessage)
    assert event.data == payload
    assert event.message_finished


@given(reason=st.text(max_size=200))
def test_a_reason_is_cut_to_what_a_close_frame_holds(reason: str) -> None:
    """It stays UTF-8: a letter that does not fit is left out as a whole."""
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(close_frame(Code.POLICY, reason))
    (event,) = client.events()
    assert isinstance(event, CloseConnection)
    assert event.code == 1008
    assert reason.startswith(event.reason or "")
    assert len((event.reason or "").encode()) > min(len(reason.encode()), 123) - 4


@given(garbage=st.binary(max_size=400))
def test_no_bytes_make_it_raise(garbage: bytes) -> None:
    """Whatever arrives, and whatever follows it, is read or refused."""
    decoder = WebSocketDecoder()
    decoder.feed(garbage)
    decoder.feed(garbage)
    decoder.take_pongs()
    decoder.take_overhead()


BROKEN = {
    "not masked": (frame(Opcode.TEXT, b"{}"), Code.PROTOCOL_ERROR),
    "a continuation of nothing": (masked(0, b"{}"), Code.PROTOCOL_ERROR),
    "a new message within another": (
        masked(Opcode.TEXT, b"{", final=False) + masked(Opcode.TEXT, b"}"),
        Code.PROTOCOL_ERROR,
    ),
    "a reserved opcode": (masked(3, b""), Code.PROTOCOL_ERROR),
    "a reserved bit": (b"\xc1\x80\1\2\3\4", Code.PROTOCOL_ERROR),
    "a fragmented ping": (masked(Opcode.PING, b"", final=False), Code.PROTOCOL_ERROR),
    "a long ping": (masked(Opcode.PING, b"x" * 126), Code.PROTOCOL_ERROR),
    "a close of one byte": (masked(Opcode.CLOSE, b"x"), Code.PROTOCOL_ERROR),
    "text that is not UTF-8": (masked(Opcode.TEXT, b"\xff\xfe"), Code.NOT_UTF8),
    "text that ends within a letter": (masked(Opcode.TEXT, b"\xc3"), Code.NOT_UTF8),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_protocol_is_named(name: str) -> None:
    """The code says what kind of fault it is, and messages before it are still good."""
    broken, code = BROKEN[name]
    decoder = WebSocketDecoder()
    assert decoder.feed(masked(Opcode.TEXT, b"good") + broken) == [(Opcode.TEXT, b"good")]
    assert decoder.closed is not None
    assert decoder.closed.code is code
    assert decoder.closed.fault
    assert decoder.feed(masked(Opcode.TEXT, b"more")) == []


def test_a_client_that_closes_is_answered() -> None:
    """Its own code and reason are not repeated: they are about it."""
    decoder = WebSocketDecoder()
    assert decoder.feed(masked(Opcode.CLOSE, b"\x03\xe9bye")) == []
    assert decoder.closed == websocket.Closed(Code.NORMAL)


def test_the_longest_message_is_read_and_a_longer_one_is_not() -> None:
    """The bound is on the message, in one frame or in many."""
    whole = masked(Opcode.BINARY, b"x" * 65536)
    assert WebSocketDecoder().feed(whole) == [(Opcode.BINARY, b"x" * 65536)]
    for parts in (
        [masked(Opcode.TEXT, b"x" * 65537)],
        [masked(Opcode.TEXT, b"x" * 40_000, final=False), masked(0, b"x" * 40_000)],
        [masked(Opcode.TEXT, "\N{SNOWMAN}".encode() * 22_000)],  # 66,000 bytes, 22,000 letters
    ):
        decoder = WebSocketDecoder()
        assert decoder.feed(b"".join(parts)) == []
        assert decoder.closed is not None
        assert decoder.closed.code is Code.TOO_BIG


def test_a_message_without_an_end_is_refused_before_it_is_kept() -> None:
    """A length of exabytes, announced: no more than the greatest length is ever held."""
    decoder = WebSocketDecoder()
    decoder.feed(b"\x82\xff" + (1 << 62).to_bytes(8, "big") + b"\0\0\0\0")
    fed = 0
    while not decoder.closed:
        decoder.feed(b"x" * 16384)
        fed += 16384
    assert fed <= 65536 + 16384


def test_empty_fragments_are_not_kept() -> None:
    """A client that sends nothing but those costs time, which is counted, and no memory."""
    decoder = WebSocketDecoder()
    decoder.feed(masked(Opcode.TEXT, b"", final=False))
    decoder.feed(masked(0, b"", final=False) * 1000)
    assert decoder.take_overhead() == 6 * 1001
    assert decoder.feed(masked(0, b"end")) == [(Opcode.TEXT, b"end")]


def test_what_carries_no_message_is_counted() -> None:
    """Heads of frames and pings, and nothing of a message's text."""
    decoder = WebSocketDecoder()
    decoder.feed(masked(Opcode.TEXT, b"hello") + masked(Opcode.PING, b"1234"))
    assert decoder.take_overhead() == 6 + 10
    assert decoder.take_overhead() == 0


def test_a_whole_conversation_with_another_implementation() -> None:
    """Ping, text and close, there and back."""
    client, server = Connection(ConnectionType.CLIENT), WebSocketDecoder()
    told = client.send(Ping(b"?")) + client.send(
        TextMessage("h\N{LATIN SMALL LETTER E WITH ACUTE}")
    )
    assert server.feed(told) == [(Opcode.TEXT, b"h\xc3\xa9")]
    client.receive_data(server.take_pongs())
    assert [type(event) for event in client.events()] == [Pong]
    server.feed(client.send(CloseConnection(1000)))
    assert server.closed is not None
    client.receive_data(close_frame(server.closed.code))
    (closed,) = client.events()
    assert isinstance(closed, CloseConnection)
