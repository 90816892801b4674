"""Instances on a stream of a nats-server with a proxy before it, or of a cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest
import pytest_twisted

from tests.processes.nats import NatsServer
from tests.processes.nats_cluster import NatsCluster
from tests.processes.nats_proxy import NatsProxy

if TYPE_CHECKING:
    from tests.adapters.jetstream.nats_log import NatsLogs


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # it has no annotations
async def logs(unique: str, nats: NatsServer) -> AsyncIterator[NatsLogs]:
    """Instances on a stream of the worker's nats-server."""
    # The import installs a reactor; pytest-twisted installs ours after it has loaded this file.
    from tests.adapters.jetstream.nats_log import NatsLogs, delete_stream, settings_for

    made = NatsLogs(settings_for(unique))
    yield made
    await made.close()
    delete_stream(nats, made.settings)


@pytest_twisted.async_yield_fixture()  # type: ignore[untyped-decorator]  # it has no annotations
async def replicated(unique: str, nats_cluster: NatsCluster) -> AsyncIterator[NatsLogs]:
    """Instances on a stream with a replica on each of three nodes, all of which run."""
    from tests.adapters.jetstream.nats_log import NatsLogs, settings_for  # as in `logs`

    nats_cluster.start()
    made = NatsLogs(settings_for(unique, replicas=3, max_messages_per_room=0))
    yield made
    await made.close()


@pytest.fixture
def proxy(nats: NatsServer) -> Iterator[NatsProxy]:
    """A proxy before the worker's nats-server."""
    with NatsProxy(("127.0.0.1", nats.port)) as made:
        yield made
