"""The brokers while all is well, and starts that fail."""

import os
import socket
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from disroom.children import Guard
from tests.brokers.instance import (
    GUARDS,
    Instance,
    broker,
    brokers_of,
    kill_brokers,
    one_of_each,
    store,
    stored,
    wait_until_gone,
)
from tests.eventually import eventually_blocking
from tests.processes.rawnats import RawNats, Refused

LISTENING = "0A"

CONFINED = """
import os, resource, sys
os.dup2(1, 250)
resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Runs a program with a low limit on open files, and one open that is beyond it."""


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """Return the state directory; afterwards nothing runs on it."""
    yield tmp_path / "state"
    kill_brokers(tmp_path / "state")


def program(path: Path, script: str) -> Path:
    """Make a program that stands in for a broken broker."""
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    path.chmod(0o755)
    return path


def listening_sockets() -> dict[str, str]:
    """Return the hexadecimal addresses of all listening TCP sockets, by inode."""
    lines = [
        line.split()
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        if os.path.exists(table)
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]
    ]
    return {fields[9]: fields[1] for fields in lines if fields[3] == LISTENING}


def inodes(pid: int) -> set[str]:
    """Return the inodes of a process's sockets."""
    links = [os.readlink(each) for each in Path(f"/proc/{pid}/fd").iterdir()]
    return {link[8:-1] for link in links if link.startswith("socket:[")}


@pytest.mark.parametrize("guard", GUARDS)
def test_two_real_brokers_answer(guard: Guard, tmp_path: Path, state: Path) -> None:
    """Who gives no broker has a NATS with JetStream and a Redis that both answer."""
    with Instance("one", tmp_path, guard=guard) as one:
        store(one, "hello")
        assert stored(one) == ["hello"]
        assert one.redis("PING") == b"PONG"
        assert one.status.alone
        assert one.holding
        assert one_of_each(state)
        assert "nats-server 2." in one.output()
        assert "(valkey) " in one.output()
    wait_until_gone(state)


class Confined(Instance):
    """An instance whose limit on open files is below the number of one that it has open."""

    def _launch(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        super()._launch([sys.executable, "-c", CONFINED, *command], env)


def test_a_file_beyond_the_limit_on_open_files_does_no_harm(tmp_path: Path, state: Path) -> None:
    """A shell may have opened some for itself before its `ulimit -n`; the brokers get none."""
    with Confined("one", tmp_path) as one:
        assert one_of_each(state)
        for pid, has in [(one.pid, True), *((each.pid, False) for each in brokers_of(state))]:
            assert Path(f"/proc/{pid}/fd/250").is_symlink() is has


def test_strangers_are_kept_out(tmp_path: Path, state: Path) -> None:
    """Only this machine can reach the brokers, and on it only who may read the state directory."""
    with Instance("one", tmp_path) as one:
        with pytest.raises(Refused):
            RawNats(one.status.nats_port)
        listening = listening_sockets()
        nats = inodes(broker(state, "nats-server")) & set(listening)
        assert {listening[each].partition(":")[0] for each in nats} == {"0100007F"}
        assert not inodes(broker(state, "valkey-server")) & set(listening)
        for file in ("nats.conf", "brokers.json", "redis.sock"):
            assert stat.S_IMODE((state / file).stat().st_mode) & 0o077 == 0, file
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        assert (
            one.status.nats_token.encode()
            not in Path(f"/proc/{broker(state, 'nats-server')}/cmdline").read_bytes()
        )


def test_settings_stay_with_the_service(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials in the service's environment are not handed on to the brokers."""
    monkeypatch.setenv("DISROOM_SECRET", "x")
    with Instance("one", tmp_path):
        for each in brokers_of(state):
            assert b"DISROOM_SECRET" not in Path(f"/proc/{each.pid}/environ").read_bytes()


def test_a_stop_and_a_start_change_nothing(tmp_path: Path, state: Path) -> None:
    """After a restart the messages are there, and NATS has the same port and token."""
    with Instance("one", tmp_path) as one:
        store(one, "before")
        before = one.status
        one.stop()
        wait_until_gone(state)
        one.start()
        assert one.status == before
        assert stored(one) == ["before"]


def test_a_taken_port_is_not_waited_for(tmp_path: Path, state: Path) -> None:
    """Whatever took NATS's port meanwhile, the server starts, on another one."""
    with Instance("one", tmp_path) as one:
        port = one.status.nats_port
        one.stop()
        with socket.create_server(("127.0.0.1", port)):
            one.start()
            assert one.status.nats_port != port
            assert one.redis("PING") == b"PONG"


def test_a_long_state_directory_works(tmp_path: Path) -> None:
    """The state directory may have a path longer than a unix socket's, with any letters in it."""
    state = tmp_path / ('Zustand "ä" $HOME ' + "d" * 90)
    with Instance("one", tmp_path, state=state) as one:
        assert one.redis("PING") == b"PONG"
        store(one, "x")
        elsewhere = Path(one.status.redis_socket).parent
        assert elsewhere != state
        one.stop()
        assert not elsewhere.exists()


def test_ctrl_c_is_for_the_service(tmp_path: Path, state: Path) -> None:
    """Ctrl-C in a terminal reaches the service alone, which needs its brokers to say goodbye."""
    with Instance("one", tmp_path) as one:
        groups = {os.getpgid(each.pid) for each in brokers_of(state)}
        assert os.getpgid(one.pid) not in groups


def test_a_broker_that_ends_is_quoted(tmp_path: Path, state: Path) -> None:
    """Who has a broken broker reads its own last words, in one line, and nothing runs on."""
    broken = program(tmp_path / "nats", "echo the store is broken >&2; exit 3")
    one = Instance("one", tmp_path, nats_server=broken)
    one.launch()
    code, output = one.wait_exit()
    assert code == 1
    assert "BrokerError: nats-server ended with status 3: the store is broken\n" in output
    assert not brokers_of(state)


def test_nats_last_words_come_from_its_log(tmp_path: Path, state: Path) -> None:
    """What NATS says in its log file is in the error, too."""
    (state / "nats").mkdir(parents=True)
    (state / "nats" / "jetstream").write_bytes(b"in the way")
    one = Instance("one", tmp_path)
    one.launch()
    code, output = one.wait_exit()
    assert code == 1
    [line] = [line for line in output.splitlines() if line.startswith("BrokerError: ")]
    assert "storage directory" in line
    assert not brokers_of(state)


def test_a_broker_that_never_answers_is_given_up(tmp_path: Path, state: Path) -> None:
    """A start takes no longer than its deadline, and leaves nothing behind."""
    mute = program(tmp_path / "nats", f"exec tail -f /dev/null {state}")
    one = Instance("one", tmp_path, nats_server=mute, ready_timeout=0.3)
    one.launch()
    code, output = one.wait_exit()
    assert code == 1
    assert "BrokerError: nats-server is not ready after 0.3 s" in output
    assert not brokers_of(state)


def test_a_start_can_be_broken_off(tmp_path: Path, state: Path) -> None:
    """SIGTERM during the start ends the service at once, and its brokers with it."""
    mute = program(tmp_path / "nats", f"exec tail -f /dev/null {state}")
    one = Instance("one", tmp_path, nats_server=mute, ready_timeout=60)
    one.launch()
    eventually_blocking(lambda: "valkey-server" in [each.name for each in brokers_of(state)])
    one.terminate()
    assert one.wait_exit().code == 0
    wait_until_gone(state)
