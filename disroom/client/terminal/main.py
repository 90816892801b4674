"""The command ``disroom-chat``: its options, and who does what."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import signal
import ssl
import sys
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from typing import Any

from disroom.client import Chat, ChatFailed, connect
from disroom.client.aio import PATIENCE_SECONDS
from disroom.client.terminal.conversation import Conversation
from disroom.client.terminal.lines import lines
from disroom.client.terminal.paint import Line, plain, remark

PATIENT_SECONDS = 1.0
"""After so long without a connection, the user is told what is being tried."""

DESCRIPTION = """\
Chat in DisRoom rooms. What you type is said in the room of the prompt; a command
begins with / and /help lists them. Tab completes names, the arrow keys bring back
what you typed before, Ctrl-D leaves.

Name several servers of the same chat: should the one that you are on die, the next
takes over. Nothing that was said meanwhile is lost, and nobody sees you leave."""

EPILOG = """\
examples:
  disroom-chat chat.example.org -r tea
  disroom-chat srv-1:8080 srv-2:8080 -n alice -r tea -r work
  disroom-chat tls://chat.example.org:8443 --ca authority.pem -r tea

With its input from a pipe every line is said in the first room, whatever it begins
with, and stored before the next is read:
  make 2>&1 | disroom-chat chat:8080 -n builder -r builds

It ends with status 1 where no server answers, the nick is taken or a line could not
be stored. NO_COLOR=1 in the environment turns the colours off."""


async def chat_at_prompt(options: argparse.Namespace) -> int:
    """Chat at a prompt until the user leaves; return the exit status."""
    from disroom.client.terminal.prompt import above_prompt, show, type_at_prompt

    chat = _chat(options, rooms=[])
    conversation = Conversation(chat, show)

    async def talk() -> None:
        await conversation.begin(options.room)
        if not options.room:
            show(remark("to begin: /join ROOM; all commands: /help"))
        await type_at_prompt(chat, conversation)
        if conversation.unsent:
            show(remark(f"leaving once it is stored: {conversation.unsent} to be sent"))

    with above_prompt():
        return await _converse(chat, conversation, show, talk)


async def chat_by_lines(options: argparse.Namespace) -> int:
    """Say what comes from a pipe, or do what is typed where there is no prompt."""
    typed = sys.stdin.isatty()
    chat = _chat(options, rooms=[] if typed else options.room)
    conversation = Conversation(chat, _print)
    failures = 0

    async def talk() -> None:
        nonlocal failures
        if typed:
            await conversation.begin(options.room)
        async for line in lines(sys.stdin.fileno()):
            if typed:
                if not await conversation.typed(line):
                    return
            elif line.strip():
                failures += not await conversation.say(options.room[0], line)

    return await _converse(chat, conversation, _print, talk) or int(failures > 0)


async def _converse(
    chat: Chat,
    conversation: Conversation,
    show: Callable[[Line], None],
    talk: Callable[[], Coroutine[Any, Any, None]],
) -> int:
    """Show what happens while somebody talks, until one of the two ends."""

    async def hear() -> None:
        async for event in chat:
            conversation.heard(event)

    async def tell_trying() -> None:
        await asyncio.sleep(PATIENT_SECONDS)
        show(remark(f"trying for {PATIENCE_SECONDS:g} s to connect"))

    trying = asyncio.create_task(tell_trying())
    try:
        async with chat:
            trying.cancel()
            hearing, talking = asyncio.create_task(hear()), asyncio.create_task(talk())
            try:
                await asyncio.wait([hearing, talking], return_when=asyncio.FIRST_COMPLETED)
            finally:
                talking.cancel()
                await asyncio.wait([talking])  # the prompt gives the terminal back
            if not talking.cancelled():
                talking.result()
        await hearing
        await conversation.sent()
    except ChatFailed as failed:
        print(f"disroom-chat: {failed} ({failed.code})", file=sys.stderr)
        return 1
    finally:
        trying.cancel()
    return 0


async def _leaving_well(work: Coroutine[Any, Any, int]) -> int:
    """Leave the chat, too, when the window is closed or the program is told to stop."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGHUP, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    return await work


def _chat(options: argparse.Namespace, rooms: list[str]) -> Chat:
    tls = ssl.create_default_context(cafile=options.ca) if options.ca else None
    return connect(*options.servers, nick=options.nick, rooms=rooms, tls=tls)


def _print(line: Line) -> None:
    print(plain(line), flush=True)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no account has this number
        return "guest"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="disroom-chat",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "servers",
        nargs="*",
        metavar="SERVER",
        default=["localhost:8080"],
        help="HOST:PORT or tls://HOST:PORT, of each server of the chat [localhost:8080]",
    )
    parser.add_argument(
        "-n", "--nick", default=_user(), help="what you are called [your user name]"
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
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if on_terminal and find_spec("prompt_toolkit") is None:
        print("disroom-chat: a prompt needs pip install 'disroom[client]'", file=sys.stderr)
        return 2
    chat = chat_at_prompt if on_terminal else chat_by_lines
    try:
        return asyncio.run(_leaving_well(chat(options)))
    except ValueError as error:  # an address is none
        print(f"disroom-chat: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # of --ca, or standard output is closed
        print(f"disroom-chat: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
