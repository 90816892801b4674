"""Which broker is run."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from disroom.brokers import BrokerError, find_nats_server, find_redis_server

Find = Callable[[str | None], Path]


def program(path: Path) -> Path:
    """Make an executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n", encoding="ascii")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the interpreter see no installed package's list of files."""
    monkeypatch.setattr(sys, "path", [])


@pytest.mark.parametrize("find", [find_nats_server, find_redis_server])
def test_the_configured_one_is_run(find: Find, tmp_path: Path) -> None:
    """Who names a broker gets that one, although the wheel is installed."""
    mine = program(tmp_path / "my broker")
    assert find(str(mine)) == mine


@pytest.mark.parametrize("find", [find_nats_server, find_redis_server])
@pytest.mark.parametrize("kind", ["missing", "directory", "not executable"])
def test_a_wrong_path_is_named(find: Find, kind: str, tmp_path: Path) -> None:
    """Who configures a path that cannot be run reads the path; nothing else is run in its stead."""
    path = tmp_path / "broker"
    if kind == "directory":
        path.mkdir()
    elif kind == "not executable":
        path.write_bytes(b"")
    with pytest.raises(BrokerError, match=f"{path} is not an executable file"):
        find(str(path))


def test_the_wheel_comes_before_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who installed disroom[embedded] gets its versions, whatever else the machine has."""
    for name in ("nats-server", "valkey-server", "redis-server"):
        program(tmp_path / name)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_nats_server().parent != tmp_path
    assert find_redis_server().parent != tmp_path
    assert find_redis_server().name == "valkey-server"


@pytest.mark.usefixtures("no_wheels")
@pytest.mark.parametrize(
    ("find", "names"),
    [
        (find_nats_server, ["nats-server"]),
        (find_redis_server, ["redis-server"]),
        (find_redis_server, ["redis-server", "valkey-server"]),
    ],
)
def test_the_machines_own_is_run_without_the_wheel(
    find: Find, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has the brokers from a distribution needs no wheels."""
    paths = [program(tmp_path / name) for name in names]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find(None) == paths[-1]


@pytest.mark.usefixtures("no_wheels")
@pytest.mark.parametrize(
    ("find", "option"), [(find_nats_server, "--nats"), (find_redis_server, "--redis")]
)
def test_what_to_install_is_said(
    find: Find, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has no broker reads, in one line, what to install and which option does without."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError) as caught:
        find(None)
    assert "pip install 'disroom[embedded]'" in str(caught.value)
    assert option in str(caught.value)
    assert "\n" not in str(caught.value)
