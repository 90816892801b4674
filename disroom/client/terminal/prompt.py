"""The prompt of a terminal: editing, completion, history, colours and the line at the bottom."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.styles import Style

from disroom.client import Chat
from disroom.client.terminal.conversation import ELSEWHERE, Conversation
from disroom.client.terminal.paint import STYLES, Line, remark
from disroom.wire.verbs import VERBS

_STYLE = Style.from_dict(STYLES)

_OF_ROOMS = ("/join", "/leave", "/users")
_OF_NICKS = ("/msg", "/whois", "/ignore", "/unignore")


def show(line: Line) -> None:
    """Print a line above the prompt; without colours where NO_COLOR is set."""
    print_formatted_text(FormattedText(line), style=_STYLE)


async def type_at_prompt(chat: Chat, conversation: Conversation) -> None:
    """Have the user type until it leaves."""
    session: PromptSession[str] = PromptSession(
        history=_history(),
        auto_suggest=AutoSuggestFromHistory(),
        completer=ChatCompleter(chat),
        complete_while_typing=False,
        bottom_toolbar=lambda: FormattedText(toolbar(chat, conversation)),
        style=_STYLE,
        refresh_interval=0.5,
        erase_when_done=True,  # what was said comes back from the room
    )

    def prompt() -> str:
        return f"#{conversation.current}> " if conversation.current else "> "

    going = True
    # Between one prompt and the next Ctrl-C would end the program.
    before = signal.signal(signal.SIGINT, lambda number, stack: None)
    try:
        while going:
            try:
                going = await conversation.typed(await session.prompt_async(prompt))
            except EOFError:
                going = False
            except KeyboardInterrupt:
                if not session.default_buffer.text:
                    show(remark("to leave: Ctrl-D, or /exit"))
    finally:
        signal.signal(signal.SIGINT, before)


def above_prompt() -> AbstractContextManager[None]:
    """Have what is printed meanwhile stand above the line that is being typed."""
    return patch_stdout(raw=True)


class ChatCompleter(Completer):
    """Completes verbs, rooms and the nicks of those around."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

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
        if before == word and word.startswith("/"):
            yield from (f"/{each.name} " for each in VERBS if each.name not in ELSEWHERE)
        elif word.startswith("#"):
            yield from (f"#{room} " for room in self._chat.rooms)
        elif verb in _OF_ROOMS:
            yield from self._chat.rooms
        else:
            after = ": " if before == word else " "
            yield from (f"{nick}{after}" for nick in sorted(self._nicks()))

    def _nicks(self) -> set[str]:
        return {m.nick for room in self._chat.rooms.values() for m in room.members.values()}


def toolbar(chat: Chat, conversation: Conversation) -> Line:
    """The line at the bottom: who, in which rooms, and what waits."""
    bar: Line = [("class:own", f" {chat.nick} ")]
    if not chat.connected:
        waits = f", {conversation.unsent} to be sent" if conversation.unsent else ""
        bar.append(("class:apart", f" connecting{waits} "))
    for room in chat.rooms:
        unread = conversation.unread.get(room, 0)
        mark = f" {unread}" if unread else ""
        style = "class:current" if room == conversation.current else "class:unread" * bool(unread)
        bar.append((style, f" #{room}{mark} "))
    return bar


class _Kept(FileHistory):
    """What was typed, also before this run, as far as the file can be read and written."""

    def load_history_strings(self) -> Iterable[str]:
        """Read the file, the last line first."""
        try:
            return super().load_history_strings()
        except OSError:
            return ()

    def store_string(self, string: str) -> None:
        """Add a line to the file."""
        with suppress(OSError):  # the disk is full, say: that is no reason not to talk
            super().store_string(string)


def _history() -> History:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    try:
        folder = Path(state) / "disroom-chat"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _Kept(str(folder / "history"))
    except (OSError, RuntimeError):  # there is no home
        return InMemoryHistory()
