"""Waiting for a condition with a deadline: the only place in the tests that sleeps."""

# ruff: noqa: ASYNC109 -- asyncio's timeouts, which it would have, do not work on Deferreds

import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast, overload

T = TypeVar("T")

POLL_SECONDS = 0.01


@overload
async def eventually(
    condition: Callable[[], Awaitable[T | None]],
    timeout: float = ...,
    message: str | Callable[[], str] = ...,
) -> T: ...


@overload
async def eventually(
    condition: Callable[[], T | None],
    timeout: float = ...,
    message: str | Callable[[], str] = ...,
) -> T: ...


async def eventually(
    condition: Callable[[], T | Awaitable[T | None] | None],
    timeout: float = 10.0,
    message: str | Callable[[], str] = "",
) -> T:
    """Return the first truthy value of a condition, asked about every 10 ms.

    An awaitable that the condition returns is awaited, until the deadline at the latest, when it
    is cancelled. What the condition raises ends the wait.

    Args:
        condition: Asked at least once; must not block.
        timeout: Seconds.
        message: What was waited for, or a function that says so at the deadline.

    Raises:
        AssertionError: At the deadline, with the message and the last value.
    """
    # Imported here: the import installs the default reactor unless one is installed already, and
    # pytest-twisted installs ours only after it has loaded the conftest.
    from twisted.internet import defer, reactor, task

    clock = cast(Any, reactor)  # a module to mypy, which cannot know what is installed in its place
    deadline = time.monotonic() + timeout
    while True:
        value: Any = condition()
        if isinstance(value, Awaitable):
            left = max(deadline - time.monotonic(), POLL_SECONDS)
            answer = defer.Deferred.fromCoroutine(_result(value))
            try:
                value = await answer.addTimeout(left, clock)
            except defer.TimeoutError:
                raise _too_late(timeout, message, "no answer from the condition") from None
        if value:
            return cast(T, value)
        if time.monotonic() >= deadline:
            raise _too_late(timeout, message, repr(value))
        await task.deferLater(clock, POLL_SECONDS)


def eventually_blocking(
    condition: Callable[[], T | None],
    timeout: float = 10.0,
    message: str | Callable[[], str] = "",
) -> T:
    """Do as `eventually` does, for tests without a reactor: it blocks the thread."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise _too_late(timeout, message, repr(value))
        time.sleep(POLL_SECONDS)


def stand_still(seconds: float) -> None:
    """Block the thread, and with it the event loop: what happens to a process that is frozen."""
    time.sleep(seconds)


async def _result(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _too_late(timeout: float, message: str | Callable[[], str], value: str) -> AssertionError:
    what = message if isinstance(message, str) else message()
    return AssertionError(f"{what or 'not so'} after {timeout} s; the last value: {value}")
