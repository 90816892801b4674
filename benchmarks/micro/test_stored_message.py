"""What a stored message takes from its sender's line to the line in its room, without sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.micro.conftest import TEXT, Guard
from benchmarks.micro.loopback import Instance

USERS = 50


@pytest.fixture
def instance() -> Iterator[Instance]:
    """An instance with a user in each of 50 rooms."""
    one = Instance(USERS)
    yield one
    one.close()


def test_stored_message(benchmark: BenchmarkFixture, guard: Guard, instance: Instance) -> None:
    """Read, parsed, published, acknowledged, received, formatted, written; by each user one."""
    line = f"send {TEXT}\n".encode()
    assert instance.say(line) == USERS
    benchmark.extra_info["messages"] = USERS
    benchmark(instance.say, line)
    guard(400 * USERS)
