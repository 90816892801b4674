"""Proof that a fault happened."""

import json
import os
import time
from pathlib import Path

from tests.processes.child import Child
from tests.processes.nats_cluster import NatsCluster
from tests.processes.rawnats import JetStreamError, RawNats

ASK_SECONDS = 0.2
LEADER_ELECTED = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED"


def gone(child: Child) -> str:
    """Say that a process is no more.

    Raises:
        AssertionError: It is there.
    """
    try:
        os.kill(child.pid, 0)
    except ProcessLookupError:
        return f"pid {child.pid} gone"
    raise AssertionError(f"{child.name} is still there, as pid {child.pid}")


def frozen(child: Child) -> str:
    """Say that a process is stopped by a signal.

    Raises:
        AssertionError: It is not.
    """
    stat = Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii", errors="replace")
    state = stat.rpartition(")")[2].split()[0]
    assert state == "T", f"{child.name} is in state {state}"
    return f"pid {child.pid} in state T"


def leader_of(cluster: NatsCluster, stream: str) -> str:
    """The stream's leader by name, empty while it has none; asked once, briefly."""
    try:
        with cluster.connect() as raw:
            found: str = raw.stream_info(stream, ASK_SECONDS)["cluster"].get("leader", "")
            return found
    except (JetStreamError, OSError):
        return ""


class Elections:
    """Hears from a node when a stream gets a leader."""

    def __init__(self, raw: RawNats, stream: str) -> None:
        self.leader = ""
        self.at = 0.0
        self._raw = raw
        raw.subscribe(f"{LEADER_ELECTED}.{stream}")
        raw.flush()

    def look(self) -> bool:
        """Take in what has been heard, without waiting; whether there has been an election."""
        while True:
            try:
                advisory = self._raw.next_message(timeout=0.001)
            except TimeoutError:
                return bool(self.leader)
            self.at = time.monotonic()
            self.leader = json.loads(advisory.payload)["leader"]
