"""Fixtures: real brokers, instances of the service, clients.

`nats` and `redis` are one server each for all tests of a worker: a test keeps to itself by the
name that `unique` gives it. What kills, pauses or configures a server makes its own by `new_nats`
or `new_redis`.
"""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import settings

from tests.processes.certificates import Certificates
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.nats_cluster import NatsCluster
from tests.processes.redis import RedisKind, RedisServer
from tests.processes.sentinel import Sentinel, WatchedRedis
from tests.processes.text_client import Clients

# Without a deadline for each example: the machine has other work too, the tests beside included.
settings.register_profile("disroom", settings(), deadline=None)
settings.load_profile("disroom")

pytest_plugins = ("pytester", "tests.needs", "tests.faults.report")


@pytest.fixture
def unique() -> str:
    """A short name that no other test has: a stream's prefix, a subject's token, a key's prefix."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate for servers on 127.0.0.1, and its authority."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """The worker's nats-server, with JetStream. Not to be stopped."""
    with NatsServer(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The worker's Redis (Valkey). Not to be stopped."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["valkey", pytest.param("redis", marks=pytest.mark.needs("redis-server"))])
def redis_kind(request: pytest.FixtureRequest) -> RedisKind:
    """Each kind of Redis in turn, for `new_redis(kind=redis_kind)`."""
    return cast(RedisKind, request.param)


@pytest.fixture
def new_nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., NatsServer]]:
    """Start a nats-server of the test's own; arguments as NatsServer's."""
    with contextlib.ExitStack() as started:

        def new(**arguments: Any) -> NatsServer:
            server = NatsServer(tmp_path_factory.mktemp("nats"), **arguments)
            return started.enter_context(server)

        yield new


@pytest.fixture
def new_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RedisServer]]:
    """Start a Redis of the test's own; arguments as RedisServer's."""
    with contextlib.ExitStack() as started:

        def new(**arguments: Any) -> RedisServer:
            server = RedisServer(tmp_path_factory.mktemp("redis"), **arguments)
            return started.enter_context(server)

        yield new


@pytest.fixture
def watched_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedRedis]:
    """A master and a replica with three Sentinels, of the test's own."""
    with WatchedRedis(tmp_path_factory.mktemp("watched")) as watched:
        yield watched


@pytest.fixture
def new_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Sentinel]]:
    """Start a Sentinel; arguments as Sentinel's, after the directory."""
    with contextlib.ExitStack() as started:

        def new(watched: RedisServer, **arguments: Any) -> Sentinel:
            sentinel = Sentinel(tmp_path_factory.mktemp("sentinel"), watched, **arguments)
            return started.enter_context(sentinel)

        yield new


@pytest.fixture(scope="module")
def module_nats_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    """Three nodes for the tests of a module."""
    with NatsCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def nats_cluster(module_nats_cluster: NatsCluster) -> NatsCluster:
    """The module's three nodes, all up, whatever the test before did to them."""
    module_nats_cluster.heal()
    return module_nats_cluster


@pytest.fixture
def new_disroom(tmp_path: Path) -> Iterator[Callable[..., DisroomProcess]]:
    """Start an instance of the service; arguments as DisroomProcess's.

    Each gets a name of its own; without `state_dir` they share one, and with it its brokers.
    """
    with contextlib.ExitStack() as started:
        names = iter(range(1, 1000))

        def new(**arguments: Any) -> DisroomProcess:
            arguments = {"name": f"disroom{next(names)}", **arguments}
            return started.enter_context(DisroomProcess(tmp_path, **arguments))

        yield new


@pytest.fixture
def clients() -> Iterator[Clients]:
    """The clients of a test, read together and closed at its end."""
    with Clients() as group:
        yield group
