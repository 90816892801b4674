"""The verbs: one table, from which the text protocol parses and ``help`` teaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from disroom.chat.errors import TEXT_OR_ROOM, BadRoom, EmptyText, NotInRoom
from disroom.chat.names import Nick, RoomName
from disroom.chat.text import clean
from disroom.wire.commands import (
    Act,
    Command,
    Exit,
    GetHistory,
    GetTopic,
    Help,
    Ignore,
    Join,
    Leave,
    ListRooms,
    ListUsers,
    MakeResumable,
    Ping,
    Resume,
    Say,
    SetAway,
    SetNick,
    SetTopic,
    ShowMotd,
    Talk,
    Whisper,
    WhoIs,
)
from disroom.wire.errors import UnknownCommand, Usage


@dataclass(frozen=True, slots=True)
class Verb:
    """A row of the table.

    Attributes:
        syntax: As ``help`` and a usage error show it.
        about: What it does, in a few words.
        parse: Makes the command from what follows the verb, stripped; raises ValueError where that
            does not fit the syntax.
    """

    name: str
    syntax: str
    about: str
    parse: Callable[[str], Command]

    def command(self, rest: str) -> Command:
        """Make the command from what follows the verb.

        Raises:
            Usage: It does not fit the syntax.
            ChatError: A name in it is none.
        """
        try:
            return self.parse(rest)
        except ValueError as misfit:
            raise Usage(self.syntax) from misfit


def _alone(command: Command) -> Callable[[str], Command]:
    """Parse a verb that takes nothing."""

    def parse(rest: str) -> Command:
        if rest:
            raise ValueError("the verb takes nothing")
        return command

    return parse


def _nick(rest: str) -> Nick:
    return Nick.parse(_word(rest))


def _room(rest: str) -> RoomName:
    return RoomName.parse(_word(rest))


def _word(rest: str) -> str:
    (word,) = rest.split()
    return word


def _text(rest: str) -> str:
    if not rest:
        raise ValueError("a text is missing")
    return rest


def _first_word(text: str) -> tuple[str, str]:
    """Part the first word of a text from the rest, at blanks of any kind; the rest may be empty."""
    word, *rest = text.split(maxsplit=1)
    return word, rest[0] if rest else ""


def _word_and_text(rest: str) -> tuple[str, str]:
    word, text = rest.split(maxsplit=1)
    return word, text


def _room_or_none(rest: str) -> RoomName | None:
    return _room(rest) if rest else None


def _send(rest: str) -> Say:
    """``send TEXT`` or ``send #ROOM TEXT``; a lone ``#word`` is a text."""
    if not _text(rest).startswith("#"):
        return Say(rest)
    first, text = _first_word(rest)
    if not text:
        return Say(rest)
    try:
        return Say(text, RoomName.parse(first))
    except BadRoom as no_room:
        raise NotInRoom(first[1:33], TEXT_OR_ROOM) from no_room


NO_TOPIC = "-"
"""What takes the topic away, in place of one."""


def _topic(rest: str) -> GetTopic | SetTopic:
    """``TEXT``, or a lone ``-`` to take the topic away."""
    if not rest:
        return GetTopic()
    return SetTopic("" if rest == NO_TOPIC else rest)


def _whisper(rest: str) -> Whisper:
    nick, text = _word_and_text(rest)
    return Whisper(Nick.parse(nick), text)


def _history(rest: str) -> GetHistory:
    """``[N] [before SEQ]``."""
    count = before = None
    words = rest.lower().split()
    if words and words[0] != "before":
        count = _number(words.pop(0))
    if words:
        keyword, number = words
        if keyword != "before":
            raise ValueError("before was expected")
        before = _number(number)
    return GetHistory(count, before)


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 20) or int(word) < 1:
        raise ValueError("a number above 0 was expected")
    return int(word)


def _talk(rest: str) -> Talk:
    """``on`` or ``off``."""
    if rest.lower() not in ("on", "off"):
        raise ValueError("on or off was expected")
    return Talk(rest.lower() == "on")


def _help(rest: str) -> Help:
    return Help(find_verb(_word(rest)).name if rest else None)


VERBS: tuple[Verb, ...] = (
    Verb("nick", "nick NAME", "choose a name, or change it", lambda r: SetNick(_nick(r))),
    Verb("join", "join ROOM", "enter a room, or make it current", lambda r: Join(_room(r))),
    Verb("leave", "leave [ROOM]", "leave a room", lambda r: Leave(_room_or_none(r))),
    Verb("send", "send [#ROOM] TEXT", "say it in the current room, or in that one", _send),
    Verb("say", "say TEXT", "say it in the current room, as it stands", lambda r: Say(_text(r))),
    Verb("talk", "talk on|off", "on: a line without a leading / is said", _talk),
    Verb("me", "me TEXT", "say what you do", lambda r: Act(_text(r))),
    Verb("msg", "msg NICK TEXT", "send a private message", _whisper),
    Verb("users", "users [ROOM]", "see who is in a room", lambda r: ListUsers(_room_or_none(r))),
    Verb("rooms", "rooms", "see the rooms with people", _alone(ListRooms())),
    Verb("topic", "topic [TEXT|-]", "see or set the topic; - takes it away", _topic),
    Verb("history", "history [N] [before SEQ]", "read back", _history),
    Verb("away", "away [TEXT]", "be away, or be back", lambda r: SetAway(r or None)),
    Verb(
        "ignore",
        "ignore NICK",
        "hide what somebody says from now on",
        lambda r: Ignore(_nick(r), True),
    ),
    Verb("unignore", "unignore NICK", "show it again", lambda r: Ignore(_nick(r), False)),
    Verb("whois", "whois NICK", "see who somebody is", lambda r: WhoIs(_nick(r))),
    Verb("session", "session", "be able to come back as you are", _alone(MakeResumable())),
    Verb("resume", "resume TOKEN", "come back as you were", lambda r: Resume(_word(r))),
    Verb("ping", "ping", "get a sign of life", _alone(Ping())),
    Verb("motd", "motd", "see the message of the day", _alone(ShowMotd())),
    Verb("help", "help [VERB]", "see this, or more about a verb", _help),
    Verb("exit", "exit", "leave when all you sent is stored", _alone(Exit())),
)
"""Every verb, in the order in which ``help`` lists them."""

ALIASES = {"quit": "exit"}

_BY_NAME = {verb.name: verb for verb in VERBS}


def find_verb(word: str) -> Verb:
    """Find a verb by its name, in any case, with or without its slash.

    Raises:
        UnknownCommand: There is none.
    """
    name = word.lower().removeprefix("/")
    verb = _BY_NAME.get(ALIASES.get(name, name))
    if verb is None:
        raise UnknownCommand(word[:32])
    return verb


_USUAL = "send "
"""How nearly every line begins."""


def parse(line: str, *, talk: bool = False) -> Command | None:
    """Make a command from a line of the text protocol; None for an empty one.

    Args:
        line: Without its end.
        talk: A line without a leading ``/`` is said.

    Raises:
        ChatError: It is none; the message says what to do.
    """
    stripped = clean(line).strip()
    if stripped.startswith(_USUAL) and not talk:
        return _send(stripped[len(_USUAL) :].lstrip())
    if not stripped:
        return None
    if talk and not stripped.startswith("/"):
        return Say(stripped)
    word, rest = _first_word(stripped)
    verb = find_verb(word)
    try:
        return verb.command(rest)
    except Usage:
        # There was a text, and none of it may be sent.
        if verb.syntax.endswith(" TEXT") and len(line.split()) > len(stripped.split()):
            raise EmptyText from None
        raise
