"""A process of many connections, opened all at once; `Crowd` runs it, from the test's own process.

It prints a JSON line when each connection has been greeted or refused, and after each line on its
standard input has them say something and prints how many could.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Self

from tests.processes.child import die_with_parent

TALKING = 100
"""Connections of one process that come in and talk at the same moment."""

ROOM_SIZE = 10
PATIENCE = 120.0


class Crowd:
    """Some client processes with as many connections each. A context manager.

    Args:
        address: Of the server.
        processes: How many.
        each: Connections of each.
        name: Their nicks begin with it.
    """

    def __init__(self, address: tuple[str, int], processes: int, each: int, name: str) -> None:
        host, port = address
        command = [sys.executable, "-m", "tests.faults.crowd", host, str(port), str(each)]
        self._processes = [
            subprocess.Popen(
                [*command, f"{name}{number}-"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                preexec_fn=die_with_parent(),
            )
            for number in range(processes)
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()

    def arrived(self) -> dict[str, float]:
        """Wait until each is in or turned away: sums of both, and the seconds of the slowest."""
        answers = self._read()
        sums = {key: sum(a[key] for a in answers) for key in ("greeted", "refused")}
        return {**sums, "seconds": max(a["seconds"] for a in answers)}

    def talk(self) -> int:
        """Have each join a room and say something: how many read it back."""
        for process in self._processes:
            assert process.stdin
            process.stdin.write("talk\n")
            process.stdin.flush()
        return sum(int(answer["talked"]) for answer in self._read())

    def _read(self) -> list[dict[str, float]]:
        return [json.loads(p.stdout.readline()) for p in self._processes if p.stdout]


async def _arrive(host: str, port: int) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(host, port)
    return await reader.readline(), reader, writer


async def _talk(
    nick: str, room: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    text = f"hello from {nick}"
    writer.write(f"nick {nick}\r\njoin {room}\r\nsend {text}\r\n".encode())
    said = f"{nick}: {text}\r\n".encode()
    while line := await reader.readline():
        if line.endswith(said):
            return True
    return False


async def _main(host: str, port: int, count: int, name: str) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(PATIENCE):
        connections = await asyncio.gather(*(_arrive(host, port) for _ in range(count)))
    inside = [(r, w) for line, r, w in connections if line.startswith(b"Welcome")]
    refused = sum(line.endswith(b"(server-full)\r\n") for line, _, _ in connections)
    seconds = loop.time() - began
    _print({"greeted": len(inside), "refused": refused, "seconds": seconds})
    turns = asyncio.Semaphore(TALKING)

    async def talk(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with turns:
            return await _talk(f"{name}{number}", f"{name}{number // ROOM_SIZE}", reader, writer)

    while await loop.run_in_executor(None, sys.stdin.readline):
        async with asyncio.timeout(PATIENCE):
            talked = await asyncio.gather(*(talk(n, *c) for n, c in enumerate(inside)))
        _print({"talked": sum(talked)})


def _print(answer: dict[str, float]) -> None:
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
