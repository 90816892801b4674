"""Going on with a coroutine that has been run so far."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from disroom.coroutines import rest_of


class Waiting:
    """What a coroutine waits for: whoever runs it is told what."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __await__(self) -> Generator[str, None, str]:
        yield self._what
        return self._what


class Work:
    """A coroutine that says how it ended."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.coroutine = self._run()

    async def _run(self) -> str:
        async with self._noted():
            return await Waiting("a") + await Waiting("b")

    @asynccontextmanager
    async def _noted(self) -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise


def begun() -> tuple[Work, Any]:
    """A piece of work that waits, and its rest, which waits in its place."""
    work = Work()
    rest = rest_of(work.coroutine, work.coroutine.send(None))
    assert rest.send(None) == "a"
    return work, rest


def test_what_it_waits_for_is_passed_on_and_its_result_returned() -> None:
    """Whoever runs the rest sees what the coroutine waits for, and gets what it returns."""
    _, rest = begun()
    assert rest.send(None) == "b"
    with pytest.raises(StopIteration) as end:
        rest.send(None)
    assert end.value.value == "ab"


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_what_goes_wrong_meanwhile_is_raised_in_it(error: type[BaseException]) -> None:
    """A failure, or a cancellation, reaches the coroutine where it waits."""
    work, rest = begun()
    with pytest.raises(error):
        rest.throw(error())
    assert work.ended == [error.__name__]


def test_it_is_closed_with_its_rest() -> None:
    """Where nobody waits any more it ends as any coroutine does, with nothing in the log."""
    work, rest = begun()
    rest.close()
    assert work.ended == ["GeneratorExit"]
    work, rest = begun()
    work.coroutine.close()  # as the garbage collector may, first
    rest.close()
