"""Events and answers as lines for a terminal: pairs of a style and a text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from disroom import client
from disroom.wire import messages

Line = list[tuple[str, str]]

NAMED_AT_ONCE = 20
"""People named when they come or go at the same moment; more are counted."""

_COLOURS = ("ansired", "ansigreen", "ansiyellow", "ansiblue", "ansimagenta", "ansicyan")
_REMARK = "class:remark"

STYLES = {
    "time": "ansibrightblack",
    "room": "ansibrightblack",
    "remark": "ansibrightblack",
    "error": "ansired bold",
    "gap": "ansiyellow bold",
    "private": "ansimagenta",
    "mention": "bold",
    "bottom-toolbar": "noreverse",
    "own": "bold",
    "apart": "ansiyellow bold",
    "current": "reverse",
    "unread": "ansicyan bold",
}


def nick_style(nick: str) -> str:
    """A colour that somebody has on every screen."""
    digest = hashlib.sha256(nick.casefold().encode()).digest()
    return f"{_COLOURS[digest[0] % len(_COLOURS)]} bold"


def plain(line: Line) -> str:
    """The text alone."""
    return "".join(text for _, text in line)


def remark(text: str) -> Line:
    """Something that nobody said."""
    return [(_REMARK, f"-- {text}")]


def error(code: str, message: str) -> Line:
    """Something that went wrong."""
    return [("class:error", f"Error: {message} ({code})")]


class Painter:
    """Writes events down.

    Args:
        own: Tells the user's present nick.
    """

    def __init__(self, own: Callable[[], str]) -> None:
        self._own = own
        self._lines: dict[type[Any], Callable[[Any], Line]] = {
            client.Said: self.message,
            client.Did: self.message,
            client.TopicSet: self.message,
            client.Joined: lambda e: self._moved(e, "-->", "joined"),
            client.Left: lambda e: self._moved(e, "<--", "left", e.reason),
            client.Renamed: lambda e: [
                *_head(e.at, e.room),
                (_REMARK, f"-- {e.old} is now {e.new}"),
            ],
            client.Gap: _gap,
            client.Private: lambda e: _private(e.at, e.nick, e.text),
            client.Delayed: lambda _: remark("your message is delayed; still trying"),
            client.Stored: lambda e: remark(f"what was reported as not stored is in #{e.room}"),
            client.Connected: lambda e: remark(
                f"connected to {e.instance} as {e.nick}" + (", as you were" if e.resumed else "")
            ),
            client.Disconnected: lambda e: remark(f"connection lost ({e.why}); connecting again"),
            client.NotRejoined: lambda e: error(
                e.code, f"you are no longer in #{e.room}: {e.message}"
            ),
        }

    def event(self, event: client.Event) -> Line:
        """Write an event; nothing where it is not shown."""
        write = self._lines.get(type(event))
        return write(event) if write else []

    def message(self, message: messages.StoredMessage, *, dated: bool = False) -> Line:
        """Write a message."""
        line = _head(message.at, message.room, dated=dated)
        if isinstance(message, messages.Said):
            body = "class:mention" if self._mentions(message) else ""
            return [
                *line,
                (nick_style(message.nick), message.nick),
                ("", ": "),
                (body, message.text),
            ]
        if isinstance(message, messages.Did):
            return [
                *line,
                ("", "* "),
                (nick_style(message.nick), message.nick),
                ("", f" {message.text}"),
            ]
        if not message.text:
            return [*line, (_REMARK, f"-- topic taken away by {message.nick}")]
        return [*line, (_REMARK, f"-- topic by {message.nick}: "), ("", message.text)]

    def _mentions(self, message: messages.Said) -> bool:
        own = self._own()
        word = rf"(?<!\w){re.escape(own)}(?!\w)"
        return message.nick != own and re.search(word, message.text, re.IGNORECASE) is not None

    def sent(self, answer: messages.Whispered, text: str) -> list[Line]:
        """Write a private message as its sender sees it."""
        lines = [_private(answer.at, f"-> {answer.nick}", text)]
        if answer.away is not None:
            lines.append(remark(f"{answer.nick} is away: {answer.away}"))
        return lines

    def _moved(
        self, event: messages.Joined | messages.Left, arrow: str, verb: str, reason: str = ""
    ) -> Line:
        who = people(event.members, len(event.members))
        why = f" ({reason})" if reason else ""
        return [*_head(event.at, event.room), (_REMARK, f"{arrow} {who} {verb}{why}")]


def people(members: Iterable[messages.Member], total: int) -> str:
    """Name people, or count them where they are many."""
    if total > NAMED_AT_ONCE:
        return f"{total} people"
    return ", ".join(m.nick + (" (away)" if m.away else "") for m in members)


def _gap(gap: messages.Gap) -> Line:
    which = "some messages" if gap.first is None else f"messages {gap.first} to {gap.last}"
    return [("class:gap", f"-- #{gap.room}: {which} can no longer be had")]


def _private(at: int, who: str, text: str) -> Line:
    return [("class:time", f"{_clock(at)} "), ("class:private", f"(private) {who}: "), ("", text)]


def _head(at: int, room: str, *, dated: bool = False) -> Line:
    return [("class:time", f"{_clock(at, dated=dated)} "), ("class:room", f"#{room} ")]


def _clock(at: int, *, dated: bool = False) -> str:
    form = "%Y-%m-%d %H:%M:%S" if dated else "%H:%M:%S"
    return datetime.fromtimestamp(at / 1000).astimezone().strftime(form)
