"""What programs are sent: one struct a message, the same for MessagePack and for JSON.

Every message has a ``type``, the tag. An answer is ``ok`` or ``error`` and carries the ``id`` of
its request; an event carries the ``id`` of the message that it is, where it is one. Times are Unix
milliseconds. A field at its default is left out.
"""

from __future__ import annotations

import msgspec

VERSION = 1
"""Of the protocol, as `Welcomed` tells it; counts up when a client must know of a change."""


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """Somebody in a room."""

    session: str
    nick: str
    away: bool = False


class Topic(msgspec.Struct, frozen=True):
    """What a room is about, who said so, and when."""

    text: str
    nick: str
    at: int


# Events.


class _Event(msgspec.Struct, tag_field="type", frozen=True, omit_defaults=True):
    pass


class _Stored(_Event, frozen=True):
    room: str
    seq: int
    at: int
    id: str
    session: str
    nick: str
    text: str


class Said(_Stored, tag="said", frozen=True):
    """Somebody said something."""


class Did(_Stored, tag="did", frozen=True):
    """Somebody described an action."""


class TopicSet(_Stored, tag="topic", frozen=True):
    """Somebody set the topic, or took it away: then `text` is empty."""


StoredMessage = Said | Did | TopicSet


class Joined(_Event, tag="joined", frozen=True):
    """People came into a room, at the same moment."""

    room: str
    at: int
    members: tuple[Member, ...]


class Left(_Event, tag="left", frozen=True):
    """People left a room, at the same moment."""

    room: str
    at: int
    members: tuple[Member, ...]
    reason: str = ""


class Renamed(_Event, tag="renamed", frozen=True):
    """Somebody goes by another nick."""

    room: str
    at: int
    session: str
    old: str
    new: str


class Away(_Event, tag="away", frozen=True):
    """Somebody is away, or back."""

    room: str
    at: int
    member: Member


class Gap(_Event, tag="gap", frozen=True):
    """Messages were missed; without ``first`` and ``last`` nobody knows how many."""

    room: str
    first: int | None = None
    last: int | None = None


class Private(_Event, tag="private", frozen=True):
    """A private message has come in."""

    id: str
    at: int
    nick: str
    text: str


class Delayed(_Event, tag="delayed", frozen=True):
    """A message of the client waits for the log, and is still being tried."""

    room: str
    request: int | None = None


class Stored(_Event, tag="stored", frozen=True):
    """A message that was reported as not stored is in the room after all."""

    room: str
    seq: int
    id: str
    request: int | None = None


class Reconnect(_Event, tag="reconnect", frozen=True):
    """The connection is being closed; the session may be resumed, wherever the client connects."""

    code: str
    message: str


class Goodbye(_Event, tag="goodbye", frozen=True):
    """The connection is being closed and the session has ended."""

    code: str | None = None
    message: str | None = None


class Error(_Event, tag="error", frozen=True):
    """A request was not carried out; without ``id`` it concerns none in particular."""

    code: str
    message: str
    id: int | None = None


# Answers: what they carry depends on the request's ``op``.


class Ok(msgspec.Struct, tag="ok", tag_field="type", frozen=True, omit_defaults=True):
    """A request was carried out, and there is nothing to tell."""

    id: int


class InRoom(msgspec.Struct, frozen=True, omit_defaults=True):
    """A room in which a resumed session is.

    With its last messages, and the ``seq`` up to which they are everything, where the client did
    not say what it has seen of the room: then only what is new follows.
    """

    room: str
    members: tuple[Member, ...]
    total: int
    topic: Topic | None = None
    messages: tuple[StoredMessage, ...] | None = None
    older: bool | None = None
    seq: int | None = None


class Welcomed(Ok, kw_only=True, frozen=True):
    """Of ``hello``; ``session`` is by what others know the client's messages."""

    version: int
    session: str
    token: str
    grace: float
    log: str
    instance: str
    nick: str | None = None
    rooms: tuple[InRoom, ...]


class Named(Ok, frozen=True):
    """Of ``nick``, ``ignore`` and ``unignore``."""

    nick: str


class Entered(Ok, kw_only=True, frozen=True):
    """Of ``join``; without the messages where the user was in the room already.

    Up to ``seq`` the client has been given everything of the room.
    """

    room: str
    nick: str
    members: tuple[Member, ...]
    total: int
    seq: int
    topic: Topic | None = None
    messages: tuple[StoredMessage, ...] | None = None
    older: bool | None = None


class Departed(Ok, frozen=True):
    """Of ``leave``."""

    room: str


class Posted(Ok, frozen=True):
    """Of ``send``, ``me`` and ``topic`` with a text, once it is stored."""

    room: str
    seq: int


class TopicIs(Ok, frozen=True):
    """Of ``topic`` without a text."""

    room: str
    topic: Topic | None = None


class Whispered(Ok, frozen=True):
    """Of ``msg``: ``message`` is the id under which the other received it."""

    message: str
    at: int
    nick: str
    away: str | None = None


class UserList(Ok, frozen=True):
    """Of ``users``."""

    room: str
    members: tuple[Member, ...]
    total: int
    stale: bool


class ListedRoom(msgspec.Struct, frozen=True, omit_defaults=True):
    """A room with people in it: ``members`` is how many."""

    room: str
    members: int
    topic: Topic | None = None


class RoomList(Ok, frozen=True):
    """Of ``rooms``."""

    rooms: tuple[ListedRoom, ...]
    total: int


class History(Ok, frozen=True):
    """Of ``history``."""

    room: str
    messages: tuple[StoredMessage, ...]
    older: bool


class AwaySet(Ok, frozen=True):
    """Of ``away``."""

    text: str | None = None


class Whois(Ok, frozen=True):
    """Of ``whois``."""

    nick: str
    session: str
    instance: str
    since: int
    rooms: tuple[str, ...]
    away: str | None = None


class Motd(Ok, frozen=True):
    """Of ``motd``."""

    lines: tuple[str, ...]
