"""The text protocol, outward: events and replies as lines.

A line that carries a user's text begins with ``[``; a reply of several lines ends with one that
begins with ``-- ``. ``docs/protocol.md`` specifies every form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any

from disroom.chat.errors import ChatError
from disroom.chat.events import (
    Delayed,
    Event,
    Failed,
    Gap,
    Joined,
    Left,
    MarkedAway,
    Member,
    Message,
    PrivateReceived,
    PrivateSent,
    Renamed,
    StoredAfterAll,
)
from disroom.chat.names import RoomName
from disroom.chat.replies import (
    AwaySet,
    Departed,
    Entered,
    History,
    IgnoreSet,
    Named,
    Reply,
    Restored,
    Resumable,
    RoomList,
    TopicIs,
    UserList,
    Whois,
)
from disroom.chat.stored import Topic
from disroom.wire.verbs import VERBS, Verb, find_verb

PROMPT = b"Enter your user ID: "
"""The one thing that is sent without a line end."""

GOODBYE = "Goodbye!"
PONG = "Pong"
WELCOME = "Welcome to DisRoom! Come in with: join ROOM (for the verbs: help)"

NAMED_AT_ONCE = 20
"""People named when they come or go at the same moment; more are counted."""


def encode(lines: Iterable[str]) -> bytes:
    """End each line with CR LF and encode them all."""
    return "".join([f"{line}\r\n" for line in lines]).encode()


def error_line(error: ChatError) -> str:
    """The one line that tells a user what went wrong."""
    return f"Error: {error.message} ({error.code})"


def help_lines(name: str | None, history_most: int) -> tuple[str, ...]:
    """Explain the verb of this name, or all.

    Args:
        name: None for all.
        history_most: Messages that ``history`` shows at the most.
    """

    def about(verb: Verb) -> str:
        bound = f", at most {history_most} lines" if verb.name == "history" else ""
        return f"{verb.about}{bound}"

    if name:
        verb = find_verb(name)
        return (f"-- {verb.syntax}: {about(verb)}",)
    width = max(len(v.syntax) for v in VERBS)
    return (
        *(f"  {v.syntax:<{width}}  {about(v)}" for v in VERBS),
        "-- a leading / or # is fine, as in /join #tea",
    )


class LineFormat:
    """Formats for people at a terminal.

    The lines of the last event are kept, so that an event which goes to every member of a room is
    formatted once.

    Args:
        zone: The time zone of the times shown.
    """

    def __init__(self, zone: tzinfo = UTC) -> None:
        self._zone = zone
        self._last_event: Event | None = None
        self._last_lines = b""
        self._last_second = -1
        self._last_clock = ""
        self._formats: dict[type[Any], Callable[[Any], Iterable[str]]] = {
            Message: self._message,
            Gap: self._gap,
            Joined: lambda e: self._moved(e, "-->", "joined"),
            Left: lambda e: self._moved(e, "<--", "left", e.reason),
            Renamed: self._renamed,
            MarkedAway: lambda _: (),  # the list of users shows it
            PrivateReceived: self._private_received,
            PrivateSent: self._private_sent,
            Delayed: lambda _: ("-- your message is delayed; still trying",),
            Failed: lambda e: (error_line(e.error),),
            StoredAfterAll: self._stored_after_all,
            Resumable: self._resumable,
            Restored: self._restored,
            Named: lambda r: (f"You are {r.nick}",),
            Entered: self._entered,
            Departed: self._departed,
            UserList: self._users,
            RoomList: self._rooms,
            TopicIs: self._topic_is,
            History: self._history,
            AwaySet: lambda r: ("-- you are back" if r.text is None else "-- you are away",),
            IgnoreSet: self._ignore_set,
            Whois: self._whois,
        }

    def event(self, event: Event) -> bytes:
        """Format what happened."""
        if event is not self._last_event:
            self._last_lines = encode(self._formats[type(event)](event))
            self._last_event = event
        return self._last_lines

    def reply(self, reply: Reply | PrivateSent) -> bytes:
        """Format the answer to a command."""
        return encode(self._formats[type(reply)](reply))

    # Times.

    def _clock(self, at: float) -> str:
        second = int(at)
        if second != self._last_second:
            self._last_second = second
            self._last_clock = self._time(at, "%H:%M:%S")
        return self._last_clock

    def _date(self, at: float) -> str:
        return self._time(at, "%Y-%m-%d %H:%M:%S")

    def _time(self, at: float, form: str) -> str:
        return datetime.fromtimestamp(int(at), self._zone).strftime(form)

    # Events.

    def _message(self, message: Message) -> tuple[str]:
        return (self._message_at(self._clock(message.at), message),)

    @staticmethod
    def _message_at(when: str, message: Message) -> str:
        if message.kind == "said":
            return f"[{when}] #{message.room.display} {message.nick.display}: {message.text}"
        if message.kind == "did":
            return f"[{when}] #{message.room} * {message.nick} {message.text}"
        if not message.text:
            return f"[{when}] #{message.room} -- topic taken away by {message.nick}"
        return f"[{when}] #{message.room} -- topic by {message.nick}: {message.text}"

    @staticmethod
    def _gap(gap: Gap) -> tuple[str]:
        if gap.first is None:
            return (f"-- #{gap.room}: the message log was started anew; messages may be missing",)
        return (f"-- #{gap.room}: messages {gap.first}..{gap.last} are no longer available",)

    def _moved(self, event: Joined | Left, arrow: str, verb: str, reason: str = "") -> tuple[str]:
        if len(event.members) > NAMED_AT_ONCE:
            who = f"{len(event.members)} people"
        else:
            who = ", ".join(member.nick.display for member in event.members)
        why = f" ({reason})" if reason else ""
        return (f"[{self._clock(event.at)}] #{event.room} {arrow} {who} {verb}{why}",)

    def _renamed(self, event: Renamed) -> tuple[str]:
        return (f"[{self._clock(event.at)}] #{event.room} -- {event.old} is now {event.new}",)

    def _private_received(self, event: PrivateReceived) -> tuple[str]:
        message = event.message
        return (f"[{self._clock(message.at)}] (private) {message.sender}: {message.text}",)

    def _private_sent(self, event: PrivateSent) -> Iterable[str]:
        message = event.message
        clock = self._clock(message.at)
        yield f"[{clock}] (private) -> {message.recipient}: {message.text}"
        if message.away is not None:
            yield f"[{clock}] (away) {message.recipient}: {message.away}"

    @staticmethod
    def _stored_after_all(event: StoredAfterAll) -> tuple[str]:
        return (f"-- what was reported as not stored is in #{event.message.room} after all:",)

    # Replies.

    def _entered(self, reply: Entered) -> Iterable[str]:
        yield f"Joined room {reply.room} as {reply.nick}"
        yield from self._users(reply.users)
        if reply.topic:
            yield self._topic_line(reply.room, reply.topic)
        if reply.backlog:
            yield from self._history(reply.backlog)
        else:
            yield f"-- now talking in #{reply.room}"

    @staticmethod
    def _resumable(reply: Resumable) -> tuple[str]:
        within = f"within {reply.grace:g} s of a lost connection"
        return (f"-- to come back as you are, {within}: resume {reply.token}",)

    def _restored(self, reply: Restored) -> Iterable[str]:
        yield f"You are {reply.nick} again"
        for entered in reply.rooms:
            yield f"Joined room {entered.room} as {reply.nick}"
            yield from self._users(entered.users)
            if entered.backlog:
                yield from self._history(entered.backlog)
        if reply.current:
            yield f"-- now talking in #{reply.current}"
        yield from self._resumable(Resumable(reply.token, reply.grace))

    @staticmethod
    def _departed(reply: Departed) -> Iterable[str]:
        yield f"Left room {reply.room}"
        if reply.current:
            yield f"-- now talking in #{reply.current}"

    @staticmethod
    def _users(reply: UserList) -> Iterable[str]:
        who = ", ".join(_shown(member) for member in reply.members) or "(nobody)"
        more = reply.total - len(reply.members)
        yield f"Users in {reply.room}: {who}" + (f" and {more} more" if more else "")
        if reply.stale:
            yield "-- this may be out of date: the presence store cannot be reached just now"

    def _rooms(self, reply: RoomList) -> Iterable[str]:
        for room in reply.rooms:
            people = "1 user" if room.members == 1 else f"{room.members} users"
            topic = f": {room.topic.text}" if room.topic else ""
            yield f"[{people}] #{room.name}{topic}"
        if not reply.total:
            yield "-- no rooms yet; start one: join ROOM"
        elif reply.total > len(reply.rooms):
            yield f"-- the fullest {len(reply.rooms)} of {reply.total} rooms"
        else:
            yield "-- 1 room" if reply.total == 1 else f"-- {reply.total} rooms"

    def _topic_is(self, reply: TopicIs) -> tuple[str]:
        if reply.topic:
            return (self._topic_line(reply.room, reply.topic),)
        return (f"-- #{reply.room} has no topic; set one: topic TEXT",)

    def _topic_line(self, room: RoomName, topic: Topic) -> str:
        return f"[{self._date(topic.at)}] #{room} -- topic by {topic.nick}: {topic.text}"

    def _history(self, reply: History) -> Iterable[str]:
        messages = reply.page.messages
        for message in messages:
            yield self._message_at(self._date(message.at), message)
        if not messages:
            before = f"before {reply.before}" if reply.before else "yet"
            yield f"-- #{reply.room} has no messages {before}"
        elif reply.page.older:
            first, last = messages[0].seq, messages[-1].seq
            older = f"history {reply.asked} before {first}"
            yield f"-- #{reply.room} {first}..{last}; older: {older}"
        else:
            yield f"-- #{reply.room} {messages[0].seq}..{messages[-1].seq}; nothing older"

    @staticmethod
    def _ignore_set(reply: IgnoreSet) -> tuple[str]:
        return (f"-- {reply.nick} is {'ignored' if reply.ignored else 'no longer ignored'}",)

    def _whois(self, reply: Whois) -> Iterable[str]:
        who = reply.whereabouts
        rooms = ", ".join(f"#{room}" for room in who.rooms) or "(no room)"
        yield f"{who.nick} is in {rooms}"
        if who.away is not None:
            yield f"[away] {who.nick}: {who.away}"
        where = f"is on {who.instance_name}" if who.instance else "is to come back, here"
        yield f"-- {who.nick} {where} since {self._date(who.since)}"


def _shown(member: Member) -> str:
    return f"{member.nick} (away)" if member.away else member.nick.display
