"""Many clients of the library in one process: they talk until told to stop, and tell what they saw.

    python -m tests.client.swarm '{"servers": [...], "clients": 200, "rooms": 10, "rate": 100}'

It prints ``talking`` when all have come in. A line on its standard input ends the talk; then each
client says its last word, waits for that of all others in its room, and leaves. One line of JSON
tells what each has `Seen`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Awaitable
from dataclasses import asdict, dataclass, field
from typing import Any

from disroom import client

LAST_WORDS_SECONDS = 90.0


@dataclass
class Seen:
    """What one client lived through.

    Attributes:
        start: The seq at which it came in.
        given: Seq and text of every message, as they came.
        acknowledged: The same of its own, as the receipts told.
    """

    nick: str
    room: str
    start: int = 0
    given: list[tuple[int, str]] = field(default_factory=list)
    gaps: list[tuple[int | None, int | None]] = field(default_factory=list)
    acknowledged: list[tuple[int, str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    disconnected: int = 0
    begun_anew: int = 0


class Swimmer:
    """One client of the swarm."""

    def __init__(self, servers: list[str], number: int, room: str) -> None:
        self.seen = Seen(f"c{number}", room)
        self.last_words: set[str] = set()
        self.heard_all = asyncio.Event()
        self._chat = client.connect(*servers, nick=self.seen.nick, rooms=[room], patience=60)
        self._hearing: asyncio.Task[None] | None = None

    async def come_in(self) -> None:
        """Connect and join."""
        await self._chat.__aenter__()
        (room,) = self._chat.rooms.values()
        self.seen.start = room.seq
        self.seen.begun_anew = -1  # the first time is no loss
        self._hearing = asyncio.create_task(self._hear())

    async def _hear(self) -> None:
        async for event in self._chat:
            match event:
                case client.Said():
                    self.seen.given.append((event.seq, event.text))
                    if event.text.startswith("last word of "):
                        self.last_words.add(event.nick)
                        self.heard_all.set()
                case client.Gap():
                    self.seen.gaps.append((event.first, event.last))
                case client.Disconnected():
                    self.seen.disconnected += 1
                case client.Connected(resumed=False):
                    self.seen.begun_anew += 1
                case _:
                    pass

    async def say(self, text: str) -> None:
        """Say something and note the receipt."""
        try:
            receipt = await self._chat.send(self.seen.room, text)
        except client.ChatFailed as failed:
            self.seen.failed.append(f"{text}: {failed.code}")
        else:
            self.seen.acknowledged.append((receipt.seq, text))

    async def hear_all(self, others: set[str]) -> None:
        """Wait until everybody in the room has said its last word."""
        while not others <= self.last_words:
            self.heard_all.clear()
            await self.heard_all.wait()

    async def leave(self) -> None:
        """Disconnect."""
        await self._chat.close()
        if self._hearing:
            await self._hearing


async def talk(swimmers: list[Swimmer], rate: float, until: Awaitable[object]) -> None:
    """Have somebody say something, so many times a second, and wait for the receipts."""
    end = asyncio.ensure_future(until)
    sayings: list[asyncio.Task[None]] = []
    while not end.done():
        saying = random.choice(swimmers).say(f"<{len(sayings)}>")
        sayings.append(asyncio.create_task(saying))
        await asyncio.wait([end], timeout=1 / rate)
    await asyncio.gather(*sayings)


async def swarm(servers: list[str], clients: int, rooms: int, rate: float) -> list[dict[str, Any]]:
    """All of it."""
    swimmers = [Swimmer(servers, number, f"room{number % rooms}") for number in range(clients)]
    await asyncio.gather(*(swimmer.come_in() for swimmer in swimmers))
    print("talking", flush=True)
    told = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await talk(swimmers, rate, told)
    async with asyncio.timeout(LAST_WORDS_SECONDS):
        await asyncio.gather(*(s.say(f"last word of {s.seen.nick}") for s in swimmers))
        in_room: dict[str, set[str]] = {}
        for swimmer in swimmers:
            in_room.setdefault(swimmer.seen.room, set()).add(swimmer.seen.nick)
        await asyncio.gather(*(s.hear_all(in_room[s.seen.room]) for s in swimmers))
    await asyncio.gather(*(swimmer.leave() for swimmer in swimmers))
    return [asdict(swimmer.seen) for swimmer in swimmers]


if __name__ == "__main__":
    print(json.dumps(asyncio.run(swarm(**json.loads(sys.argv[1])))), flush=True)
