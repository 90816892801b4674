"""What disroom-chat reads where there is no prompt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from disroom.adapters.aio import deferred
from disroom.client.terminal.lines import lines
from disroom.wire.frame import MOST_BYTES
from tests.contract.witness import promise


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """A file to be read."""
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


async def read(fd: int) -> list[str]:
    """All lines, in the loop of the tests."""

    async def listed() -> list[str]:
        return [line async for line in lines(fd)]

    return await deferred(listed())


@promise
async def test_lines_end_where_the_file_says(tmp_path: Path) -> None:
    """There may be many, without an end of the last, and bytes that are no UTF-8."""
    path = tmp_path / "lines"
    path.write_bytes(b"one\r\n\n" + 500 * b"more\n" + "caf\u00e9 \u00e9".encode()[:-1])
    with opened(path) as fd:
        assert await read(fd) == ["one", "", *(500 * ["more"]), "caf\u00e9 \ufffd"]


@promise
async def test_of_an_endless_line_no_more_is_kept_than_can_be_sent(tmp_path: Path) -> None:
    """It is too long still, and what follows it is read."""
    path = tmp_path / "lines"
    path.write_bytes(50 * MOST_BYTES * b"x" + b"\nnext\n")
    with opened(path) as fd:
        endless, following = await read(fd)
    assert MOST_BYTES < len(endless) < 3 * MOST_BYTES
    assert following == "next"


@promise
async def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Nobody waits for the lines of a directory."""
    with opened(tmp_path) as fd, pytest.raises(IsADirectoryError):
        await read(fd)
