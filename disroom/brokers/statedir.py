"""The state directory: what is where in it, and the record of the brokers that run on it."""

import contextlib
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from disroom.brokers.errors import BrokerError

LONGEST_SOCKET_PATH = 100  # bytes; sun_path has 108 on Linux and 104 on macOS
SOCKET_DIR_PREFIX = "disroom-"


@dataclass(frozen=True, slots=True)
class BrokerAddresses:
    """Where the brokers answer.

    Attributes:
        nats_url: Without credentials, so that it may be logged.
        nats_token: NATS's authorization token, which is a secret.
        redis_socket: A unix socket.
    """

    nats_url: str
    nats_token: str = field(repr=False)
    redis_socket: Path


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What the holder wrote once both brokers had answered it.

    It may be of brokers that are dead by now, and something else may have their port: only an
    answer with the same id is believed.

    Attributes:
        generation: Counts the starts on this directory.
        holder: The process that started the brokers.
        nats_id: NATS's server_id, new with each start.
        redis_id: Redis's run_id, new with each start.
        directory: The inode of the state directory; write_record sets it.
    """

    generation: int
    holder: int
    nats_port: int
    nats_token: str
    nats_id: str
    redis_socket: str
    redis_id: str
    directory: int = 0

    def addresses(self) -> BrokerAddresses:
        """Return the part that clients need."""
        return BrokerAddresses(
            nats_url=f"nats://127.0.0.1:{self.nats_port}",
            nats_token=self.nats_token,
            redis_socket=Path(self.redis_socket),
        )


def check_state_dir(path: Path) -> None:
    """Make the directory if it is missing (mode 0700), and prove that it can be written to.

    Synchronous, so that it can be asked before the process becomes a daemon.

    Raises:
        BrokerError: It cannot be made or written to.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as proof:
            proof.write(b"\0" * 4096)
    except OSError as error:
        raise BrokerError(
            f"the state directory {path} cannot be used ({error.strerror}): "
            "give one that can be written to with --state-dir"
        ) from error


class StateDir:
    """The paths inside a state directory, and its record.

    Args:
        path: Made absolute at once: a daemon changes its working directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self.lock = self.path / "brokers.lock"
        self.instances = self.path / "instances.lock"
        self.instances_gate = self.path / "instances.gate"
        self.nats_config = self.path / "nats.conf"
        self.nats_log = self.path / "nats.log"
        self.nats_store = self.path / "nats"
        self.nats_ports = self.path / "nats-ports"
        self._record = self.path / "brokers.json"

    def read_record(self) -> Record | None:
        """Return the latest record; None if there is none that can be read, or one copied here."""
        try:
            record = msgspec.json.decode(self._record.read_bytes(), type=Record)
            return record if record.directory == self._inode() else None
        except (OSError, msgspec.DecodeError):  # a ValidationError is a DecodeError
            return None

    def write_record(self, record: Record) -> None:
        """Replace the record at one stroke. For the holder of the lock alone.

        Raises:
            BrokerError: It cannot be written.
        """
        try:
            record = msgspec.structs.replace(record, directory=self._inode())
        except OSError as error:
            raise BrokerError(f"{self.path} is gone: {error.strerror}") from error
        write_private(self._record, msgspec.json.format(msgspec.json.encode(record)))

    def redis_socket(self, recorded: str | None) -> Path:
        """Return the path for Redis's socket, in a directory that only we can enter.

        Where the state directory's path is too long for a socket's address, that is a new directory
        in the system's temporary one, or the recorded one if it is still there and still ours.

        Raises:
            BrokerError: The temporary directory cannot be made.
        """
        near = self.path / "redis.sock"
        if len(os.fsencode(near)) <= LONGEST_SOCKET_PATH:
            return near
        if recorded is not None and self._made(Path(recorded).parent):
            return Path(recorded)
        for parent in (None, "/tmp"):  # $TMPDIR can be long too
            try:
                made = Path(tempfile.mkdtemp(prefix=SOCKET_DIR_PREFIX, dir=parent)) / "redis.sock"
            except OSError as error:
                raise BrokerError(f"no directory for Redis's socket: {error}") from error
            if len(os.fsencode(made)) <= LONGEST_SOCKET_PATH:
                return made
            made.parent.rmdir()
        raise BrokerError("no path for Redis's socket is short enough: set TMPDIR to a short one")

    def remove_socket_dir(self) -> None:
        """Remove the directory that `redis_socket` made elsewhere, if there is one."""
        record = self.read_record()
        if record is not None and self._made(Path(record.redis_socket).parent):
            with contextlib.suppress(OSError):
                Path(record.redis_socket).unlink(missing_ok=True)
                Path(record.redis_socket).parent.rmdir()

    def _inode(self) -> int:
        # Tells the directory from a copy of it, by whatever path both are reached.
        return self.path.stat().st_ino

    def _made(self, directory: Path) -> bool:
        """Whether it is still the one that we made, outside the state directory."""
        try:
            found = directory.lstat()
        except OSError:
            return False
        private = found.st_uid == os.geteuid() and found.st_mode == 0o40700
        return private and directory.name.startswith(SOCKET_DIR_PREFIX)


def write_private(path: Path, content: bytes) -> None:
    """Put a file with mode 0600 in place of what was at the path, at one stroke.

    Raises:
        BrokerError: It cannot be written.
    """
    new = path.with_suffix(".new")
    try:
        new.unlink(missing_ok=True)  # left by a crash, with any mode
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        new.replace(path)
    except OSError as error:
        raise BrokerError(f"{path} cannot be written: {error.strerror}") from error
