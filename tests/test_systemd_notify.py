"""What systemd is told."""

import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from disroom.systemd import notify


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory whose name is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="notify") as name:
        yield Path(name)


def listening(address: str) -> socket.socket:
    """The socket on which systemd would listen."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(address)
    listener.settimeout(5)
    return listener


def test_a_state_reaches_systemd(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``systemctl start`` returns when the service is ready, however often it is told."""
    path = str(directory / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with listening(path) as listener:
        notify("READY=1")
        notify("STOPPING=1")
        assert [listener.recv(100), listener.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_an_abstract_address_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where systemd names its socket without a file, it is reached as well."""
    name = f"disroom-test-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
    with listening(f"\0{name}") as listener:
        notify("READY=1")
        assert listener.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", [None, "", "none/there"])
def test_without_systemd_nothing_happens(
    address: str | None, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started by hand, or with a socket that is gone, the service works all the same."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", str(directory / address) if address else "")
    notify("READY=1")
