"""The requests of programs: maps with an ``op``, in MessagePack or JSON, into commands.

One struct a request, its ``op`` the tag of the union. Unknown fields are skipped, so that a client
of a later version is understood; names are parsed here, so that past this they are valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Union

import msgspec

from disroom.chat.errors import ChatError
from disroom.chat.names import Nick, RoomName
from disroom.wire import commands
from disroom.wire.errors import BadFrame, BadRequest, UnknownOp

MOST_ID = 2**53 - 1
"""The greatest integer that a JSON reader with doubles takes as it is."""

MOST_SEQS = 1000
"""Rooms whose seqs a client may give: more than anybody is in, and read in no time."""

Id = Annotated[int, msgspec.Meta(ge=0, le=MOST_ID)]
Seq = Annotated[int, msgspec.Meta(ge=0, le=MOST_ID)]
Count = Annotated[int, msgspec.Meta(ge=1, le=MOST_ID)]
Key = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
Seqs = Annotated[dict[str, Seq], msgspec.Meta(max_length=MOST_SEQS)]


class _Fields(msgspec.Struct, tag_field="op", kw_only=True, frozen=True):
    id: Id


class _OfRoom(_Fields, frozen=True):
    room: str


class _OfNick(_Fields, frozen=True):
    nick: str


class _Hello(_Fields, tag="hello", frozen=True):
    nick: str | None = None
    token: str | None = None
    log: str | None = None
    seqs: Seqs = {}


class _SetNick(_OfNick, tag="nick", frozen=True):
    pass


class _Join(_OfRoom, tag="join", frozen=True):
    pass


class _Leave(_OfRoom, tag="leave", frozen=True):
    pass


class _Send(_OfRoom, tag="send", frozen=True):
    text: str
    key: Key = ""


class _Act(_OfRoom, tag="me", frozen=True):
    text: str
    key: Key = ""


class _Topic(_OfRoom, tag="topic", frozen=True):
    text: str | None = None
    key: Key = ""


class _Whisper(_OfNick, tag="msg", frozen=True):
    text: str


class _ListUsers(_OfRoom, tag="users", frozen=True):
    pass


class _ListRooms(_Fields, tag="rooms", frozen=True):
    pass


class _GetHistory(_OfRoom, tag="history", frozen=True):
    count: Count | None = None
    before: Count | None = None


class _SetAway(_Fields, tag="away", frozen=True):
    text: str | None = None


class _Ignore(_OfNick, tag="ignore", frozen=True):
    pass


class _Unignore(_OfNick, tag="unignore", frozen=True):
    pass


class _WhoIs(_OfNick, tag="whois", frozen=True):
    pass


class _Ping(_Fields, tag="ping", frozen=True):
    pass


class _ShowMotd(_Fields, tag="motd", frozen=True):
    pass


class _Exit(_Fields, tag="exit", frozen=True):
    pass


def _hello(fields: _Hello) -> commands.Hello:
    nick = None if fields.nick is None else Nick.parse(fields.nick)
    # The client has the names from the server; to parse a thousand would take a second.
    seqs = {RoomName.trusted(room.removeprefix("#")): seq for room, seq in fields.seqs.items()}
    return commands.Hello(nick, fields.token, fields.log, seqs)


def _topic(fields: _Topic) -> commands.Command:
    room = RoomName.parse(fields.room)
    return commands.GetTopic(room) if fields.text is None else commands.SetTopic(fields.text, room)


_COMMANDS: dict[type[_Fields], Callable[[Any], commands.Command]] = {
    _Hello: _hello,
    _SetNick: lambda f: commands.SetNick(Nick.parse(f.nick)),
    _Join: lambda f: commands.Join(RoomName.parse(f.room)),
    _Leave: lambda f: commands.Leave(RoomName.parse(f.room)),
    _Send: lambda f: commands.Say(f.text, RoomName.parse(f.room)),
    _Act: lambda f: commands.Act(f.text, RoomName.parse(f.room)),
    _Topic: _topic,
    _Whisper: lambda f: commands.Whisper(Nick.parse(f.nick), f.text),
    _ListUsers: lambda f: commands.ListUsers(RoomName.parse(f.room)),
    _ListRooms: lambda _: commands.ListRooms(),
    _GetHistory: lambda f: commands.GetHistory(f.count, f.before, RoomName.parse(f.room)),
    _SetAway: lambda f: commands.SetAway(f.text),
    _Ignore: lambda f: commands.Ignore(Nick.parse(f.nick), ignored=True),
    _Unignore: lambda f: commands.Ignore(Nick.parse(f.nick), ignored=False),
    _WhoIs: lambda f: commands.WhoIs(Nick.parse(f.nick)),
    _Ping: lambda _: commands.Ping(),
    _ShowMotd: lambda _: commands.ShowMotd(),
    _Exit: lambda _: commands.Exit(),
}

OPS = {str(fields.__struct_config__.tag): fields for fields in _COMMANDS}
"""Every ``op`` there is, with the struct of its fields."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks, and how it will know the answer.

    Attributes:
        id: The client's own; None where the request has none that can be used.
        asked: The command, or what is wrong with the request.
        key: The client's id of the message that the command sends, empty for none.
    """

    id: int | None
    asked: commands.Command | ChatError
    key: str = ""


class _Head(msgspec.Struct, frozen=True):
    """What a request that does not fit may still tell."""

    id: Any = None
    op: Any = None


class RequestDecoder:
    """Reads requests in one encoding; made by `from_messagepack` and `from_json`."""

    def __init__(
        self, decode: Callable[[bytes], Any], head: Callable[[bytes], _Head], exit_: bytes
    ) -> None:
        self._decode = decode
        self._head = head
        self._exit = re.compile(exit_)

    def may_exit(self, data: bytes) -> bool:
        """Whether a request, which is yet to be read, may be the client's last.

        Nearly always as right as reading it: a text would have to quote an ``exit``.
        """
        return self._exit.search(data) is not None

    def decode(self, data: bytes) -> Request:
        """Read one request; one whose fields do not fit says so in `Request.asked`.

        Raises:
            BadFrame: There is no telling what it is: no map, or not this encoding.
        """
        try:
            fields = self._decode(data)
        except msgspec.ValidationError as error:
            return self._misfit(data, str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadFrame from None
        try:
            return Request(fields.id, _COMMANDS[type(fields)](fields), getattr(fields, "key", ""))
        except ChatError as error:
            return Request(fields.id, error)

    def _misfit(self, data: bytes, why: str) -> Request:
        try:
            head = self._head(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadFrame from None
        known = type(head.id) is int and 0 <= head.id <= MOST_ID
        id_ = head.id if known else None
        if isinstance(head.op, str) and head.op not in OPS:
            return Request(id_, UnknownOp(head.op[:32]))
        return Request(id_, BadRequest(_in_words(why)))


_ANY_FIELDS: Any = Union[tuple(_COMMANDS)]  # noqa: UP007  # made from the table

_decode_json = msgspec.json.Decoder(_ANY_FIELDS).decode
_decode_json_head = msgspec.json.Decoder(_Head).decode

_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(
    rb"(?P<lone>%b(?!%b)|%b)|%b%b|\\." % (_HIGH, _LOW, _LOW, _HIGH, _LOW), re.DOTALL
)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def _paired(data: bytes) -> bytes:
    r"""Take each half of a surrogate pair that is alone for U+FFFD.

    JavaScript's strings can have them and JSON.stringify writes them as escapes, but no UTF-8 can
    (ECMA-262, QuoteJSONString). A text that was cut in the middle of an emoji is no reason to hang
    up on a page, which would send it again.
    """
    if not _SURROGATE.search(data):
        return data
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape["lone"] else escape[0], data)


from_messagepack = RequestDecoder(
    msgspec.msgpack.Decoder(_ANY_FIELDS).decode,
    msgspec.msgpack.Decoder(_Head).decode,
    rb"\xa2op\xa4exit",
)
from_json = RequestDecoder(
    lambda data: _decode_json(_paired(data)),
    lambda data: _decode_json_head(_paired(data)),
    rb'"op"[ \t\r\n]*:[ \t\r\n]*"exit"',
)

_MISSING = re.compile(r"Object missing required field `(\w+)`")
_MISFIT = re.compile(r"(.+) - at `\$\.(\w+)")


def _in_words(why: str) -> str:
    """What msgspec says of a field, the name of the field first.

    It quotes no value but that of an op that is none or that another has followed, which is not
    shown.
    """
    if why.startswith("Invalid value"):
        return "op: it is given twice, and not the same"
    if missing := _MISSING.match(why):
        return f"{missing[1]}: the field is missing"
    if misfit := _MISFIT.match(why):
        return f"{misfit[2]}: {misfit[1][:1].lower()}{misfit[1][1:]}"
    return why
