"""No broker outlives its service, and no service its brokers."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from disroom.children import Guard
from tests.brokers.instance import (
    GUARDS,
    Instance,
    broker,
    brokers_of,
    kill_brokers,
    nats_that_fails,
    one_of_each,
    store,
    stored,
    wait_until_gone,
)
from tests.eventually import eventually_blocking


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """Return the state directory; afterwards nothing runs on it."""
    yield tmp_path / "state"
    kill_brokers(tmp_path / "state")


def wait_for_processes(state: Path, count: int) -> None:
    """Wait until as many brokers and shims run."""
    eventually_blocking(lambda: len(brokers_of(state)) >= count)


def wait_until_replaced(state: Path, killed: int) -> None:
    """Wait until a broker has another process in its place."""
    eventually_blocking(
        lambda: killed not in [each.pid for each in brokers_of(state)] and one_of_each(state)
    )


@pytest.mark.parametrize("guard", GUARDS)
def test_a_killed_service_leaves_no_broker(guard: Guard, tmp_path: Path, state: Path) -> None:
    """After kill -9 of the service nothing of it runs, and a new start finds all its messages."""
    with Instance("one", tmp_path, guard=guard) as one:
        store(one, "before")
        port = one.status.nats_port
        one.kill()
        wait_until_gone(state)
        one.start()
        assert stored(one) == ["before"]
        assert one.status.nats_port == port


@pytest.mark.parametrize("guard", GUARDS)
def test_a_frozen_broker_ends_as_well(guard: Guard, tmp_path: Path, state: Path) -> None:
    """A broker that cannot run at that moment ends with the service too."""
    with Instance("one", tmp_path, guard=guard) as one:
        os.kill(broker(state, "nats-server"), signal.SIGSTOP)
        os.kill(broker(state, "valkey-server"), signal.SIGSTOP)
        one.kill()
        wait_until_gone(state)


@pytest.mark.parametrize("guard", GUARDS)
def test_a_frozen_broker_does_not_stop_the_stop(guard: Guard, tmp_path: Path, state: Path) -> None:
    """The service ends in bounded time also when a broker does not react."""
    with Instance("one", tmp_path, guard=guard) as one:
        os.kill(broker(state, "nats-server"), signal.SIGSTOP)
        one.terminate()
        assert one.wait_exit(5.0).code == 0
        wait_until_gone(state)


@pytest.mark.parametrize("guard", GUARDS)
def test_a_service_killed_while_it_starts_leaves_no_broker(
    guard: Guard, tmp_path: Path, state: Path
) -> None:
    """There is no moment in the start at which kill -9 would leave a broker behind."""
    one = Instance("one", tmp_path, guard=guard)
    for count in (1, 2, 2):
        one.launch()
        wait_for_processes(state, count)
        one.kill()
        wait_until_gone(state)


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("name", ["nats-server", "valkey-server"])
def test_a_killed_broker_is_started_again(
    name: str, guard: Guard, tmp_path: Path, state: Path
) -> None:
    """A broker that dies is back in a moment, in its place, with its messages; the log says so."""
    with Instance("one", tmp_path, guard=guard) as one:
        store(one, "before")
        before = one.status
        for times in (1, 2):
            killed = broker(state, name)
            os.kill(killed, signal.SIGKILL)
            wait_until_replaced(state, killed)
            eventually_blocking(lambda: stored(one) == ["before"])
            eventually_blocking(lambda: one.redis("PING") == b"PONG")
            assert one.output().count("was ended by SIGKILL; starting it again") == times
        assert one.status == before
    wait_until_gone(state)


def test_a_broker_that_fails_is_tried_until_it_runs(tmp_path: Path, state: Path) -> None:
    """A broker that cannot be started is tried ever more rarely, and runs once it can."""
    broken = tmp_path / "broken"
    with Instance("one", tmp_path, nats_server=nats_that_fails(tmp_path / "nats", broken)) as one:
        store(one, "before")
        broken.write_bytes(b"")
        os.kill(broker(state, "nats-server"), signal.SIGKILL)
        eventually_blocking(lambda: "starting it again in 0.4 s" in one.output())
        assert "starting it again in 0.2 s" in one.output()
        assert "nats-server ended with status 1: it is broken" in one.output()
        broken.unlink()
        eventually_blocking(lambda: stored(one) == ["before"])
