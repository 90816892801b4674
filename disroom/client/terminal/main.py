"""The command ``disroom-chat``: options, the prompt with its completion, and the loop."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import ssl
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style

from disroom.client import Chat, ChatFailed, connect
from disroom.client.terminal.conversation import Conversation
from disroom.client.terminal.paint import STYLES, Line
from disroom.wire.commands import VERBS

_OF_ROOMS = ("/join", "/leave", "/users")
_OF_NICKS = ("/msg", "/whois", "/ignore", "/unignore")


class ChatCompleter(Completer):
    """Completes verbs, rooms and the nicks of those around."""

    def __init__(self, chat: Chat, conversation: Conversation) -> None:
        self._chat = chat
        self._conversation = conversation

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Offer what begins like the word before the cursor."""
        before = document.text_before_cursor
        word = before.rpartition(" ")[2]
        for candidate in self._candidates(before, word):
            if word and candidate.casefold().startswith(word.casefold()):
                yield Completion(candidate, start_position=-len(word))

    def _candidates(self, before: str, word: str) -> Iterator[str]:
        verb = before.partition(" ")[0]
        rooms = [f"#{room.name}" for room in self._chat.rooms.values()]
        if before == word and word.startswith("/"):
            yield from (f"/{each.name} " for each in VERBS)
        elif word.startswith("#") or verb in _OF_ROOMS:
            yield from rooms if word.startswith("#") else [room[1:] for room in rooms]
        else:
            address = ": " if before == word else " "
            after = " " if verb in _OF_NICKS else address
            yield from (f"{nick}{after}" for nick in sorted(self._nicks()))

    def _nicks(self) -> set[str]:
        return {m.nick for room in self._chat.rooms.values() for m in room.members.values()}


def _toolbar(chat: Chat, conversation: Conversation) -> Line:
    state = chat.nick if chat.connected else f"{chat.nick}: connecting..."
    bar: Line = [("", f" {state} ")]
    for room in chat.rooms.values():
        unread = conversation.unread.get(room.name, 0)
        mark = f" ({unread})" if unread else ""
        style = "class:unread" if room.name == conversation.current or unread else ""
        bar.append((style, f" #{room.name}{mark} "))
    return bar


async def _hear(chat: Chat, conversation: Conversation) -> None:
    async for event in chat:
        conversation.heard(event)


async def _type(chat: Chat, conversation: Conversation, style: Style, color: bool) -> None:
    """Read lines until the user leaves."""
    session: PromptSession[str] = PromptSession(
        history=_history(),
        auto_suggest=AutoSuggestFromHistory(),
        completer=ChatCompleter(chat, conversation),
        complete_while_typing=False,
        bottom_toolbar=lambda: FormattedText(_toolbar(chat, conversation)),
        style=style if color else None,
        refresh_interval=1.0,
    )

    def prompt() -> str:
        return f"#{conversation.current}> " if conversation.current else "> "

    going = True
    while going:
        try:
            going = await conversation.typed(await session.prompt_async(prompt))
        except EOFError:
            going = False
        except KeyboardInterrupt:
            continue


async def _pipe(conversation: Conversation) -> None:
    """Read lines of a pipe or a file until it ends."""
    loop, going = asyncio.get_running_loop(), True
    while going:
        line = await loop.run_in_executor(None, sys.stdin.readline)
        going = bool(line) and await conversation.typed(line.rstrip("\n"))


def _history() -> History:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    try:
        folder = Path(state) / "disroom-chat"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileHistory(str(folder / "history"))
    except OSError:
        return InMemoryHistory()


async def chat_at_terminal(options: argparse.Namespace) -> int:
    """Chat until the user leaves; return the exit status."""
    tls = ssl.create_default_context(cafile=options.ca) if options.ca else None
    chat = connect(*options.servers, nick=options.nick, rooms=options.room, tls=tls)
    style, on_terminal = Style.from_dict(STYLES), sys.stdin.isatty()
    color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def show(line: Line) -> None:
        if color:
            print_formatted_text(FormattedText(line), style=style)
        else:
            print("".join(text for _, text in line), flush=True)

    conversation = Conversation(chat, show)
    try:
        async with chat:
            hearing = asyncio.ensure_future(_hear(chat, conversation))
            if options.room:
                conversation.enter(next(iter(chat.rooms.values())).name if chat.rooms else "")
            with patch_stdout(raw=True):
                typing = asyncio.ensure_future(
                    _type(chat, conversation, style, color) if on_terminal else _pipe(conversation)
                )
                await asyncio.wait([hearing, typing], return_when=asyncio.FIRST_COMPLETED)
                typing.cancel()
                with suppress(asyncio.CancelledError):
                    await typing
            await conversation.sent()
        await hearing
    except ChatFailed as failed:
        print(f"disroom-chat: {failed} ({failed.code})", file=sys.stderr)
        return 1
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="disroom-chat",
        description="Chat in DisRoom rooms. A line is said; a command begins with /, and /help "
        "lists them. If a server dies, the next one takes over and nothing is lost.",
        epilog="With its input from a pipe every line is said, so that `make 2>&1 | disroom-chat "
        "chat:8080 -n builder -r builds` tells a room of it.",
    )
    parser.add_argument(
        "servers",
        nargs="*",
        metavar="SERVER",
        default=["localhost:8080"],
        help="HOST:PORT or tls://HOST:PORT, of each server of the chat [localhost:8080]",
    )
    parser.add_argument(
        "-n", "--nick", default=getpass.getuser(), help="what you are called [your user name]"
    )
    parser.add_argument(
        "-r", "--room", action="append", default=[], help="be in this room; more than one is fine"
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="authorities by which tls:// servers are verified"
    )
    options = parser.parse_args(arguments)
    if not options.room and not sys.stdin.isatty():
        parser.error("with input from a pipe, say where it goes: --room ROOM")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run the command; for the entry point in setup.cfg."""
    options = _options(arguments)
    try:
        return asyncio.run(chat_at_terminal(options))
    except ValueError as error:  # an address is none
        print(f"disroom-chat: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
