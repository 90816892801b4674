"""From the domain's events and replies to the messages of `disroom.wire.messages`, and to bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from disroom.chat import events, replies
from disroom.chat.errors import ChatError
from disroom.chat.names import Nick
from disroom.chat.stored import Topic
from disroom.wire import messages

Encode = Callable[[Any], bytes]

to_messagepack: Encode = msgspec.msgpack.Encoder().encode
to_json: Encode = msgspec.json.Encoder().encode


class MessageFormat:
    """Encodes for one kind of client.

    The bytes of the last event are kept, so that an event which goes to every member of a room is
    encoded once.

    Args:
        encode: From a message to what is written to a client, with whatever frames it.
    """

    def __init__(self, encode: Encode) -> None:
        self.encode = encode
        self._last_event: events.Event | None = None
        self._last_bytes = b""

    def event(self, event: events.Event) -> bytes:
        """Encode what happened."""
        if event is not self._last_event:
            told = _EVENTS[type(event)](event)
            some = told if isinstance(told, tuple) else (told,)
            self._last_bytes = b"".join(map(self.encode, some))
            self._last_event = event
        return self._last_bytes

    def answer(self, id_: int, reply: replies.Reply | events.PrivateSent) -> bytes:
        """Encode the answer to a request."""
        return self.encode(_ANSWERS[type(reply)](id_, reply))

    def error(self, id_: int | None, error: ChatError) -> bytes:
        """Encode why a request was not carried out."""
        return self.encode(messages.Error(error.code, error.message, id_))


def milliseconds(at: float) -> int:
    """Unix seconds as Unix milliseconds."""
    return round(at * 1000)


def _member(member: events.Member) -> messages.Member:
    return messages.Member(member.session, member.nick.display, member.away)


def _members(members: tuple[events.Member, ...]) -> tuple[messages.Member, ...]:
    return tuple(_member(member) for member in members)


def _topic(topic: Topic | None) -> messages.Topic | None:
    if topic is None:
        return None
    return messages.Topic(topic.text, topic.nick.display, milliseconds(topic.at))


# Events.

_KINDS: dict[str, type[messages.StoredMessage]] = {
    "said": messages.Said,
    "did": messages.Did,
    "topic": messages.TopicSet,
}


def stored_message(message: events.Message) -> messages.StoredMessage:
    """A message of a room, as an event and in a history."""
    return _KINDS[message.kind](
        message.room.display,
        message.seq,
        milliseconds(message.at),
        message.id,
        message.session,
        message.nick.display,
        message.text,
    )


def _joined(event: events.Joined) -> messages.Joined:
    return messages.Joined(event.room.display, milliseconds(event.at), _members(event.members))


def _left(event: events.Left) -> messages.Left:
    at = milliseconds(event.at)
    return messages.Left(event.room.display, at, _members(event.members), event.reason)


def _renamed(event: events.Renamed) -> messages.Renamed:
    at, old, new = milliseconds(event.at), event.old.display, event.new.display
    return messages.Renamed(event.room.display, at, event.session, old, new)


def _marked_away(event: events.MarkedAway) -> tuple[messages.Away, ...]:
    room, at = event.room.display, milliseconds(event.at)
    return tuple(messages.Away(room, at, _member(member)) for member in event.members)


def _private(event: events.PrivateReceived) -> messages.Private:
    message = event.message
    at = milliseconds(message.at)
    return messages.Private(message.id, at, message.sender.display, message.text)


def delayed(event: events.Delayed, request: int | None = None) -> messages.Delayed:
    """A message waits; ``request`` is the id of the request that sent it, where it is known."""
    return messages.Delayed(event.room.display, request)


def stored(event: events.StoredAfterAll, request: int | None = None) -> messages.Stored:
    """A message is there after all; ``request`` as with `delayed`."""
    message = event.message
    return messages.Stored(message.room.display, message.seq, message.id, request)


_EVENTS: dict[type[Any], Callable[[Any], Any]] = {
    events.Message: stored_message,
    events.Gap: lambda e: messages.Gap(e.room.display, e.first, e.last),
    events.Joined: _joined,
    events.Left: _left,
    events.Renamed: _renamed,
    events.MarkedAway: _marked_away,
    events.PrivateReceived: _private,
    events.Delayed: delayed,
    events.Failed: lambda e: messages.Error(e.error.code, e.error.message),
    events.StoredAfterAll: stored,
}


# Answers.


def _backlog(
    reply: replies.Entered,
) -> tuple[tuple[messages.StoredMessage, ...] | None, bool | None]:
    if reply.backlog is None:
        return None, None
    page = reply.backlog.page
    return tuple(stored_message(message) for message in page.messages), page.older


def _entered(id_: int, reply: replies.Entered) -> messages.Entered:
    read, older = _backlog(reply)
    return messages.Entered(
        id_,
        room=reply.room.display,
        nick=reply.nick.display,
        members=_members(reply.users.members),
        total=reply.users.total,
        seq=reply.position,
        topic=_topic(reply.topic),
        messages=read,
        older=older,
    )


def _in_room(reply: replies.Entered) -> messages.InRoom:
    users = reply.users
    return messages.InRoom(
        reply.room.display,
        _members(users.members),
        users.total,
        _topic(reply.topic),
        *_backlog(reply),
        reply.position if reply.backlog else None,
    )


def welcomed(
    id_: int,
    reply: replies.Resumable | replies.Restored,
    *,
    session: str,
    log: str,
    instance: str,
    nick: Nick | None,
) -> messages.Welcomed:
    """The answer to a hello, whichever way the session came about."""
    rooms = reply.rooms if isinstance(reply, replies.Restored) else ()
    return messages.Welcomed(
        id_,
        version=messages.VERSION,
        session=session,
        token=reply.token,
        grace=reply.grace,
        log=log,
        instance=instance,
        nick=nick.display if nick else None,
        rooms=tuple(_in_room(entered) for entered in rooms),
    )


def _user_list(id_: int, reply: replies.UserList) -> messages.UserList:
    members = _members(reply.members)
    return messages.UserList(id_, reply.room.display, members, reply.total, reply.stale)


def _room_list(id_: int, reply: replies.RoomList) -> messages.RoomList:
    rooms = (messages.ListedRoom(r.name.display, r.members, _topic(r.topic)) for r in reply.rooms)
    return messages.RoomList(id_, tuple(rooms), reply.total)


def _history(id_: int, reply: replies.History) -> messages.History:
    page = reply.page
    read = tuple(stored_message(message) for message in page.messages)
    return messages.History(id_, reply.room.display, read, page.older)


def _whois(id_: int, reply: replies.Whois) -> messages.Whois:
    who = reply.whereabouts
    return messages.Whois(
        id_,
        who.nick.display,
        who.session,
        who.instance_name,
        milliseconds(who.since),
        tuple(room.display for room in who.rooms),
        who.away,
    )


def _whispered(id_: int, sent: events.PrivateSent) -> messages.Whispered:
    message = sent.message
    at, nick = milliseconds(message.at), message.recipient.display
    return messages.Whispered(id_, message.id, at, nick, message.away)


_ANSWERS: dict[type[Any], Callable[[int, Any], messages.Ok]] = {
    replies.Named: lambda id_, r: messages.Named(id_, r.nick.display),
    replies.Entered: _entered,
    replies.Departed: lambda id_, r: messages.Departed(id_, r.room.display),
    replies.UserList: _user_list,
    replies.RoomList: _room_list,
    replies.TopicIs: lambda id_, r: messages.TopicIs(id_, r.room.display, _topic(r.topic)),
    replies.History: _history,
    replies.AwaySet: lambda id_, r: messages.AwaySet(id_, r.text),
    replies.IgnoreSet: lambda id_, r: messages.Named(id_, r.nick.display),
    replies.Whois: _whois,
    events.PrivateSent: _whispered,
}
