"""The bridge between asyncio and Deferreds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from disroom.adapters.aio import TimedOut, deferred, prompt, within
from tests.contract.witness import promise
from tests.eventually import eventually

Bridge = Callable[[Coroutine[Any, Any, int]], "Deferred[int]"]

bridges = pytest.mark.parametrize("bridge", [deferred, prompt])


class Work:
    """An asyncio coroutine that waits until it is told to go on."""

    def __init__(self) -> None:
        self.state = "not begun"
        self._go_on: asyncio.Future[int] = asyncio.get_event_loop().create_future()

    async def run(self) -> int:
        """Wait, and return what `go_on` is given."""
        self.state = "waiting"
        try:
            return await self._go_on
        except asyncio.CancelledError:
            self.state = "cancelled"
            raise

    def go_on(self, value: int) -> None:
        """Let it return."""
        self._go_on.set_result(value)


@bridges
@promise
async def test_a_result_comes_across(bridge: Bridge) -> None:
    """What asyncio code returns is what the awaiting Twisted code gets."""
    work = Work()
    result = bridge(work.run())
    await eventually(lambda: work.state == "waiting")
    work.go_on(7)
    assert await result == 7


@bridges
@promise
async def test_an_exception_comes_across(bridge: Bridge) -> None:
    """What asyncio code raises can be caught in Twisted code, at once or after waiting."""

    async def fail(first: Coroutine[Any, Any, int] | None) -> int:
        if first is not None:
            await first
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        await bridge(fail(None))
    work = Work()
    work.go_on(1)
    with pytest.raises(ValueError, match="wrong"):
        await bridge(fail(work.run()))


@bridges
@promise
async def test_cancelling_reaches_the_task_and_does_not_wait_for_it(bridge: Bridge) -> None:
    """What is given up holds nobody up, and does not go on unseen."""
    work = Work()
    result = bridge(work.run())
    await eventually(lambda: work.state == "waiting")
    result.cancel()
    with pytest.raises(CancelledError):
        await result
    await eventually(lambda: work.state == "cancelled")


@bridges
@promise
async def test_a_cancelled_task_fails_in_twisted_s_words(bridge: Bridge) -> None:
    """Twisted code need not know asyncio's own cancellation, which is no Exception."""

    async def cancelled() -> int:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return await Work().run()

    async def later() -> int:
        return await asyncio.ensure_future(cancelled())

    with pytest.raises(CancelledError):
        await bridge(later())


@promise
async def test_what_need_not_wait_is_done_at_once() -> None:
    """A publish is on its way when the call returns, in the order of the calls."""
    done: list[int] = []

    async def publish(number: int) -> int:
        done.append(number)
        return number

    results = [prompt(publish(number)) for number in range(3)]
    assert done == [0, 1, 2]
    assert [await result for result in results] == [0, 1, 2]


@promise
async def test_a_wait_has_an_end() -> None:
    """What does not come in time is cancelled, and the time is the reactor's."""
    clock = Clock()
    waiting: Deferred[int] = Deferred()
    bounded = Deferred.fromCoroutine(within(2.0, clock, waiting))
    clock.pump([0.125] * 15)
    assert not bounded.called
    clock.advance(0.125)
    with pytest.raises(TimedOut, match="within 2 s"):
        await bounded
    assert waiting.called
    assert await within(2.0, reactor, deferred(_seven())) == 7


async def _seven() -> int:
    return 7
