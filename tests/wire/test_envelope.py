"""What is stored of a message, and what other versions make of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from disroom.chat.events import Draft, Message
from disroom.chat.names import Nick, RoomName
from disroom.wire.envelope import VERSION, BadEnvelope, Envelope, decode, encode

ROOM = RoomName.parse("tea")
FIELDS = {"id": "m1", "kind": "said", "nick": "Alice", "session": "s1", "text": "hello"}

texts = st.text(st.characters(exclude_categories=["Cs"]))
extras = st.dictionaries(
    texts.filter(lambda name: name not in {*FIELDS, "v", "account"}),
    st.recursive(st.none() | st.integers(-(2**53), 2**53) | texts, st.lists),
)
envelopes = st.builds(
    Envelope, texts, texts, texts, texts, texts, st.none() | texts, st.integers(1, 99), extras
)


@given(envelopes)
def test_an_envelope_comes_back_as_it_was(envelope: Envelope) -> None:
    """What one instance stores every instance reads, fields of a later version included."""
    assert Envelope.decode(envelope.encode()) == envelope


@given(texts, st.sampled_from(["said", "did", "topic"]))
def test_a_draft_comes_back_as_its_message(text: str, kind: Any) -> None:
    """What a user sent is what the others are shown, with the stream's seq and time."""
    nick = Nick.parse("Alice")
    draft = Draft("m1", kind, nick, "s1", text)
    message = Envelope.decode(Envelope.of(draft).encode()).message(ROOM, 7, 1.5)
    assert message == Message(ROOM, 7, 1.5, "m1", kind, nick, "s1", text)
    assert message.nick.display == "Alice"


@given(texts, st.sampled_from(["said", "did", "topic"]))
def test_the_short_way_makes_no_difference(text: str, kind: Any) -> None:
    """What most messages take is what the envelope would make of them."""
    draft = Draft("m1", kind, Nick.parse("Alice"), "s1", text)
    assert encode(draft) == Envelope.of(draft).encode()
    assert decode(encode(draft), ROOM, 7, 1.5) == Envelope.of(draft).message(ROOM, 7, 1.5)


@given(envelopes)
def test_what_the_short_way_cannot_read_takes_the_other(envelope: Envelope) -> None:
    """Messages of a later version come out as the envelope reads them."""
    assert decode(envelope.encode(), ROOM, 7, 1.5) == envelope.message(ROOM, 7, 1.5)


def test_it_is_an_object_that_any_tool_can_read() -> None:
    """Who looks into the stream with NATS's own tools sees plain JSON, as documented."""
    draft = Draft("m1", "said", Nick.parse("Alice"), "s1", "hello")
    assert json.loads(Envelope.of(draft).encode()) == {"v": VERSION, **FIELDS}


def test_a_later_version_s_message_is_shown() -> None:
    """During an upgrade users on an old instance see what those on a new one say."""
    later = {"v": 9, **FIELDS, "kind": "sticker", "colour": ["red", {"alpha": 1}]}
    envelope = Envelope.decode(json.dumps(later).encode())
    assert envelope.message(ROOM, 1, 0.0).kind == "said"
    assert envelope.message(ROOM, 1, 0.0).text == "hello"
    assert json.loads(envelope.encode()) == later


def test_an_account_is_kept() -> None:
    """Whose account a message was sent from is not lost on the way."""
    envelope = Envelope.decode(json.dumps({"v": 1, **FIELDS, "account": "al"}).encode())
    assert (envelope.account, envelope.extra) == ("al", {})


@given(st.binary())
def test_any_bytes_are_an_envelope_or_refused(data: bytes) -> None:
    """Whatever somebody stores in a room's subject, the room goes on."""
    try:
        Envelope.decode(data)
    except BadEnvelope as error:
        assert str(error) == f"{len(data)} bytes that are no message"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"v":1,"id":"\xff"}',
        json.dumps({**FIELDS, "v": "1"}).encode(),
        json.dumps({**FIELDS, "v": 1, "text": None}).encode(),
        json.dumps({**FIELDS, "v": 1, "nick": 7, "new": 1}).encode(),
        b'{"v":1,"new":' + b"[" * 100_000,
    ],
)
def test_what_is_no_envelope_is_refused(data: bytes) -> None:
    """Nothing half understood is shown to anybody."""
    with pytest.raises(BadEnvelope):
        Envelope.decode(data)
    with pytest.raises(BadEnvelope):
        decode(data, ROOM, 7, 1.5)
