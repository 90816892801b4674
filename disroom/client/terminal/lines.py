"""Lines of standard input, for programs and for terminals without a prompt."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import threading
from collections.abc import AsyncIterator

from disroom.wire.frame import MOST_BYTES

MOST_READ = 100
"""Lines that are read and not taken yet; above it no more is read."""

READ_SIZE = 65536


async def lines(fd: int) -> AsyncIterator[str]:
    """Give the lines of a file, pipe or terminal, without their ends, until it ends.

    Of one that is too long for a request so much is given as is too long, too.

    A thread reads them, as no loop waits for plain files; it holds nobody up who wants to leave.

    Raises:
        OSError: It cannot be read, as a directory cannot.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | OSError | None] = asyncio.Queue()
    places = threading.Semaphore(MOST_READ)

    def put(line: str | OSError | None) -> None:
        places.acquire()
        loop.call_soon_threadsafe(queue.put_nowait, line)

    def read() -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        # Not by sys.stdin, whose lock the end of the program would wait for.
        while data := os.read(fd, READ_SIZE):
            *whole, rest = (rest + decoder.decode(data)).split("\n")
            for line in whole:
                put(line.removesuffix("\r"))
            rest = rest[: MOST_BYTES + 1]
        if rest := rest + decoder.decode(b"", final=True):
            put(rest)

    def read_to_the_end() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits for more
            try:
                read()
            except OSError as error:
                put(error)
            else:
                put(None)

    threading.Thread(target=read_to_the_end, daemon=True).start()
    while (line := await queue.get()) is not None:
        places.release()
        if isinstance(line, OSError):
            raise line
        yield line
