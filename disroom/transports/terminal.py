"""Somebody at a terminal: one line in, lines out, and a question now and then.

How bytes become lines, and what telnet puts between them, is not known here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from disroom.chat.errors import ChatError
from disroom.chat.events import Event
from disroom.chat.names import Nick, RoomName
from disroom.chat.tokens import Seen
from disroom.transports.client import Client
from disroom.transports.dispatch import dispatch, post
from disroom.wire import commands
from disroom.wire.line import GOODBYE, PONG, PROMPT, LineFormat, encode, error_line, help_lines
from disroom.wire.lineedit import decode_line
from disroom.wire.verbs import parse


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In the lane: what follows cannot be read."""

    why: ChatError


class Terminal:
    """An `ISpeech` of lines.

    What goes into the client's lane are lines without their ends; in place of one that was dropped
    a ChatError, which is all that is said of it; and at the end `Unreadable`, which closes the
    connection.

    Args:
        client: Whom it is spoken to.
        format: Shared by all clients that speak lines.
    """

    __slots__ = ("_client", "_format", "_joining", "_talking")

    def __init__(self, client: Client, format: LineFormat) -> None:
        self._client = client
        self._format = format
        self._talking = False
        self._joining: RoomName | None = None

    async def obey(self, item: bytes | ChatError | Unreadable) -> None:
        """Carry out a line, or say what is wrong with it."""
        try:
            if not isinstance(item, bytes):
                await self._refuse(item)
                return
            rest = self._obey_line(decode_line(item))
            if rest is not None:
                await rest
        except ChatError as error:
            self._say(error_line(error))
            self._prompt_again()
        except Exception:
            self._say("Error: this server made a mistake; try something else (internal)")
            raise

    async def _refuse(self, item: ChatError | Unreadable) -> None:
        if isinstance(item, ChatError):
            raise item
        await self._client.close_for(item.why)

    def _obey_line(self, line: str) -> Awaitable[object] | None:
        """Carry out a line, and return what is still to be waited for.

        No coroutine, since every message passes here; nor is what leads from here to the session.
        """
        if self._joining and not line.startswith("/"):
            return self._take_name(self._joining, line.strip())
        self._joining = None
        command = parse(line, talk=self._talking)
        if command is None:
            return None
        own = _OWN.get(type(command))
        return own(self, command) if own else self._ask(command)

    def _post(self, command: commands.Post) -> Awaitable[object]:
        return post(self._client.session, command)

    async def _ask(self, command: commands.Command) -> None:
        answer = await dispatch(self._client.session, command)
        self._client.write(self._format.reply(answer))

    async def _join(self, command: commands.Join) -> None:
        if self._client.session.nick is None:
            self._joining = command.room
            self._prompt_again()
        else:
            await self._ask(command)

    async def _take_name(self, room: RoomName, name: str) -> None:
        """Read the answer to ``Enter your user ID:``; an empty line takes the question back."""
        if name:
            await self._client.session.name(Nick.parse(name))
            self._joining = None
            await self._ask(commands.Join(room))
        else:
            self._joining = None
            self._say("-- no name, so not joined")

    def _prompt_again(self) -> None:
        if self._joining and not self._client.input_ended:
            self._client.write(PROMPT)

    async def _talk(self, command: commands.Talk) -> None:
        self._talking = command.on
        self._say(
            "-- talk on: lines are said; a command starts with /, as in /talk off"
            if command.on
            else "-- talk off: to say something: send TEXT"
        )

    async def _ping(self, _: commands.Ping) -> None:
        self._say(PONG)

    async def _help(self, command: commands.Help) -> None:
        history_most = self._client.reception.hub.limits.history_most
        self._say(*help_lines(command.verb, history_most))

    async def _motd(self, _: commands.ShowMotd) -> None:
        motd = self._client.settings.motd
        self._say(*motd, "-- that was it" if motd else "-- there is no message of the day")

    async def _resume(self, command: commands.Resume) -> None:
        await self._client.resume(command.token, Seen(), self._format.reply)

    async def _exit(self, _: commands.Exit) -> None:
        await self._client.exit()

    # What the client is told.

    @property
    def event(self) -> Callable[[Event], bytes]:
        """Formats an event, once for all."""
        return self._format.event

    def error(self, error: ChatError) -> bytes:
        """Write an error; see `ISpeech`."""
        return encode([error_line(error)])

    def farewell(self, error: ChatError | None) -> bytes:
        """Write the last lines; see `ISpeech`."""
        return encode([*([error_line(error)] if error else []), GOODBYE])

    def _say(self, *lines: str) -> None:
        self._client.write(encode(lines))


_OWN: dict[type[Any], Callable[[Terminal, Any], Awaitable[object]]] = {
    commands.Say: Terminal._post,
    commands.Act: Terminal._post,
    commands.SetTopic: Terminal._post,
    commands.Join: Terminal._join,
    commands.Talk: Terminal._talk,
    commands.Ping: Terminal._ping,
    commands.Help: Terminal._help,
    commands.ShowMotd: Terminal._motd,
    commands.Resume: Terminal._resume,
    commands.Exit: Terminal._exit,
}
"""The verbs that are not just asked of the session and answered."""
