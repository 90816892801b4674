"""A chat on Redis, and proxies before it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
import pytest_twisted

from tests.processes.redis_proxy import CountingProxy

if TYPE_CHECKING:
    from tests.adapters.redis.redis_chat import NewProxy, RedisChat


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # it has no annotations
async def chat(unique: str) -> AsyncIterator[RedisChat]:
    """A chat whose instances are stopped after the test."""
    # The import installs a reactor; pytest-twisted installs ours after it has loaded this file.
    from tests.adapters.redis.redis_chat import RedisChat

    made = RedisChat(unique)
    yield made
    await made.close()


@pytest.fixture
def new_proxy() -> Iterator[NewProxy]:
    """Put a proxy before a Redis."""
    with ExitStack() as proxies:
        yield lambda server: proxies.enter_context(CountingProxy(server.address))
