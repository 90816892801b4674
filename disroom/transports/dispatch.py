"""From a command to a session's verb: one table for every transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from disroom.chat.events import PrivateSent
from disroom.chat.interfaces import Receipt
from disroom.chat.replies import Reply
from disroom.chat.session import Session
from disroom.wire import commands

Answer = Reply | PrivateSent


async def _ignore(session: Session, command: commands.Ignore) -> Answer:
    act = session.ignore if command.ignored else session.unignore
    return act(command.nick)


_VERBS: dict[type[Any], Callable[[Session, Any], Awaitable[Answer]]] = {
    commands.SetNick: lambda s, c: s.name(c.nick),
    commands.Join: lambda s, c: s.join(c.room),
    commands.Leave: lambda s, c: s.leave(c.room),
    commands.Whisper: lambda s, c: s.whisper(c.nick, c.text),
    commands.ListUsers: lambda s, c: s.users(c.room),
    commands.ListRooms: lambda s, _: s.list_rooms(),
    commands.GetTopic: lambda s, c: s.topic(c.room),
    commands.GetHistory: lambda s, c: s.history(c.count, c.before, c.room),
    commands.SetAway: lambda s, c: s.away(c.text),
    commands.Ignore: _ignore,
    commands.MakeResumable: lambda s, _: s.arm(),
    commands.WhoIs: lambda s, c: s.whois(c.nick),
}

_POSTS: dict[type[Any], Callable[..., Awaitable[str]]] = {
    commands.Say: Session.say,
    commands.Act: Session.act,
    commands.SetTopic: Session.set_topic,
}


async def dispatch(session: Session, command: commands.Command) -> Answer:
    """Carry out a command that concerns the session and return what it answers.

    What concerns the connection (talk, ping, help, motd, exit, resume) is its transport's, and what
    goes into the log is for `post`.

    Raises:
        ChatError: As the session's verb says.
    """
    session.send_off()
    return await _VERBS[type(command)](session, command)


def post(
    session: Session, command: commands.Post, key: str = "", receipt: Receipt | None = None
) -> Awaitable[str]:
    """Queue a message, as `Session.say` has it, and return its id.

    Raises:
        ChatError: As the session's verb says.
    """
    verb = _POSTS[type(command)]
    return verb(session, command.text, command.room, key=key, receipt=receipt)
