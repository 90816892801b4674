"""From a command to a session's verb: one table for every transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from disroom.chat.events import PrivateSent
from disroom.chat.replies import Reply
from disroom.chat.session import Session
from disroom.wire import commands

Answer = Reply | PrivateSent | None


async def _ignore(session: Session, command: commands.Ignore) -> Answer:
    act = session.ignore if command.ignored else session.unignore
    return act(command.nick)


_VERBS: dict[type[Any], Callable[[Session, Any], Awaitable[Answer]]] = {
    commands.SetNick: lambda s, c: s.name(c.nick),
    commands.Join: lambda s, c: s.join(c.room),
    commands.Leave: lambda s, c: s.leave(c.room),
    commands.Say: lambda s, c: s.say(c.text, c.room),
    commands.Act: lambda s, c: s.act(c.text),
    commands.Whisper: lambda s, c: s.whisper(c.nick, c.text),
    commands.ListUsers: lambda s, c: s.users(c.room),
    commands.ListRooms: lambda s, _: s.list_rooms(),
    commands.GetTopic: lambda s, _: s.topic(),
    commands.SetTopic: lambda s, c: s.set_topic(c.text),
    commands.GetHistory: lambda s, c: s.history(c.count, c.before),
    commands.SetAway: lambda s, c: s.away(c.text),
    commands.Ignore: _ignore,
    commands.WhoIs: lambda s, c: s.whois(c.nick),
}


async def dispatch(session: Session, command: commands.Command) -> Answer:
    """Carry out a command that concerns the session and return what it answers, if anything.

    What concerns the connection alone (talk, ping, help, motd, exit) is its transport's.

    Raises:
        ChatError: As the session's verb says.
    """
    return await _VERBS[type(command)](session, command)
