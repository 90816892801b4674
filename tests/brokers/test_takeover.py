"""Several instances on one state directory."""

import fcntl
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from disroom.brokers.locks import take_lock
from disroom.brokers.statedir import StateDir
from disroom.children import Guard
from tests.brokers.instance import (
    GUARDS,
    Instance,
    broker,
    broker_names,
    brokers_of,
    kill_brokers,
    nats_that_fails,
    one_of_each,
    parent_of,
    store,
    stored,
    wait_until_gone,
)
from tests.eventually import eventually_blocking


def listener(port: int) -> socket.socket | None:
    """Listen on a port, if it is free."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """Return the state directory; afterwards nothing runs on it."""
    yield tmp_path / "state"
    kill_brokers(tmp_path / "state")


@pytest.fixture
def one(tmp_path: Path, state: Path) -> Iterator[Instance]:
    """Return an instance that is not started."""
    instance = Instance("one", tmp_path)
    yield instance
    instance.close()


@pytest.fixture
def two(tmp_path: Path, state: Path) -> Iterator[Instance]:
    """Return another one on the same directory."""
    instance = Instance("two", tmp_path)
    yield instance
    instance.close()


def test_a_second_instance_uses_the_brokers_of_the_first(
    one: Instance, two: Instance, state: Path
) -> None:
    """Two instances on one directory are on the same brokers; the second's end disturbs nobody."""
    one.start()
    store(one, "before")
    two.start()
    assert one.status == two.status._replace(alone=True, holding=True)
    assert (two.status.alone, two.status.holding) == (False, False)
    assert stored(two) == ["before"]
    assert one_of_each(state)
    nats = broker(state, "nats-server")
    two.stop()
    assert broker(state, "nats-server") == nats
    assert one.redis("PING") == b"PONG"


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_another_takes_over(end: str, one: Instance, two: Instance, state: Path) -> None:
    """When the instance that runs the brokers ends, another runs them, with the same messages."""
    one.start()
    store(one, "before")
    two.start()
    getattr(one, end)()
    eventually_blocking(lambda: two.holding)
    assert two.status.nats_port == one.status.nats_port
    assert two.status.nats_token == one.status.nats_token
    assert stored(two) == ["before"]
    assert two.redis("PING") == b"PONG"
    assert one_of_each(state)
    one.start()
    assert (one.status.alone, one.status.holding) == (False, False)
    two.kill()
    eventually_blocking(lambda: one.holding)
    assert stored(one) == ["before"]


def test_a_failed_takeover_is_tried_again(one: Instance, tmp_path: Path, state: Path) -> None:
    """Who cannot start the brokers in its turn says so, goes on trying, and blocks nobody."""
    broken = tmp_path / "broken"
    nats = nats_that_fails(tmp_path / "nats", broken)
    broken.write_bytes(b"")
    one.start()
    store(one, "before")
    with Instance("two", tmp_path, nats_server=nats) as two:
        one.kill()
        message = "taking the brokers over failed: nats-server ended with status 1: it is broken"
        eventually_blocking(lambda: two.output().count(message) >= 2)
        one.start()
        assert one.holding
        one.kill()
        broken.unlink()
        eventually_blocking(lambda: two.holding)
        assert stored(two) == ["before"]


@pytest.mark.parametrize("guard", GUARDS)
def test_one_of_many_takes_over(guard: Guard, tmp_path: Path, state: Path) -> None:
    """However many wait, one alone runs the brokers after the holder's end; the rest use them."""
    instances = [Instance(f"i{n}", tmp_path, guard=guard) for n in range(3)]
    try:
        for each in instances:
            each.start()
        store(instances[0], "before")
        instances[0].kill()
        eventually_blocking(lambda: any(each.holding for each in instances[1:]))
        assert one_of_each(state)
        assert [each.holding for each in instances[1:]].count(True) == 1
        for each in instances[1:]:
            assert stored(each) == ["before"]
    finally:
        for each in instances:
            each.close()


def test_one_of_two_that_start_at_once_runs_the_brokers(
    one: Instance, two: Instance, state: Path
) -> None:
    """Two instances may start at the same instant: both are ready, on one set of brokers."""
    for _ in range(3):
        one.launch()
        two.launch()
        eventually_blocking(lambda: one.ready and two.ready)
        assert sorted([one.status.holding, two.status.holding]) == [False, True]
        assert (one.status.alone, two.status.alone) != (True, True)
        assert one.status.nats_url == two.status.nats_url
        assert one_of_each(state)
        one.kill()
        two.kill()
        wait_until_gone(state)


@pytest.mark.parametrize("count", [1, 2])
def test_the_holder_may_die_while_another_starts(
    count: int, one: Instance, two: Instance, state: Path
) -> None:
    """Whenever the holder dies, who has started beside it is ready all the same."""
    one.launch()
    two.launch()
    [first, *_] = eventually_blocking(
        lambda: running if len(running := brokers_of(state)) >= count else []
    )
    holder, other = (one, two) if parent_of(first.pid) == one.pid else (two, one)
    holder.kill()
    eventually_blocking(lambda: other.holding)
    assert other.redis("PING") == b"PONG"
    assert one_of_each(state)


def test_old_and_new_brokers_never_meet(tmp_path: Path, state: Path) -> None:
    """As long as one broker of a dead holder lives, nobody starts another on the same data."""
    one = Instance("one", tmp_path, guard="pipe")
    two = Instance("two", tmp_path, guard="pipe")
    with one, two:
        nats, redis = broker(state, "nats-server"), broker(state, "valkey-server")
        for each in brokers_of(state):
            if each.name == "shim":  # the guards, which would end the brokers
                os.kill(each.pid, signal.SIGSTOP)
        one.kill()
        assert take_lock(StateDir(state)) is None
        os.kill(redis, signal.SIGKILL)
        eventually_blocking(lambda: broker_names(state) == ["nats-server"])
        assert take_lock(StateDir(state)) is None
        os.kill(nats, signal.SIGKILL)
        eventually_blocking(lambda: two.holding)


def test_a_new_port_is_found(one: Instance, two: Instance, state: Path) -> None:
    """Where NATS has to move to another port, the other instances learn of it."""
    one.start()
    two.start()
    port = one.status.nats_port
    two.pause()
    one.kill()
    with eventually_blocking(lambda: listener(port)):
        two.resume()
        eventually_blocking(lambda: two.holding and two.status.nats_port != port)
        one.start()
        assert one.status.nats_port == two.status.nats_port


def test_strangers_at_the_recorded_addresses_are_not_believed(tmp_path: Path, state: Path) -> None:
    """Brokers that are gone, and others that now have their addresses, are not taken for ours."""
    state.mkdir()
    with (
        (state / "brokers.lock").open("wb") as lock,
        Instance("stranger", tmp_path, state=tmp_path / "elsewhere") as stranger,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        true = StateDir(stranger.state).read_record()
        assert true is not None
        for record in (
            msgspec.structs.replace(true, nats_id="another"),
            msgspec.structs.replace(true, redis_id="another"),
        ):
            StateDir(state).write_record(record)
            two = Instance("two", tmp_path, ready_timeout=0.5)
            two.launch()
            code, output = two.wait_exit()
            assert code == 1
            assert "BrokerError: another process runs the brokers of" in output
