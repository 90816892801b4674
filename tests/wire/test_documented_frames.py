"""The frames in docs/protocol.md are those that are really sent and read."""

import json
import re
from pathlib import Path
from types import UnionType
from typing import Any

import msgspec
import pytest

from disroom.chat.errors import ChatError
from disroom.wire import frame, messages
from disroom.wire.messageformat import to_messagepack
from disroom.wire.requests import OPS, from_messagepack

PROTOCOL = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")

EXAMPLES = re.findall(r"^    ([<>]) (\{.*\})\n((?:      (?:[0-9a-f]{2} ?)+\n)+)", PROTOCOL, re.M)
"""The direction, the fields as JSON, and the bytes."""

EVENTS: UnionType = (
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


def answers() -> dict[frozenset[str], type[messages.Ok]]:
    """The structs of answers by their required fields, those with most fields last."""
    kinds: list[type[messages.Ok]] = [messages.Ok, *messages.Ok.__subclasses__()]
    kinds.sort(key=lambda kind: len(kind.__struct_fields__))
    return {frozenset(required(kind)): kind for kind in kinds}


def required(kind: type[messages.Ok]) -> list[str]:
    """The fields that are never left out."""
    return [field.name for field in msgspec.structs.fields(kind) if field.required]


def struct_of(fields: dict[str, Any]) -> Any:
    """The struct that is sent with these fields, exactly those."""
    if fields["type"] != "ok":
        return msgspec.convert(fields, EVENTS)
    fits = [
        kind
        for names, kind in answers().items()
        if names <= fields.keys() <= {"type", *kind.__struct_fields__}
    ]
    return msgspec.convert(fields, fits[0])


def framed(way: str, fields: dict[str, Any]) -> bytes:
    """The bytes of an example."""
    if way == ">":
        return frame.encode(msgspec.msgpack.encode(fields))
    struct = struct_of(fields)
    assert json.loads(msgspec.json.encode(struct)) == fields, "there is a field too many or null"
    return frame.encode(to_messagepack(struct))


@pytest.mark.parametrize(("way", "fields", "dump"), EXAMPLES)
def test_a_documented_frame_is_what_is_sent(way: str, fields: str, dump: str) -> None:
    """Whoever writes firmware from the page sends and reads the right bytes."""
    expected = framed(way, json.loads(fields))
    assert bytes.fromhex(dump) == expected, expected.hex(" ")
    if way == ">":
        (body,) = frame.FrameDecoder().feed(expected)
        request = from_messagepack.decode(body)
        assert request.id == json.loads(fields)["id"]
        assert not isinstance(request.asked, ChatError)


def test_every_request_and_every_message_is_documented_byte_by_byte() -> None:
    """No op and no type is left out, nor any kind of answer."""
    asked = [json.loads(fields) for way, fields, _ in EXAMPLES if way == ">"]
    told = [json.loads(fields) for way, fields, _ in EXAMPLES if way == "<"]
    assert {fields["op"] for fields in asked} == OPS.keys()
    types = {str(kind.__struct_config__.tag) for kind in EVENTS.__args__}
    assert {fields["type"] for fields in told} == {"ok", *types}
    structs = {type(struct_of(fields)) for fields in told if fields["type"] == "ok"}
    shown = {frozenset(kind.__struct_fields__) for kind in structs}
    assert shown >= {frozenset(kind.__struct_fields__) for kind in answers().values()}
