"""The state directory and what is recorded in it."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from disroom.brokers import BrokerError, check_state_dir
from disroom.brokers.locks import Membership, take_lock
from disroom.brokers.statedir import Record, StateDir

RECORD = Record(
    generation=7,
    holder=4711,
    nats_port=40000,
    nats_token="secret",
    nats_id="N",
    redis_socket="/run/redis.sock",
    redis_id="R",
)


def mode(path: Path) -> int:
    """Return a path's permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let the system's temporary directory be a new one with a short path."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        yield Path(short)


@pytest.fixture
def deep(tmp_path: Path) -> StateDir:
    """Return a state directory whose path is too long for a socket's."""
    path = tmp_path / ("d" * 100)
    check_state_dir(path)
    return StateDir(path)


def test_a_new_directory_is_private(tmp_path: Path) -> None:
    """Nobody else on the machine can look into the directory that the server makes."""
    path = tmp_path / "new" / "state"
    check_state_dir(path)
    check_state_dir(path)
    assert mode(path) == 0o700
    assert not list(path.iterdir())


def test_an_impossible_directory_is_refused(tmp_path: Path) -> None:
    """Who gives a directory that cannot be made reads which, why, and what to do, in one line."""
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "state", tmp_path / "file", Path("/proc/state")):
        with pytest.raises(BrokerError) as caught:
            check_state_dir(path)
        assert str(path) in str(caught.value)
        assert "--state-dir" in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not stop root")
def test_a_read_only_directory_is_refused(tmp_path: Path) -> None:
    """Who gives a directory that cannot be written to is told so at once."""
    tmp_path.chmod(0o500)
    with pytest.raises(BrokerError, match="--state-dir"):
        check_state_dir(tmp_path)


def test_the_record_is_private_and_whole(tmp_path: Path) -> None:
    """Nobody else on the machine can read NATS's token, and a record that was cut short is none."""
    state = StateDir(tmp_path)
    assert state.read_record() is None
    state.write_record(RECORD)
    read = state.read_record()
    assert read is not None
    assert read.addresses() == RECORD.addresses()
    [file] = tmp_path.iterdir()
    assert mode(file) == 0o600
    file.write_bytes(file.read_bytes()[:-10])
    assert state.read_record() is None


def test_addresses_can_be_logged() -> None:
    """The token does not get into a log by way of the addresses."""
    assert "secret" not in repr(RECORD.addresses())
    assert RECORD.addresses().nats_url == "nats://127.0.0.1:40000"


def test_the_socket_is_in_the_directory(tmp_path: Path) -> None:
    """Who looks for Redis's socket finds it in the state directory."""
    assert StateDir(tmp_path).redis_socket(None) == tmp_path / "redis.sock"


def test_a_long_path_has_its_socket_elsewhere(deep: StateDir, temporary: Path) -> None:
    """A state directory may have a path of any length; its socket stays private and in place."""
    socket = deep.redis_socket(None)
    assert len(os.fsencode(socket)) <= 100
    assert socket.parent.parent == temporary
    assert mode(socket.parent) == 0o700
    assert deep.redis_socket(str(socket)) == socket


def test_a_socket_directory_of_others_is_not_used(deep: StateDir, temporary: Path) -> None:
    """Nobody can put a directory of their own in the place of one that was cleared away."""
    socket = deep.redis_socket(None)
    socket.parent.chmod(0o755)
    assert deep.redis_socket(str(socket)) != socket
    socket.parent.rmdir()
    assert deep.redis_socket(str(socket)) != socket


def test_the_last_instance_clears_the_socket_directory_away(
    deep: StateDir, temporary: Path
) -> None:
    """Nothing is left in the temporary directory after the last instance, and all before."""
    socket = deep.redis_socket(None)
    deep.write_record(msgspec.structs.replace(RECORD, redis_socket=str(socket)))
    first, second = Membership(deep), Membership(deep)
    assert (first.alone, second.alone) == (True, False)
    first.leave()
    assert socket.parent.exists()
    second.leave()
    assert not socket.parent.exists()


def test_a_copied_directory_is_another(deep: StateDir, temporary: Path) -> None:
    """A copy of a state directory, made while it was used, has nothing to do with its brokers."""
    socket = deep.redis_socket(None)
    deep.write_record(msgspec.structs.replace(RECORD, redis_socket=str(socket)))
    copy = StateDir(deep.path.with_name("c" * 100))
    shutil.copytree(deep.path, copy.path)
    assert copy.read_record() is None
    Membership(copy).leave()
    assert socket.parent.exists()


def test_a_directory_has_many_paths(deep: StateDir) -> None:
    """Instances that reach a state directory by different paths are on the same brokers."""
    deep.write_record(RECORD)
    link = deep.path.with_name("link")
    link.symlink_to(deep.path)
    assert StateDir(link).read_record() == deep.read_record()


def test_the_lock_has_one_holder(tmp_path: Path) -> None:
    """There are never two who run brokers on one directory."""
    state = StateDir(tmp_path)
    lock = take_lock(state)
    assert lock is not None
    assert take_lock(state) is None
    copy = os.dup(lock)
    os.close(lock)
    assert take_lock(state) is None, "a child's copy keeps the lock"
    os.close(copy)
    again = take_lock(state)
    assert again is not None
    os.close(again)
