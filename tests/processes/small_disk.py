"""A small disk that can be full, and a real nats-server on it."""

import contextlib
import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.processes.child import Child
from tests.processes.nats import NatsServer

_FILLER = "filler"


class SmallDisk(Child):
    """A file system of so many MiB in memory, mounted where only programs run on it see it.

    It is there for as long as a process is that holds its namespace. Mark the test with
    `needs("unshare")`.
    """

    def __init__(self, directory: Path, mebibytes: int) -> None:
        super().__init__("disk", directory)
        self.mount = directory / "mount"
        self.mount.mkdir()
        self._mebibytes = mebibytes

    def start(self) -> Self:
        """Mount it."""
        mount = f'mount -t tmpfs -o size={self._mebibytes}m small "$0" && exec sleep infinity'
        self._launch(["unshare", "--map-root-user", "--mount", "sh", "-c", mount, str(self.mount)])
        self._wait_ready(lambda: self.inside.stat().st_dev != self.mount.stat().st_dev)
        return self

    @property
    def inside(self) -> Path:
        """The mounted directory, as it can be reached from here."""
        return Path(f"/proc/{self.pid}/root{self.mount}")

    @property
    def free_bytes(self) -> int:
        """What is left."""
        state = os.statvfs(self.inside)
        return state.f_bavail * state.f_bsize

    def fill(self) -> None:
        """Use up what is left."""
        with (self.inside / _FILLER).open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError as full:
                assert full.errno == errno.ENOSPC, full

    def make_room(self) -> None:
        """Give back what `fill` used."""
        with contextlib.suppress(FileNotFoundError):
            (self.inside / _FILLER).unlink()

    def run(self, command: Sequence[str]) -> list[str]:
        """The command line of a program that is to see the disk."""
        enter = ["nsenter", "--user", "--mount", "--preserve-credentials", f"--target={self.pid}"]
        return [*enter, "--", *command]


class NatsOnSmallDisk(NatsServer):
    """A nats-server with its data on a small disk."""

    def __init__(self, directory: Path, disk: SmallDisk, **arguments: Any) -> None:
        # By default JetStream takes no stream that may grow to more than there is room for now.
        limits = "max_file_store: 1GB"
        super().__init__(directory, store=disk.mount, jetstream_config=limits, **arguments)
        self._disk = disk

    def _launch(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> None:
        super()._launch(self._disk.run(command), env)
