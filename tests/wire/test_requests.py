"""What programs ask is understood, or they are told which field is wrong."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from disroom.chat.errors import ChatError
from disroom.chat.names import Nick, RoomName
from disroom.wire import commands
from disroom.wire.errors import BadFrame
from disroom.wire.requests import MOST_ID, MOST_SEQS, OPS, Request, from_json, from_messagepack

NESTED = 500
"""How deep what is skipped may be nested, as is documented. msgspec keeps to the interpreter's
limit on recursion, of which in CPython 3.11 some 900 are left where a request is read."""

ALICE = Nick.parse("alice")
TEA = RoomName.parse("tea")

UNDERSTOOD: list[tuple[dict[str, Any], commands.Command]] = [
    ({"op": "hello"}, commands.Hello()),
    (
        {"op": "hello", "nick": "alice", "token": "t", "log": "l", "seqs": {"#tea": 7}},
        commands.Hello(ALICE, "t", "l", {TEA: 7}),
    ),
    ({"op": "nick", "nick": "alice"}, commands.SetNick(ALICE)),
    ({"op": "join", "room": "tea"}, commands.Join(TEA)),
    ({"op": "leave", "room": "tea"}, commands.Leave(TEA)),
    ({"op": "send", "room": "tea", "text": "hi"}, commands.Say("hi", TEA)),
    ({"op": "me", "room": "tea", "text": "waves"}, commands.Act("waves", TEA)),
    ({"op": "topic", "room": "tea"}, commands.GetTopic(TEA)),
    ({"op": "topic", "room": "tea", "text": "Oolong"}, commands.SetTopic("Oolong", TEA)),
    ({"op": "topic", "room": "tea", "text": ""}, commands.SetTopic("", TEA)),
    ({"op": "topic", "room": "tea", "text": "-"}, commands.SetTopic("-", TEA)),
    ({"op": "msg", "nick": "alice", "text": "psst"}, commands.Whisper(ALICE, "psst")),
    ({"op": "users", "room": "tea"}, commands.ListUsers(TEA)),
    ({"op": "rooms"}, commands.ListRooms()),
    ({"op": "history", "room": "tea"}, commands.GetHistory(None, None, TEA)),
    (
        {"op": "history", "room": "tea", "count": 5, "before": 9},
        commands.GetHistory(5, 9, TEA),
    ),
    ({"op": "away"}, commands.SetAway(None)),
    ({"op": "away", "text": "lunch"}, commands.SetAway("lunch")),
    ({"op": "ignore", "nick": "alice"}, commands.Ignore(ALICE, ignored=True)),
    ({"op": "unignore", "nick": "alice"}, commands.Ignore(ALICE, ignored=False)),
    ({"op": "whois", "nick": "alice"}, commands.WhoIs(ALICE)),
    ({"op": "ping"}, commands.Ping()),
    ({"op": "motd"}, commands.ShowMotd()),
    ({"op": "exit"}, commands.Exit()),
]

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"op": "dance"}, "unknown-command", "there is no op 'dance'"),
    ({"op": "x" * 1000}, "unknown-command", f"there is no op {'x' * 32!r}"),
    ({}, "bad-request", "op: the field is missing"),
    ({"op": 5}, "bad-request", "op: expected `str`"),
    ({"op": "join"}, "bad-request", "room: the field is missing"),
    ({"op": "join", "room": None}, "bad-request", "room: expected `str`, got `"),
    ({"op": "join", "room": ["tea"]}, "bad-request", "room: expected `str`, got `array`"),
    ({"op": "join", "room": "a b"}, "bad-room", "a name cannot contain spaces"),
    ({"op": "nick", "nick": "a\nb"}, "bad-nick", "a name cannot contain spaces"),
    ({"op": "send", "room": "tea"}, "bad-request", "text: the field is missing"),
    (
        {"op": "send", "room": "tea", "text": "hi", "key": "a b"},
        "bad-request",
        "key: expected `str` matching",
    ),
    (
        {"op": "history", "room": "tea", "count": 0},
        "bad-request",
        "count: expected `int` >= 1",
    ),
    (
        {"op": "history", "room": "tea", "count": 1.5},
        "bad-request",
        "count: expected `int",
    ),
    ({"op": "hello", "seqs": {"tea": "7"}}, "bad-request", "seqs: expected `int`, got `str`"),
    (
        {"op": "hello", "seqs": {str(n): n for n in range(MOST_SEQS + 1)}},
        "bad-request",
        f"seqs: expected `object` of length <= {MOST_SEQS}",
    ),
]


def both(fields: Any) -> tuple[Request, Request]:
    """Read the same request in both encodings."""
    return (
        from_json.decode(json.dumps(fields).encode()),
        from_messagepack.decode(msgspec.msgpack.encode(fields)),
    )


def refusal(request: Request) -> tuple[int | None, str, str]:
    """What a refused request is answered."""
    assert isinstance(request.asked, ChatError)
    return request.id, request.asked.code, request.asked.message


@pytest.mark.parametrize(("fields", "command"), UNDERSTOOD)
def test_a_request_is_a_command(fields: dict[str, Any], command: commands.Command) -> None:
    """A program may ask what a person may type, in either encoding, and more to come later."""
    for request in both({**fields, "id": 7, "colour": {"red": [1, 2]}}):
        assert request == Request(7, command)


def test_every_op_is_held_to_that() -> None:
    """No op is left out above."""
    assert {fields["op"] for fields, _ in UNDERSTOOD} == OPS.keys()


@pytest.mark.parametrize(("fields", "command"), UNDERSTOOD)
def test_an_exit_is_known_before_it_is_read(
    fields: dict[str, Any], command: commands.Command
) -> None:
    """Who leaves need not wait for the pace of what it asked before, whatever it is written in."""
    request = {"id": 7, **fields}
    leaves = isinstance(command, commands.Exit)
    assert from_messagepack.may_exit(msgspec.msgpack.encode(request)) is leaves
    assert from_json.may_exit(json.dumps(request).encode()) is leaves
    assert (
        from_json.may_exit(json.dumps(request, indent=1, separators=(",", " :\t")).encode())
        is leaves
    )


@pytest.mark.parametrize("op", ["send", "me", "topic"])
def test_what_is_sent_may_have_a_key(op: str) -> None:
    """A client that does not know whether it was heard may say the same again."""
    fields = {"op": op, "id": 0, "room": "tea", "text": "hi", "key": "k-1"}
    assert [request.key for request in both(fields)] == ["k-1", "k-1"]


@pytest.mark.parametrize(("fields", "code", "message"), REFUSED)
def test_what_is_wrong_is_named(fields: dict[str, Any], code: str, message: str) -> None:
    """Whoever writes a client learns from the answer which field to mend, and of which request."""
    for request in both({**fields, "id": MOST_ID}):
        id_, told, words = refusal(request)
        assert (id_, told) == (MOST_ID, code)
        assert words.startswith(message)


@pytest.mark.parametrize("id_", [None, -1, 2**53, "1", [1], True, 2**70 + 0.5, ...])
def test_without_an_id_there_is_none_in_the_refusal(id_: Any) -> None:
    """An id that cannot be given back exactly is not given back."""
    fields = {"op": "ping"} if id_ is ... else {"op": "ping", "id": id_}
    for request in both(fields):
        found, code, message = refusal(request)
        assert (found, code) == (None, "bad-request")
        assert message.startswith("id: ")


MAP_OF_BOMB = b"\x83\xa2op\xa4ping\xa1x%s\xa2id\x01"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        b"\x07",
        b"\x93\x01\x02\x03",
        b"\xa2hi",
        b"\xc1",
        b"\x82\xa2op\xa4ping",
        b"\x82\xa2op\xa4ping\xa2id\x01\x00",
        b"\xdf\xff\xff\xff\xff",
        b"\x81\x01\x02",
        b"\x82\xa2op\xa4\xff\xfe\xfd\xfc\xa2id\x01",
        b"\x83\xa2op\xa4join\xa2id\x01\xa4room\xa2\xc3\x28",
        MAP_OF_BOMB % (b"\x91" * 60_000 + b"\xc0"),
        MAP_OF_BOMB % b"\xdd\xff\xff\xff\xff",
        MAP_OF_BOMB % b"\xc6\xff\xff\xff\xff",
        b"\x82\xa2op\xa4nope\xa2id" + b"\x91" * 60_000 + b"\xc0",
        b"\x82\xa2op\xa4nope\xa2id\xdd\xff\xff\xff\xff",
        b"\x82\xa2op\xa4nope\xa2id\xdf\xff\xff\xff\xff",
    ],
)
def test_what_is_no_map_in_messagepack_is_no_request(data: bytes) -> None:
    """Wrong lengths, endless nesting, bytes that are no text: refused, at no cost."""
    with pytest.raises(BadFrame):
        from_messagepack.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"op":"ping","id":1}}',
        b'{"op":"ping","id":NaN}',
        b'{"op":"\xff","id":1}',
        b'{"op":"ping","id":1,"x":' + b"[" * 60_000,
        b'{"op":"ping","id":1,"x":' + b'{"a":' * 10_000,
        b"\x82\xa2op\xa4ping\xa2id\x01",
    ],
)
def test_what_is_no_object_in_json_is_no_request(data: bytes) -> None:
    """The same for JSON."""
    with pytest.raises(BadFrame):
        from_json.decode(data)


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"x":', "}")])
def test_what_is_skipped_may_be_nested(opening: str, closing: str) -> None:
    """As deep as is documented, with room for the calls that lead to the reading of a request."""
    nested = opening * NESTED + "null" + closing * NESTED
    in_json = f'{{"op":"ping","id":1,"x":{nested}}}'.encode()
    head = b"\x91" if opening == "[" else b"\x81\xa1x"
    in_messagepack = b"\x83\xa2op\xa4ping\xa2id\x01\xa1x" + head * NESTED + b"\xc0"

    def read(calls: int) -> tuple[Request, Request]:
        if calls:
            return read(calls - 1)
        return from_json.decode(in_json), from_messagepack.decode(in_messagepack)

    assert read(200) == (Request(1, commands.Ping()), Request(1, commands.Ping()))


def test_an_extension_type_is_skipped_or_refused() -> None:
    """What MessagePack has and JSON has not is of no use here, and does no harm."""
    ext = msgspec.msgpack.Ext(5, b"x")
    skipped = msgspec.msgpack.encode({"op": "ping", "id": 1, "x": ext})
    assert from_messagepack.decode(skipped) == Request(1, commands.Ping())
    refused = msgspec.msgpack.encode({"op": "join", "id": 1, "room": ext})
    assert refusal(from_messagepack.decode(refused))[2] == "room: expected `str`, got `ext`"


def in_both(*fields: tuple[str, Any]) -> tuple[Request, Request]:
    """What is read of a map with these fields, some of them twice perhaps, in each encoding."""
    pack, write = msgspec.msgpack.encode, msgspec.json.encode
    packed = bytes([0x80 | len(fields)]) + b"".join(pack(k) + pack(v) for k, v in fields)
    written = b",".join(write(k) + b":" + write(v) for k, v in fields)
    return from_messagepack.decode(packed), from_json.decode(b"{%b}" % written)


def test_of_fields_given_twice_the_last_counts() -> None:
    """Whichever encoding: there is one reading of it."""
    for request in (
        *in_both(("op", "ping"), ("id", 1), ("id", 2)),
        *in_both(("op", "ping"), ("op", "ping"), ("id", 2)),
    ):
        assert request == Request(2, commands.Ping())
    for request in in_both(("op", "nick"), ("nick", "bob"), ("id", 1), ("nick", "alice")):
        assert request == Request(1, commands.SetNick(ALICE))


def test_of_fields_given_twice_each_must_fit_and_ops_must_be_the_same() -> None:
    """Where it is not clear what is asked nothing is done, and the answer says why."""
    twice = "op: it is given twice, and not the same"
    for first, second, code, message in (
        ("xyz", "ping", "bad-request", twice),
        ("send", "ping", "bad-request", twice),
        ("ping", "exit", "bad-request", twice),
        ("exit", "ping", "bad-request", twice),
        ("ping", "xyz", "unknown-command", "there is no op 'xyz'"),
    ):
        for request in in_both(("op", first), ("op", second), ("id", 4)):
            assert refusal(request) == (4, code, message)
    for request in in_both(("op", "nick"), ("nick", 5), ("nick", "bob"), ("id", 4)):
        assert refusal(request)[:2] == (4, "bad-request")


@pytest.mark.parametrize(
    ("escaped", "text"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"\uDE00 cut", "\ufffd cut"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d\"", '\\\ufffd"'),
    ],
)
def test_half_an_emoji_in_json_is_a_replacement_character(escaped: str, text: str) -> None:
    """A page's text that was cut in the middle of one is sent, not the end of the connection."""
    request = from_json.decode(f'{{"op":"send","id":1,"room":"tea","text":"{escaped}"}}'.encode())
    assert request.asked == commands.Say(text, RoomName.parse("tea"))


def test_an_op_that_is_none_is_not_quoted_as_it_stands() -> None:
    """Whatever is sent, and though another op follows it: an answer can be shown."""
    twice = b"\x83\xa2op\xa4p\x1b\x00\n\xa2op\x05\xa2id\x01"
    message = "op: it is given twice, and not the same"
    assert refusal(from_messagepack.decode(twice)) == (1, "bad-request", message)
    ops = [from_json.decode(b'{"op":"a\\u001b\\u202e","id":1}')]
    assert refusal(ops[0])[2] == r"there is no op 'a\x1b\u202e'"


@given(st.binary())
def test_any_bytes_are_a_request_or_none(data: bytes) -> None:
    """Nothing that anybody sends makes the server err."""
    for decoder in (from_json, from_messagepack):
        try:
            request = decoder.decode(data)
        except BadFrame:
            continue
        assert isinstance(request.id, int | None)


scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
values = st.recursive(
    scalars | st.binary(), lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=5
)
fields_of_any_kind = st.dictionaries(
    st.sampled_from(
        ["id", "op", "room", "nick", "text", "key", "count", "before", "seqs", "token"]
    ),
    values | st.sampled_from(sorted(OPS)),
)


@given(fields_of_any_kind)
def test_any_map_is_a_command_or_refused_in_words(fields: dict[str, Any]) -> None:
    """A map is always answered: carried out, or with what is wrong with it."""
    request = from_messagepack.decode(msgspec.msgpack.encode(fields))
    if isinstance(request.asked, ChatError):
        assert request.asked.message.isprintable()
        assert len(request.asked.message) < 200
