"""What a user types and what comes back, without a terminal: lines in, lines out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from disroom import client
from disroom.chat.errors import ChatError, NoRoom
from disroom.chat.names import RoomName
from disroom.client.terminal.paint import Line, Painter, error, people, remark
from disroom.wire import commands, messages
from disroom.wire.errors import UnknownCommand
from disroom.wire.verbs import VERBS, find_verb, parse

LISTED = 200
"""Members named in one list."""

ELSEWHERE = ("talk", "session", "resume")
"""Verbs that this client does by itself, so that nobody needs them."""


class Conversation:
    """One user at a terminal.

    Args:
        chat: The connection to the chat.
        show: Takes each line that is to be shown.

    Attributes:
        current: The room in which is talked, as it is shown; None for none.
        unread: How much was said in the other rooms since they were current.
    """

    def __init__(self, chat: client.Chat, show: Callable[[Line], None]) -> None:
        self.current: str | None = None
        self.unread: dict[str, int] = {}
        self._chat = chat
        self._show = show
        self._painter = Painter(lambda: chat.nick)
        self._sending: set[asyncio.Task[None]] = set()
        self._verbs: dict[type[Any], Callable[[Any], Awaitable[None]]] = {
            commands.SetNick: self._rename,
            commands.Join: self._join,
            commands.Leave: self._leave,
            commands.Whisper: self._whisper,
            commands.ListUsers: self._users,
            commands.ListRooms: self._rooms,
            commands.GetTopic: self._topic,
            commands.GetHistory: self._history,
            commands.SetAway: self._away,
            commands.Ignore: self._ignore,
            commands.WhoIs: self._whois,
            commands.Ping: self._ping,
            commands.Help: self._help,
            commands.ShowMotd: self._motd,
        }

    @property
    def unsent(self) -> int:
        """How much was said and is not stored yet."""
        return len(self._sending)

    def heard(self, event: client.Event) -> None:
        """Show an event."""
        if isinstance(event, messages.StoredMessage) and event.room != self.current:
            self.unread[event.room] = self.unread.get(event.room, 0) + 1
        elif isinstance(event, client.NotRejoined):
            self._gone(event.room)
        line = self._painter.event(event)
        if line:
            self._show(line)

    async def begin(self, rooms: Sequence[str]) -> None:
        """Join rooms, and talk in the first of them."""
        for room in rooms:
            await self.typed(f"/join {room}")
        if rooms and rooms[0] in self._chat.rooms:
            self.enter(self._chat.rooms[rooms[0]].name)

    async def typed(self, line: str) -> bool:
        """Do what a line says; False where the user leaves.

        What is said is sent without waiting for it to be stored, so that the next can be typed.
        """
        try:
            command = parse(line, talk=True)
            if isinstance(command, commands.Exit):
                return False
            if isinstance(command, commands.Post):
                self._post(command)
            elif command is not None:
                await self._do(command)
        except UnknownCommand as refused:
            word = line.split()[0]
            self._show(error(refused.code, f"there is no {word}; all commands: /help"))
        except ChatError as refused:
            self._show(error(refused.code, refused.message))
        except client.ChatFailed as refused:
            self._show(error(refused.code, str(refused)))
        return True

    async def say(self, room: str, text: str) -> bool:
        """Say something, whatever it begins with, and wait; False where that failed."""
        try:
            await self._chat.send(room, text)
        except client.ChatFailed as refused:
            self._show(error(refused.code, str(refused)))
            return False
        return True

    async def sent(self) -> None:
        """Return when all that was said is stored or has failed."""
        if self._sending:
            await asyncio.wait(self._sending)

    async def _do(self, command: commands.Command) -> None:
        verb = self._verbs.get(type(command))
        if verb is None:
            self._show(remark("this client does that by itself"))
        else:
            await verb(command)

    def _post(self, command: commands.Post) -> None:
        room = self._room(command.room)
        posts: dict[type[Any], Callable[[str, str], Awaitable[Any]]] = {
            commands.Say: self._chat.send,
            commands.Act: self._chat.act,
            commands.SetTopic: self._chat.set_topic,
        }
        task = asyncio.ensure_future(self._await(posts[type(command)](room, command.text)))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _await(self, stored: Awaitable[Any]) -> None:
        try:
            await stored
        except client.ChatFailed as refused:
            self._show(error(refused.code, str(refused)))

    def _room(self, named: RoomName | None) -> str:
        if named is not None:
            return named.display
        if self.current is None:
            raise NoRoom
        return self.current

    # Verbs.

    def enter(self, room: str) -> None:
        """Talk in a room from now on."""
        self.current = room
        self.unread.pop(room, None)

    def _gone(self, room: str) -> None:
        """Talk elsewhere, where that was the current room."""
        self.unread.pop(room, None)
        if self.current == room:
            self.current = next(iter(self._chat.rooms), None)
            if self.current:
                self.enter(self.current)

    async def _join(self, command: commands.Join) -> None:
        entered = await self._chat.join(command.room.display)
        self.enter(entered.room)
        self._show(remark(f"#{entered.room}: {people(entered.members, entered.total)}"))
        if entered.topic:
            self._show(remark(f"topic by {entered.topic.nick}: {entered.topic.text}"))
        for message in entered.messages or ():
            self._show(self._painter.message(message, dated=True))

    async def _leave(self, command: commands.Leave) -> None:
        left = await self._chat.leave(self._room(command.room))
        self._gone(left.room)
        where = f"; now talking in #{self.current}" if self.current else ""
        self._show(remark(f"left #{left.room}{where}"))

    async def _rename(self, command: commands.SetNick) -> None:
        self._show(remark(f"you are {(await self._chat.rename(command.nick.display)).nick}"))

    async def _whisper(self, command: commands.Whisper) -> None:
        answer = await self._chat.whisper(command.nick.display, command.text)
        for line in self._painter.sent(answer, command.text):
            self._show(line)

    async def _users(self, command: commands.ListUsers) -> None:
        answer = await self._chat.users(self._room(command.room))
        named = ", ".join(m.nick + (" (away)" if m.away else "") for m in answer.members[:LISTED])
        more = answer.total - min(len(answer.members), LISTED)
        self._show(remark(f"#{answer.room}: {named}" + (f" and {more} more" if more else "")))

    async def _rooms(self, _: commands.ListRooms) -> None:
        answer = await self._chat.list_rooms()
        for room in answer.rooms:
            topic = f": {room.topic.text}" if room.topic else ""
            self._show(remark(f"#{room.room} ({room.members}){topic}"))
        self._show(remark("1 room" if answer.total == 1 else f"{answer.total} rooms"))

    async def _topic(self, command: commands.GetTopic) -> None:
        answer = await self._chat.topic(self._room(command.room))
        told = f"topic by {answer.topic.nick}: {answer.topic.text}" if answer.topic else "no topic"
        self._show(remark(f"#{answer.room}: {told}"))

    async def _history(self, command: commands.GetHistory) -> None:
        answer = await self._chat.history(self._room(command.room), command.count, command.before)
        for message in answer.messages:
            self._show(self._painter.message(message, dated=True))
        if answer.older and answer.messages:
            self._show(remark(f"older: /history before {answer.messages[0].seq}"))
        else:
            self._show(remark("nothing older"))

    async def _away(self, command: commands.SetAway) -> None:
        answer = await self._chat.away(command.text)
        self._show(remark("you are back" if answer.text is None else "you are away"))

    async def _ignore(self, command: commands.Ignore) -> None:
        act = self._chat.ignore if command.ignored else self._chat.unignore
        answer = await act(command.nick.display)
        self._show(remark(f"{answer.nick} is {'ignored' if command.ignored else 'heard again'}"))

    async def _whois(self, command: commands.WhoIs) -> None:
        answer = await self._chat.whois(command.nick.display)
        rooms = ", ".join(f"#{room}" for room in answer.rooms) or "no room"
        away = f", away: {answer.away}" if answer.away else ""
        self._show(remark(f"{answer.nick} is in {rooms}, on {answer.instance}{away}"))

    async def _ping(self, _: commands.Ping) -> None:
        loop = asyncio.get_running_loop()
        asked = loop.time()
        await self._chat.ping()
        self._show(remark(f"{(loop.time() - asked) * 1000:.0f} ms there and back"))

    async def _motd(self, _: commands.ShowMotd) -> None:
        for line in (await self._chat.motd()).lines or ("there is no message of the day",):
            self._show(remark(line))

    async def _help(self, command: commands.Help) -> None:
        if command.verb:
            shown = [find_verb(command.verb)]
        else:
            shown = [verb for verb in VERBS if verb.name not in ELSEWHERE]
        width = max(len(verb.syntax) for verb in shown)
        for verb in shown:
            self._show(remark(f"/{verb.syntax:<{width}}  {verb.about}"))
        self._show(remark("a line without a / is said"))
