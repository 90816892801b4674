"""What programs are sent: the same fields in MessagePack and in JSON, as documented."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disroom.chat import events, replies
from disroom.chat.errors import NickTaken, NotStored
from disroom.chat.events import Member
from disroom.chat.names import Nick, RoomName
from disroom.chat.presence import Whereabouts
from disroom.chat.stored import Page, Topic
from disroom.wire import messages
from disroom.wire.messageformat import Encode, MessageFormat, to_json, to_messagepack, welcomed

TEA = RoomName.parse("Tea")
ALICE, BOB = Nick.parse("Alice"), Nick.parse("bob")
AT, MS = 1700000000.1234, 1700000000123

TOPIC = Topic("Oolong", BOB, AT)
TOPIC_FIELDS = {"text": "Oolong", "nick": "bob", "at": MS}
MEMBERS = (Member("s1", ALICE), Member("s2", BOB, away=True))
MEMBER_FIELDS = [
    {"session": "s1", "nick": "Alice"},
    {"session": "s2", "nick": "bob", "away": True},
]
PRIVATE = events.PrivateMessage("m9", AT, ALICE, "s2", BOB, "psst")


def message(kind: Any = "said") -> events.Message:
    """A message of a room."""
    return events.Message(TEA, 7, AT, "m1", kind, ALICE, "s1", "hello")


def message_fields(kind: str = "said") -> dict[str, Any]:
    """The same as a program sees it."""
    return {
        "type": kind,
        "room": "Tea",
        "seq": 7,
        "at": MS,
        "id": "m1",
        "session": "s1",
        "nick": "Alice",
        "text": "hello",
    }


EVENTS: list[tuple[events.Event, dict[str, Any]]] = [
    (message("said"), message_fields("said")),
    (message("did"), message_fields("did")),
    (message("topic"), message_fields("topic")),
    (
        events.Joined(TEA, AT, MEMBERS),
        {"type": "joined", "room": "Tea", "at": MS, "members": MEMBER_FIELDS},
    ),
    (
        events.Left(TEA, AT, MEMBERS, "connection lost"),
        {
            "type": "left",
            "room": "Tea",
            "at": MS,
            "members": MEMBER_FIELDS,
            "reason": "connection lost",
        },
    ),
    (
        events.Left(TEA, AT, MEMBERS[:1]),
        {"type": "left", "room": "Tea", "at": MS, "members": MEMBER_FIELDS[:1]},
    ),
    (
        events.Renamed(TEA, AT, "s1", ALICE, BOB),
        {"type": "renamed", "room": "Tea", "at": MS, "session": "s1", "old": "Alice", "new": "bob"},
    ),
    (
        events.MarkedAway(TEA, AT, MEMBERS[1:]),
        {"type": "away", "room": "Tea", "at": MS, "member": MEMBER_FIELDS[1]},
    ),
    (events.Gap(TEA, 3, 5), {"type": "gap", "room": "Tea", "first": 3, "last": 5}),
    (events.Gap(TEA, None, None), {"type": "gap", "room": "Tea"}),
    (
        events.PrivateReceived(PRIVATE),
        {"type": "private", "id": "m9", "at": MS, "nick": "Alice", "text": "psst"},
    ),
    (events.Delayed(TEA, "m1"), {"type": "delayed", "room": "Tea"}),
    (
        events.Failed(NotStored()),
        {"type": "error", "code": "not-stored", "message": NotStored().message},
    ),
    (
        events.StoredAfterAll(message()),
        {"type": "stored", "room": "Tea", "seq": 7, "id": "m1"},
    ),
]

USERS = replies.UserList(TEA, MEMBERS, 9)
BACKLOG = replies.History(TEA, 10, Page((message(),), older=True))

ANSWERS: list[tuple[replies.Reply | events.PrivateSent, dict[str, Any]]] = [
    (replies.Named(ALICE), {"nick": "Alice"}),
    (
        replies.Entered(TEA, ALICE, USERS, TOPIC, BACKLOG, 41),
        {
            "room": "Tea",
            "nick": "Alice",
            "members": MEMBER_FIELDS,
            "total": 9,
            "seq": 41,
            "topic": TOPIC_FIELDS,
            "messages": [message_fields()],
            "older": True,
        },
    ),
    (
        replies.Entered(
            TEA, ALICE, USERS, None, replies.History(TEA, 10, Page((), older=False)), 0
        ),
        {
            "room": "Tea",
            "nick": "Alice",
            "members": MEMBER_FIELDS,
            "total": 9,
            "seq": 0,
            "messages": [],
            "older": False,
        },
    ),
    (
        replies.Entered(TEA, ALICE, USERS, None, None, 41),
        {"room": "Tea", "nick": "Alice", "members": MEMBER_FIELDS, "total": 9, "seq": 41},
    ),
    (replies.Departed(TEA, None), {"room": "Tea"}),
    (USERS, {"room": "Tea", "members": MEMBER_FIELDS, "total": 9, "stale": False}),
    (
        replies.RoomList((replies.ListedRoom(TEA, 3, TOPIC),), 4),
        {"rooms": [{"room": "Tea", "members": 3, "topic": TOPIC_FIELDS}], "total": 4},
    ),
    (replies.RoomList((), 0), {"rooms": [], "total": 0}),
    (replies.TopicIs(TEA, TOPIC), {"room": "Tea", "topic": TOPIC_FIELDS}),
    (replies.TopicIs(TEA, None), {"room": "Tea"}),
    (BACKLOG, {"room": "Tea", "messages": [message_fields()], "older": True}),
    (replies.AwaySet("lunch"), {"text": "lunch"}),
    (replies.AwaySet(None), {}),
    (replies.IgnoreSet(BOB, ignored=True), {"nick": "bob"}),
    (
        replies.Whois(Whereabouts(ALICE, "s1", "i1", "lab-1", AT, AT, "lunch", (TEA,))),
        {
            "nick": "Alice",
            "session": "s1",
            "instance": "lab-1",
            "since": MS,
            "rooms": ["Tea"],
            "away": "lunch",
        },
    ),
    (events.PrivateSent(PRIVATE), {"message": "m9", "at": MS, "nick": "bob"}),
]


def read(encode: Encode, data: bytes) -> Any:
    """Read as a client does that knows the encoding and nothing of ours."""
    return json.loads(data) if encode is to_json else msgspec.msgpack.decode(data)


@pytest.mark.parametrize("encode", [to_json, to_messagepack])
@pytest.mark.parametrize(("event", "fields"), EVENTS)
def test_an_event_has_its_fields(
    encode: Encode, event: events.Event, fields: dict[str, Any]
) -> None:
    """What happens is told with the fields that are documented, and absent ones are left out."""
    assert read(encode, MessageFormat(encode).event(event)) == fields


def test_marks_of_many_are_an_event_each() -> None:
    """What is told of together a client reads as it would one after the other."""
    format = MessageFormat(to_messagepack)
    each = [format.event(events.MarkedAway(TEA, AT, (member,))) for member in MEMBERS]
    assert format.event(events.MarkedAway(TEA, AT, MEMBERS)) == b"".join(each)


@pytest.mark.parametrize("encode", [to_json, to_messagepack])
@pytest.mark.parametrize(("reply", "fields"), ANSWERS)
def test_an_answer_has_its_fields_and_the_id(
    encode: Encode, reply: replies.Reply | events.PrivateSent, fields: dict[str, Any]
) -> None:
    """A client knows by the id what is answered, be it 0."""
    answer = read(encode, MessageFormat(encode).answer(0, reply))
    assert answer == {"type": "ok", "id": 0, **fields}


@pytest.mark.parametrize("encode", [to_json, to_messagepack])
def test_a_hello_is_answered_with_what_resuming_takes(encode: Encode) -> None:
    """A client learns the token and the log, and of a resumed session where it is."""
    begun = welcomed(
        1, replies.Resumable("s.t", 30.0), session="s", log="l", instance="lab-1", nick=None
    )
    fields = {
        "type": "ok",
        "id": 1,
        "version": 1,
        "session": "s",
        "token": "s.t",
        "grace": 30.0,
        "log": "l",
        "instance": "lab-1",
    }
    assert read(encode, encode(begun)) == {**fields, "rooms": []}
    rooms = (
        replies.Entered(TEA, ALICE, USERS, TOPIC, None, 41),
        replies.Entered(TEA, ALICE, USERS, None, BACKLOG, 41),
    )
    restored = replies.Restored(ALICE, rooms, TEA, "s.t", 30.0)
    resumed = welcomed(1, restored, session="s", log="l", instance="lab-1", nick=ALICE)
    room = {"room": "Tea", "members": MEMBER_FIELDS, "total": 9}
    assert read(encode, encode(resumed)) == {
        **fields,
        "nick": "Alice",
        "rooms": [
            {**room, "topic": TOPIC_FIELDS},
            {**room, "messages": [message_fields()], "older": True, "seq": 41},
        ],
    }


@pytest.mark.parametrize("encode", [to_json, to_messagepack])
def test_an_error_has_code_and_message(encode: Encode) -> None:
    """A program acts on the code; a person reads the message."""
    fields = {"type": "error", "code": "nick-taken", "message": "bob is taken"}
    format_ = MessageFormat(encode)
    assert read(encode, format_.error(3, NickTaken("bob"))) == {**fields, "id": 3}
    assert read(encode, format_.error(None, NickTaken("bob"))) == fields


def test_an_event_is_encoded_once_for_all() -> None:
    """What goes to a thousand members costs the encoding of one."""
    encoded = 0

    def encode(message: Any) -> bytes:
        nonlocal encoded
        encoded += 1
        return to_messagepack(message)

    format_ = MessageFormat(encode)
    first, second = message(), message()
    for event in (first, first, second, first):
        format_.event(event)
    assert encoded == 3


def test_every_event_and_reply_is_held_to_that() -> None:
    """None is left out above; a private message's sender gets it as the answer.

    Those about a session that can be resumed are in the answer to a hello.
    """
    told = set(events.Event.__args__) - {events.PrivateSent}
    assert {type(event) for event, _ in EVENTS} == told
    hello = {replies.Resumable, replies.Restored}  # answered by the transport, with what it knows
    answers = {*replies.Reply.__args__, events.PrivateSent} - hello
    assert {type(reply) for reply, _ in ANSWERS} == answers


INCOMING: Any = (
    messages.StoredMessage
    | messages.Joined
    | messages.Left
    | messages.Renamed
    | messages.Away
    | messages.Gap
    | messages.Private
    | messages.Delayed
    | messages.Stored
    | messages.Reconnect
    | messages.Goodbye
    | messages.Error
)
ids = st.integers(0, 2**53 - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]))
members = st.builds(messages.Member, texts, texts, st.booleans())
some_members = st.lists(members, max_size=3).map(tuple)
sent = st.one_of(
    st.builds(messages.Said, texts, ids, ids, texts, texts, texts, texts),
    st.builds(messages.TopicSet, texts, ids, ids, texts, texts, texts, texts),
    st.builds(messages.Joined, texts, ids, some_members),
    st.builds(messages.Left, texts, ids, some_members, texts),
    st.builds(messages.Away, texts, ids, members),
    st.builds(messages.Gap, texts, st.none() | ids, st.none() | ids),
    st.builds(messages.Stored, texts, ids, texts, st.none() | ids),
    st.builds(messages.Goodbye, st.none() | texts, st.none() | texts),
    st.builds(messages.Error, texts, texts, st.none() | ids),
)


@given(sent)
def test_a_message_comes_back_as_it_was(message: Any) -> None:
    """A client that reads into the same structs gets what was sent, in either encoding."""
    assert msgspec.json.decode(to_json(message), type=INCOMING) == message
    assert msgspec.msgpack.decode(to_messagepack(message), type=INCOMING) == message
