"""Fixtures: two instances with two users each, one with the default limits, one with small ones."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.hostile.company import Company
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.redis import RedisServer

SMALL = {
    "DISROOM_LIMITS_QUEUE_BYTES": "64KiB",
    "DISROOM_LIMITS_UNNAMED": "1s",
}


@pytest.fixture(scope="module")
def companies(
    tmp_path_factory: pytest.TempPathFactory, nats: NatsServer, redis: RedisServer
) -> Iterator[tuple[Company, Company]]:
    """Both; each is the other's witness, so a test disturbs one alone."""
    with (
        _company(tmp_path_factory, nats, redis, None, {}) as default,
        _company(tmp_path_factory, nats, redis, "off", SMALL) as small,
    ):
        default.witness, small.witness = small, default
        yield default, small


@pytest.fixture
def default(companies: tuple[Company, Company]) -> Company:
    """A server with the default limits, and its two users."""
    return companies[0]


@pytest.fixture
def small(companies: tuple[Company, Company]) -> Company:
    """A server with small limits but none on commands, and its two users."""
    return companies[1]


@contextmanager
def _company(
    directories: pytest.TempPathFactory,
    nats: NatsServer,
    redis: RedisServer,
    flood: str | None,
    limits: dict[str, str],
) -> Iterator[Company]:
    name = f"t{secrets.token_hex(4)}"
    env = {
        "DISROOM_STREAM_NAME": name,
        "DISROOM_STREAM_SUBJECTS": name,
        "DISROOM_STREAM_MAX_BYTES": "64MiB",
        "DISROOM_REDIS_PREFIX": name,
        "DISROOM_PRESENCE_SETTLE": "100ms",
        **limits,
    }
    directory = directories.mktemp("hostile")
    server = DisroomProcess(
        directory,
        nats=[nats.url],
        redis=redis.url,
        flood=flood,
        options=["--web=127.0.0.1:0"],
        env=env,
    )
    with server, Company(server) as company:
        yield company
