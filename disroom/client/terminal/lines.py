"""Lines of standard input, for programs and for terminals without a prompt."""

from __future__ import annotations

import asyncio
import codecs
import os
import threading
from collections.abc import AsyncIterator

MOST_READ = 100
"""Lines that are read and not taken yet; above it no more is read."""

READ_SIZE = 65536


async def lines(fd: int) -> AsyncIterator[str]:
    """Give the lines of a file, pipe or terminal, without their ends, until it ends.

    A thread reads them, as no loop waits for plain files; it holds nobody up who wants to leave.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue(MOST_READ)

    def put(line: str | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()

    def read() -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        # Not by sys.stdin, whose lock the end of the program would wait for.
        while data := os.read(fd, READ_SIZE):
            *whole, rest = (rest + decoder.decode(data)).split("\n")
            for line in whole:
                put(line.removesuffix("\r"))
        if rest:
            put(rest)
        put(None)

    threading.Thread(target=read, daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line
