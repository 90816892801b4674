"""A bot that answers whoever addresses it: python bot.py NICK ROOM SERVER..."""

import asyncio
import sys

from disroom.client import Said, connect


async def main(nick: str, room: str, *servers: str) -> None:
    """Answer until interrupted; where a server dies another serves, and nothing is missed."""
    async with connect(*servers, nick=nick, rooms=[room]) as chat:
        async for event in chat:
            if isinstance(event, Said) and event.text.startswith(f"{chat.nick}: "):
                question = event.text.removeprefix(f"{chat.nick}: ")
                await chat.send(event.room, f"{event.nick}: {question[::-1]}")


asyncio.run(main(*sys.argv[1:]))
