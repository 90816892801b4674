"""Fixtures of the cluster tests."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cluster.chat import Chat
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.redis import RedisServer


@pytest.fixture
def chat(
    nats: NatsServer, redis: RedisServer, new_disroom: Callable[..., DisroomProcess], unique: str
) -> Chat:
    """A chat of the test's own on the worker's brokers; it starts with no instance."""
    return Chat(new_disroom, nats.url, redis.url, unique)
