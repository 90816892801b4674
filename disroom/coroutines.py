"""Coroutines that are run at once as far as they go, by `send`, which is mostly to their end.

What is made to wait for one, a task or a Deferred, costs more than most have to do; so it is made
only for one that has to wait.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


async def rest_of(coroutine: Coroutine[Any, Any, T], waits_for: object) -> T:
    """Go on with a coroutine that has been run so far, and return what it returns.

    Args:
        coroutine: It has yielded once.
        waits_for: What it has yielded; whoever runs this waits for it in its place.
    """
    return await _resumed(coroutine, waits_for)


@types.coroutine
def _resumed(coroutine: Coroutine[Any, Any, T], waits_for: object) -> Generator[object, None, T]:
    try:
        while True:
            try:
                yield waits_for
            except GeneratorExit:  # nobody waits for it any more
                coroutine.close()
                raise
            except BaseException as error:
                waits_for = coroutine.throw(error)
            else:
                waits_for = coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
