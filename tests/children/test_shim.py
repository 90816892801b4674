"""The shim between a service and its child, on its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from disroom.children import Guard
from disroom.children.child import SHIM
from tests.brokers.instance import GUARDS

ENDLESS = ("/bin/cat", "/dev/full")  # it reads zeros for ever


def run(
    guard: Guard, parent: int, *command: str, stdin: int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    """Run a program through the shim; by default nobody is at the end of the pipe any more."""
    return subprocess.run(
        [sys.executable, "-I", "-S", str(SHIM), guard, str(parent), *command],
        stdin=stdin,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=10,
        check=False,
    )


@pytest.mark.skipif("pdeathsig" not in GUARDS, reason="the kernel has no such signal")
def test_a_parent_that_ended_at_once_is_noticed() -> None:
    """A service killed before the kernel is asked to watch it leaves no broker either."""
    ended = run("pdeathsig", os.getpid() + 1, *ENDLESS)
    assert ended.returncode == 1
    assert ended.stderr == "the parent is gone\n"


def test_a_pipe_that_ended_at_once_is_noticed() -> None:
    """A service killed before the guard reads its pipe leaves no broker either."""
    assert run("pipe", os.getpid(), *ENDLESS).returncode == -signal.SIGKILL


@pytest.mark.parametrize("guard", GUARDS)
def test_what_cannot_be_run_is_named(guard: Guard, tmp_path: Path) -> None:
    """Who has a broker for another kind of machine reads its path and the reason."""
    broken = tmp_path / "broker"
    broken.write_bytes(b"\x7fELF, but not for this machine")
    broken.chmod(0o755)
    reading, writing = os.pipe()
    ended = run(guard, os.getpid(), str(broken), stdin=reading)
    os.close(reading)
    os.close(writing)
    assert ended.returncode == 1
    assert ended.stderr == f"{broken}: Exec format error\n"
