"""Brings what a program prints into a room: tail -f log | python bridge.py NICK ROOM SERVER..."""

import asyncio
import sys

from disroom.client import connect


async def main(nick: str, room: str, *servers: str) -> None:
    """Say every line of the input; each is stored before the next is read."""
    async with connect(*servers, nick=nick, rooms=[room]) as chat:
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            if line.strip():
                await chat.send(room, line)


asyncio.run(main(*sys.argv[1:]))
