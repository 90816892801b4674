"""What is stored in the stream for each message: a JSON object, readable by any NATS tool.

    {"v": 1, "id": "...", "kind": "said", "nick": "alice", "session": "...", "text": "hello"}

``account`` is left out when there is none. The seq, the time and the room are the stream's to say:
they are in the message's headers and subject.

Instances of several versions share a stream. A new version may add fields, which an old one keeps
when it hands an envelope on, and kinds, which an old one shows as ``said``; ``v`` counts up with
either. What the fields above mean never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

import msgspec

from disroom.chat.events import Draft, Message
from disroom.chat.names import Nick, RoomName

VERSION = 1

Kind = Literal["said", "did", "topic"]


class BadEnvelope(Exception):
    """The bytes are no envelope; the text does not quote them."""


class _Fields(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    v: int
    id: str
    kind: str
    nick: str
    session: str
    text: str
    account: str | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Fields).decode
_decode_any = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as it is stored.

    Attributes:
        id: Of the message; the log stores each once.
        kind: ``said``, ``did``, ``topic``, or one of a later version.
        nick: As it was shown then.
        session: Of the sender.
        account: The sender's account, None for a guest.
        version: Of the writer.
        extra: Fields of a later version.
    """

    id: str
    kind: str
    nick: str
    session: str
    text: str
    account: str | None = None
    version: int = VERSION
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, draft: Draft) -> Envelope:
        """The envelope for a draft."""
        return cls(draft.id, draft.kind, draft.nick.display, draft.session, draft.text)

    def encode(self) -> bytes:
        """The bytes to store."""
        fields = _Fields(
            self.version, self.id, self.kind, self.nick, self.session, self.text, self.account
        )
        if self.extra:
            return _encode({**msgspec.to_builtins(fields), **self.extra})
        return _encode(fields)

    @classmethod
    def decode(cls, data: bytes) -> Envelope:
        """Read what is stored.

        Raises:
            BadEnvelope: Somebody else stored it.
        """
        extra: dict[str, Any] = {}
        try:
            try:
                fields = _decode(data)
            except msgspec.ValidationError:  # it may only have fields of a later version
                known = _decode_any(data)
                for name in known.keys() - set(_Fields.__struct_fields__):
                    extra[name] = known.pop(name)
                fields = msgspec.convert(known, _Fields)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadEnvelope(f"{len(data)} bytes that are no message") from None
        return cls(
            fields.id,
            fields.kind,
            fields.nick,
            fields.session,
            fields.text,
            fields.account,
            fields.v,
            extra,
        )

    def message(self, room: RoomName, seq: int, at: float) -> Message:
        """The message, with what the stream says of it."""
        kind: Kind = self.kind if _is_known(self.kind) else "said"
        nick = Nick.trusted(self.nick)
        return Message(room, seq, at, self.id, kind, nick, self.session, self.text)


def encode(draft: Draft) -> bytes:
    """The bytes to store for a draft: what its envelope's are, made at once."""
    return _encode(
        _Fields(VERSION, draft.id, draft.kind, draft.nick.display, draft.session, draft.text)
    )


def decode(data: bytes, room: RoomName, seq: int, at: float) -> Message:
    """The message that is stored: what its envelope's is, read at once where it is of this version.

    Raises:
        BadEnvelope: Somebody else stored it.
    """
    try:
        fields = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Envelope.decode(data).message(room, seq, at)
    kind: Kind = fields.kind if _is_known(fields.kind) else "said"
    nick = Nick.trusted(fields.nick)
    return Message(room, seq, at, fields.id, kind, nick, fields.session, fields.text)


def _is_known(kind: str) -> TypeGuard[Kind]:
    return kind in ("said", "did", "topic")
