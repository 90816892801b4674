"""The bridge between asyncio, which nats-py speaks, and Deferreds: the only one.

The reactor runs asyncio's loop, so a task of that loop and a callback of the reactor take turns in
one thread. What is missing is that one can be awaited by the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from disroom.coroutines import rest_of
from disroom.countdown import Countdown

T = TypeVar("T")


class TimedOut(Exception):
    """Something took longer than it was allowed to, and was cancelled."""


def deferred(coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Run an asyncio coroutine as a task.

    Cancelling the Deferred cancels the task and does not wait for its end: a task that ignores the
    cancellation holds nobody up. A task that was cancelled by somebody else fails the Deferred with
    Twisted's CancelledError.
    """
    loop = asyncio.get_event_loop()
    task = loop.create_task(coroutine)

    def cancel(result: Deferred[T]) -> None:
        # Not before its first step, where the coroutine could not notice.
        loop.call_soon(task.cancel)

    result: Deferred[T] = Deferred(cancel)

    def ended(task: asyncio.Task[T]) -> None:
        error = CancelledError() if task.cancelled() else task.exception()
        if result.called:
            return
        if error is None:
            result.callback(task.result())
        else:
            result.errback(Failure(error))

    task.add_done_callback(ended)
    return result


def prompt(coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Run an asyncio coroutine at once as far as it goes, and only what has to wait as a task.

    For those that hardly ever wait: a publish of nats-py costs twice as much as a task. Not for one
    that asks for its own task before it first waits, as asyncio's timeouts do.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration as end:
        return succeed(end.value)
    except Exception:
        return fail()
    return deferred(rest_of(coroutine, waits_for))


def soon(call: Callable[[], None]) -> None:
    """Call in the loop's next turn: half the price of a call of the reactor's."""
    asyncio.get_event_loop().call_soon(call)


async def within(seconds: float, clock: IReactorTime, result: Deferred[T]) -> T:
    """Wait for a Deferred, for so long at most as `Countdown` counts; then it is cancelled.

    Raises:
        TimedOut: It took longer.
    """
    countdown = Countdown(seconds, clock, result.cancel)
    try:
        return await result
    except CancelledError:
        if countdown.ended:
            raise TimedOut(f"no answer within {seconds:g} s") from None
        raise
    finally:
        countdown.cancel()


async def all_of(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run several at once; the failure of one is raised when all have ended."""
    running = [Deferred.fromCoroutine(coroutine) for coroutine in coroutines]
    results: Any = await DeferredList(running, consumeErrors=True)  # a Failure where it failed
    for succeeded, result in results:
        if not succeeded:
            result.raiseException()
    return [result for _, result in results]
