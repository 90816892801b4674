"""A chat user's side of a connection, for tests that block: what was read, and waiting for more."""

import re
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

TIMEOUT = 10.0
SHOWN_LINES = 20


@dataclass(frozen=True, slots=True)
class Received:
    """A line without its end, and when it was read (`time.monotonic`)."""

    text: str
    at: float


class Clients:
    """Clients that are read together: while a test waits for one, the others' lines come in too.

    A context manager, which closes them all. A client that is to read nothing gets a group of its
    own.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._members: list[TextClient] = []
        self._reading: set[TextClient] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all clients; harmless when done twice."""
        for member in self._members:
            member.close()
        self._selector.close()

    def add(self, client: "TextClient") -> None:
        """Read this client from now on."""
        self._members.append(client)
        self._reading.add(client)
        self._selector.register(client, selectors.EVENT_READ, client)

    def remove(self, client: "TextClient") -> None:
        """Read it no more; harmless when done twice."""
        if client in self._reading:
            self._reading.remove(client)
            self._selector.unregister(client)

    def pump(self, timeout: float = 0.0) -> None:
        """Read what there is, waiting at most `timeout` seconds for the first."""
        for key, _ in self._selector.select(timeout):
            key.data.read()


class TextClient:
    """What a user's side has received, and waiting for what comes next.

    A cursor runs over the lines: `expect` and `collect_until` look at those after it and move it
    behind what they found. Subclasses say how to read, write and close.
    """

    def __init__(self, clients: Clients) -> None:
        self.received: list[Received] = []
        self.raw = b""  # every byte, in order
        self.ended = False  # the other side closed, or reset, the connection
        self._clients = clients
        self._unfinished = b""
        self._cursor = 0
        clients.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def fileno(self) -> int:
        """What to select on."""
        raise NotImplementedError

    def send(self, data: bytes, timeout: float = TIMEOUT) -> None:
        """Send all of it, reading meanwhile.

        Raises:
            AssertionError: It was not all taken within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        rest = memoryview(data)
        while rest:
            assert time.monotonic() < deadline, self._trouble("what was sent is not taken")
            sent = self._write(rest)
            rest = rest[sent:]
            self._clients.pump(0.0 if sent else 0.01)

    def close(self) -> None:
        """Close this side; harmless when done twice."""
        self._clients.remove(self)

    @property
    def lines(self) -> list[str]:
        """All whole lines read so far."""
        return [line.text for line in self.received]

    @property
    def unfinished(self) -> str:
        """What was read after the last line end."""
        return _text(self._unfinished)

    def expect(self, pattern: str, timeout: float = TIMEOUT) -> str:
        """Return the next line in which the regular expression is found.

        Raises:
            AssertionError: The connection ended without one, or `timeout` seconds passed.
        """
        return self.collect_until(pattern, timeout)[-1]

    def collect_until(self, pattern: str, timeout: float = TIMEOUT) -> list[str]:
        """Return the next lines up to, and with, the one in which the expression is found.

        Raises:
            AssertionError: As `expect`.
        """
        start = looked_at = self._cursor

        def found() -> bool:
            nonlocal looked_at
            while looked_at < len(self.received):
                looked_at += 1
                if re.search(pattern, self.received[looked_at - 1].text):
                    return True
            return False

        self._wait(found, timeout, f"no line with {pattern!r}")
        self._cursor = looked_at
        return [line.text for line in self.received[start:looked_at]]

    def expect_prompt(self, pattern: str, timeout: float = TIMEOUT) -> str:
        """Return the unfinished line, once the expression is found in it, and take it as whole.

        Raises:
            AssertionError: As `expect`.
        """
        self._wait(
            lambda: re.search(pattern, self.unfinished) is not None,
            timeout,
            f"no prompt with {pattern!r}",
        )
        prompt = self.unfinished
        self._unfinished = b""
        self.received.append(Received(prompt, time.monotonic()))
        self._cursor = len(self.received)
        return prompt

    def wait_ended(self, timeout: float = TIMEOUT) -> None:
        """Wait until the other side has closed the connection.

        Raises:
            AssertionError: It has not after `timeout` seconds.
        """
        self._wait(lambda: self.ended, timeout, "not closed by the other side")

    def read(self) -> None:
        """Read what is there; for `Clients`."""
        try:
            data = self._read()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # reset; on a pty EIO, when the program has closed it
            data = b""
        if not data:
            self.ended = True
            self._clients.remove(self)
            return
        self.raw += data
        self._take(data)

    def _take(self, data: bytes) -> None:
        """Make of the next bytes what they are."""
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        now = time.monotonic()
        self.received += [Received(_text(line).rstrip("\r"), now) for line in lines]

    def _read(self) -> bytes:
        """Return some bytes, b"" at the end; BlockingIOError means none yet."""
        raise NotImplementedError

    def _write(self, data: memoryview) -> int:
        """Return how many of the bytes were taken, without blocking."""
        raise NotImplementedError

    def _wait(self, condition: Callable[[], bool], timeout: float, missed: str) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            assert not self.ended, self._trouble(f"{missed}, and the connection has ended")
            left = deadline - time.monotonic()
            assert left > 0, self._trouble(f"{missed} after {timeout} s")
            self._clients.pump(left)

    def _trouble(self, what: str) -> str:
        last = "\n".join(f"  {line}" for line in self.lines[-SHOWN_LINES:])
        return f"{what}; the last lines:\n{last}\n  {self.unfinished!r} (unfinished)"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
