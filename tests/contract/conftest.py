"""A chat on each implementation of IPresence in turn: in memory, on Valkey and on Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
import pytest_twisted

from tests.processes.redis import RedisServer

if TYPE_CHECKING:
    from tests.contract.presence_chat import Chat


@pytest.fixture(scope="module")
def debian_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Debian's Redis for the tests of this module."""
    with RedisServer(tmp_path_factory.mktemp("redis"), kind="redis") as server:
        yield server


@pytest_twisted.async_yield_fixture(  # type: ignore[untyped-decorator]  # it has no annotations
    params=[
        "memory",
        pytest.param("redis", id="valkey"),
        pytest.param("debian_redis", id="redis", marks=pytest.mark.needs("redis-server")),
    ]
)
async def chat(request: pytest.FixtureRequest, unique: str) -> AsyncIterator[Chat]:
    """A chat on each implementation in turn."""
    from tests.contract.presence_chat import Chat  # not before pytest has chosen the reactor

    server = None if request.param == "memory" else request.getfixturevalue(request.param)
    made = Chat(server, unique)
    yield made
    await made.close()
