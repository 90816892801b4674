"""The people in a transcript: what they send, and how far what they received has been compared."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NoReturn

from tests.eventually import eventually_blocking
from tests.processes.text_client import Clients, TextClient
from tests.transcripts.notation import Line, show

SHOWN_BYTES = 2000
TRY_AGAIN = re.compile(rb"Error: .*; try again in a moment .*")


class Mismatch(AssertionError):
    """What happened is not what the transcript says."""


class Player:
    """One client.

    Args:
        client: How it is connected.
        clients: The group in which it is read.
        began: When the conversation began, Unix seconds; no time that is shown may lie before it.
        tokens: Those received in the conversation, by anybody.
        line_end: What Enter sends.
        terminal: What is typed is echoed, and how the screen breaks lines does not matter.

    Attributes:
        patience: Seconds to wait for anything.
        deaf: It does not read at present.
        gone: It has left, or has been seen to be disconnected.
    """

    def __init__(
        self,
        client: TextClient,
        clients: Clients,
        *,
        began: float,
        tokens: dict[str, str],
        line_end: bytes = b"\r\n",
        terminal: bool = False,
    ) -> None:
        self.client = client
        self.patience = 10.0
        self.deaf = False
        self.gone = False
        self._clients = clients
        self._began = began
        self._tokens = tokens
        self._line_end = line_end
        self._terminal = terminal
        self._received_end = b"\n" if terminal else b"\r\n"
        self._compared = 0

    def send(self, data: bytes, *, whole_line: bool = False) -> None:
        """Send bytes, as a line or as they are; the echo of a line is taken for granted."""
        self.client.send(data + (self._line_end if whole_line else b""))
        if self._terminal and whole_line:
            self.receive_bytes(data + b"\n")

    def receive(self, *lines: Line) -> None:
        """Compare the next lines; where there are several, in whatever order they come.

        Raises:
            Mismatch: They are others, or they do not come.
        """
        missing = list(lines)
        while missing:
            received = self._next_line() if missing[0].ended else self._next(missing[0].size)
            if received is None:
                self._refuse([line.text for line in missing])
            found = next((line for line in missing if self._is(line, received)), None)
            if found is None:
                self._refuse([line.text for line in missing])
            missing.remove(found)
            self._compared += len(received) + len(self._received_end) * found.ended

    def receive_bytes(self, expected: bytes) -> None:
        """Compare the next bytes; raises Mismatch."""
        if self._next(len(expected)) != expected:
            self._refuse([show(expected) + "\\"])
        self._compared += len(expected)

    def skip_to(self, line: Line) -> None:
        """Read lines until this one; raises Mismatch if it does not come."""
        while True:
            for received in self._rest.split(self._received_end)[:-1]:
                self._compared += len(received) + len(self._received_end)
                if self._is(line, received):
                    return
            if self._next_line() is None:
                self._refuse([line.text])

    def retry(self, line: bytes) -> None:
        """Send a line, and again for as long as the answer says so; another answer is left to read.

        Raises:
            Mismatch: It still said so in the end, or did not answer.
        """

        def answered() -> bool:
            self.send(line, whole_line=True)
            received = self._next_line()
            if received is None:
                self._refuse(["(an answer)"])
            if TRY_AGAIN.fullmatch(received):
                self._compared += len(received) + len(self._received_end)
                return False
            return True

        eventually_blocking(answered, self.patience, "the answer is to try again")

    def ask_until(self, line: bytes, answer: Line) -> None:
        """Send a line, again and again, until the next line is this; raises Mismatch if none is."""
        deadline = time.monotonic() + self.patience
        while True:
            self.send(line, whole_line=True)
            received = self._next_line()
            answered = received is not None and self._is(answer, received)
            if received is None or (not answered and time.monotonic() > deadline):
                self._refuse([answer.text])
            self._compared += len(received) + len(self._received_end)
            if answered:
                return

    def receive_nothing(self) -> None:
        """See that an answer is the next that comes; raises Mismatch."""
        self.send(b"/ping", whole_line=True)
        self.receive(Line.parse("Pong"))

    def be_disconnected(self) -> None:
        """See that the other side closes the connection, and that nothing is left to compare."""
        self._wait(lambda: self.client.ended)
        if self._rest or not self.client.ended:
            self._refuse(["(the connection is closed)"])
        self.leave()

    def leave(self) -> None:
        """Close the connection."""
        self.gone = True
        self.client.close()

    @property
    def _rest(self) -> bytes:
        """What was received and has not been compared."""
        received = self.client.raw
        if self._terminal:
            received = received.replace(b"\r", b"")
        return received[self._compared :]

    def _is(self, line: Line, received: bytes) -> bool:
        return line.matches(received, self._began, self._tokens)

    def _next_line(self) -> bytes | None:
        """Return the next line without its end; None if none comes."""
        self._wait(lambda: self._received_end in self._rest)
        line, end, _ = self._rest.partition(self._received_end)
        return line if end else None

    def _next(self, size: int) -> bytes:
        self._wait(lambda: len(self._rest) >= size)
        return self._rest[:size]

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Return when it is so, or when there is no more hope."""
        deadline = time.monotonic() + self.patience
        while not condition() and not self.client.ended:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._clients.pump(left)

    def _refuse(self, expected: list[str]) -> NoReturn:
        rest = self._rest[:SHOWN_BYTES]
        got = [show(line.removesuffix(b"\r")) for line in rest.split(b"\n")]
        if got[-1]:
            got[-1] += "\\"
        else:
            got.pop()
        if self.client.ended:
            got.append("(the connection is closed)")
        elif not rest:
            got = [f"(nothing, for {self.patience:g} s)"]
        wanted = "\n      or: ".join(expected)
        raise Mismatch(f"expected: {wanted}\ngot:      " + "\n          ".join(got))
