"""The clients of cluster tests: a bare socket, and real programs such as telnet and nc."""

import contextlib
import fcntl
import os
import pty
import socket
import ssl
import struct
import subprocess
import termios
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.processes.child import die_with_parent
from tests.processes.dial import dial
from tests.processes.text_client import TIMEOUT, Clients, TextClient

READ_SIZE = 65536


class LineClient(TextClient):
    """A user on a socket.

    Args:
        clients: The group to read it with.
        address: Host and port, or a unix socket's path.
        tls: Speak TLS, with this context.
        receive_buffer: SO_RCVBUF in bytes, for a client that is to be slow.
    """

    def __init__(
        self,
        clients: Clients,
        address: tuple[str, int] | Path,
        *,
        tls: ssl.SSLContext | None = None,
        receive_buffer: int | None = None,
    ) -> None:
        self.socket = dial(address, TIMEOUT, tls=tls, receive_buffer=receive_buffer)
        if not isinstance(address, Path):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        super().__init__(clients)

    def fileno(self) -> int:
        """What to select on."""
        return self.socket.fileno()

    def send_line(self, text: str, end: str = "\r\n") -> None:
        """Send a line."""
        self.send((text + end).encode())

    def half_close(self) -> None:
        """Say that no more will be sent (FIN), and go on reading."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a RST, as a crashed host's kernel answers."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Close the socket; harmless when done twice."""
        super().close()
        self.socket.close()

    def _read(self) -> bytes:
        try:
            data = self.socket.recv(READ_SIZE)
            # What TLS has decrypted already is not seen by select.
            while isinstance(self.socket, ssl.SSLSocket) and self.socket.pending():
                data += self.socket.recv(READ_SIZE)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        return data

    def _write(self, data: memoryview) -> int:
        try:
            return self.socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0


class ProgramClient(TextClient):
    """A user of a real program, on a terminal of its own or with pipes.

    On a terminal, what is typed is echoed among the received lines.

    Args:
        clients: The group to read it with.
        command: The program and its arguments; mark the test with `needs`.
        terminal: Whether it has a (pseudo) terminal; otherwise pipes.
    """

    def __init__(self, clients: Clients, command: Sequence[str], *, terminal: bool = True) -> None:
        self._terminal = terminal
        if terminal:
            self._input, program_end = pty.openpty()
            self._output = self._input
            self._process = subprocess.Popen(
                command,
                stdin=program_end,
                stdout=program_end,
                stderr=program_end,
                start_new_session=True,
                preexec_fn=_on_terminal(),
            )
            os.close(program_end)
        else:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                preexec_fn=die_with_parent(),
            )
            assert self._process.stdin is not None and self._process.stdout is not None
            self._input = self._process.stdin.fileno()
            self._output = self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        os.set_blocking(self._output, False)
        super().__init__(clients)

    def fileno(self) -> int:
        """What to select on."""
        return self._output

    @property
    def pid(self) -> int:
        """The program's process id."""
        return self._process.pid

    def send_line(self, text: str) -> None:
        """Type a line and press Enter; into a pipe, write it with LF."""
        self.send(text.encode() + (b"\r" if self._terminal else b"\n"))

    def half_close(self) -> None:
        """End the program's input: Ctrl-D on a terminal, else close its pipe."""
        if self._terminal:
            self.send(b"\x04")
        elif self._process.stdin is not None:
            self._process.stdin.close()

    def wait_exit(self, timeout: float = TIMEOUT) -> int:
        """Return the program's exit status, once all its output is read.

        Raises:
            AssertionError: It has not ended after `timeout` seconds.
        """
        self.wait_ended(timeout)
        return self._process.wait(timeout)

    def close(self) -> None:
        """Kill the program; harmless when done twice."""
        super().close()
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait(TIMEOUT)
        if self._process.stdin is not None and self._process.stdout is not None:
            self._process.stdin.close()
            self._process.stdout.close()
        elif self._input >= 0:
            os.close(self._input)
            self._input = self._output = -1

    def _read(self) -> bytes:
        return os.read(self._output, READ_SIZE)

    def _write(self, data: memoryview) -> int:
        with contextlib.suppress(BlockingIOError):
            return os.write(self._input, data)
        return 0


def _on_terminal() -> Callable[[], None]:
    """Return a preexec_fn that makes standard input the controlling terminal, for Ctrl-C."""
    die = die_with_parent()

    def take() -> None:
        die()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    return take
