"""Fixtures of the fault tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster.chat import Chat
from tests.faults.report import Fault
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.redis import RedisServer


@pytest.fixture
def fault(request: pytest.FixtureRequest) -> Fault:
    """Where the test notes its fault, for the last lines of the run."""
    return Fault(request.node)


@pytest.fixture
def chat(
    nats: NatsServer, redis: RedisServer, new_disroom: Callable[..., DisroomProcess], unique: str
) -> Chat:
    """A chat of the test's own on the worker's brokers, which must not be harmed."""
    return Chat(new_disroom, nats.url, redis.url, unique)
