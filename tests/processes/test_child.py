"""Programs run by tests: none outlives the run, and a failure shows its log."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.eventually import eventually_blocking
from tests.processes.child import Child, StartError
from tests.processes.nats import NatsServer

ROOT = Path(__file__).parent.parent.parent
STARTS_BROKERS = """
import sys
from pathlib import Path
from tests.processes.nats import NatsServer
from tests.processes.redis import RedisServer
directory = Path(sys.argv[1])
print(NatsServer(directory).start().pid, RedisServer(directory).start().pid, flush=True)
sys.stdin.read()
"""


class Shell(Child):
    """A shell script that is ready once it has said so."""

    def __init__(self, directory: Path, script: str) -> None:
        super().__init__("shell", directory)
        self.script = script

    def start(self) -> "Shell":
        """Start the script."""
        self._launch(["sh", "-c", self.script])
        self._wait_ready(lambda: "ready" in self.output(), timeout=0.2)
        return self


def gone(pid: int) -> bool:
    """Whether no process has this number, zombies not counted."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_brokers_die_with_a_killed_test_run(tmp_path: Path) -> None:
    """A test run that is killed leaves no broker behind."""
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_BROKERS, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as run:
        assert run.stdout is not None
        pids = [int(pid) for pid in run.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(gone(pid) for pid in pids)
        run.kill()
    eventually_blocking(lambda: all(gone(pid) for pid in pids))


def test_a_failed_start_shows_the_log(tmp_path: Path) -> None:
    """Who sees a broker fail to start sees why."""
    with pytest.raises(StartError, match=r"(?s)ended: 1.*Parse error"):
        NatsServer(tmp_path, extra_config="extra_config: [").start()


def test_a_start_that_hangs_ends_at_the_deadline(tmp_path: Path) -> None:
    """A program that is never ready fails the test in time, shows its log and is gone."""
    child = Shell(tmp_path, "echo only halfway; read forever < /dev/tty; exec tail -f /dev/null")
    with pytest.raises(StartError, match=r"(?s)not ready.*only halfway"):
        child.start()
    assert not child.running


def test_the_exit_status_and_the_output_are_those_of_the_latest_start(tmp_path: Path) -> None:
    """A test of a restarted program is not fooled by what its predecessor wrote."""
    child = Shell(tmp_path, "echo ready $$; exec tail -f /dev/null")
    with child:
        first = child.output()
        child.restart()
        assert first not in child.output()
        child.terminate()
        assert child.wait_exit() == (-signal.SIGTERM, child.output())
        assert first in child.log.read_text(encoding="utf-8")


def test_a_paused_program_can_be_stopped(tmp_path: Path) -> None:
    """A test that fails while its program is frozen still cleans up, at once and gently."""
    child = Shell(
        tmp_path, "trap 'echo stopped gently; exit' TERM; echo ready; while :; do :; done"
    )
    with child:
        child.pause()
        assert Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").split()[2] == "T"
        assert child.running and not child.answering
        assert child.rss() > 0
    assert "stopped gently" in child.output()
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)
