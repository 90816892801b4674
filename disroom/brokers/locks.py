"""Two advisory locks on a state directory: who runs the brokers, and who is there at all.

flock's locks belong to an open file, not to a process: children that inherit the file keep the
lock, and it goes when the last of them has ended, however that comes.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from disroom.brokers.errors import BrokerError
from disroom.brokers.statedir import StateDir


def take_lock(state: StateDir) -> int | None:
    """Take the brokers' lock, without waiting.

    Returns:
        A file descriptor; the lock is kept until it, and every child's copy of it, is closed. None
        if someone has it.

    Raises:
        BrokerError: The file system refuses.
    """
    with _clearly(state.lock):
        lock = _open(state.lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return None
        except OSError:
            os.close(lock)
            raise
        return lock


class Membership:
    """A mark that an instance uses the directory; gone with the instance, however it ends.

    Everyone keeps a shared lock on one file. To turn an exclusive lock into a shared one is not
    atomic, so exclusive ones are only tried inside a gate: a second lock, kept for these few system
    calls and therefore waited for.

    Attributes:
        alone: Whether nobody else was there when we came.

    Raises:
        BrokerError: The file system refuses.
    """

    def __init__(self, state: StateDir) -> None:
        self._state = state
        with _clearly(state.instances):
            self._file = _open(state.instances)
            try:
                with self._gate():
                    self.alone = self._try_exclusive()
                    fcntl.flock(self._file, fcntl.LOCK_SH)
            except OSError:
                os.close(self._file)
                raise

    def leave(self) -> None:
        """Remove the mark; the last one to leave removes the sockets' temporary directory."""
        # A directory that is gone needs no clearing up.
        with contextlib.suppress(OSError), self._gate():
            if self._try_exclusive():
                self._state.remove_socket_dir()
        os.close(self._file)

    def _try_exclusive(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @contextlib.contextmanager
    def _gate(self) -> Iterator[None]:
        gate = _open(self._state.instances_gate)
        try:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield
        finally:
            os.close(gate)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextlib.contextmanager
def _clearly(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BrokerError(f"{path} cannot be locked: {error.strerror}") from error
