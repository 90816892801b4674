"""Ports chosen by the kernel and kept for as long as a test wants them."""

import socket
import sys


class ReservedPort:
    """A TCP port of 127.0.0.1 that nothing but the test's own server gets, running or not.

    On Linux a socket stays bound to it, with SO_REUSEADDR and without listening: a server, which
    sets SO_REUSEADDR as well, can bind it again and again, meanwhile connections are refused, and
    the kernel neither hands it to another program nor makes it the source port of a connection.
    (Otherwise a client that retries a dead local port sooner or later connects to itself.)
    Elsewhere the kernel would refuse the second bind, so the port is only chosen.
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self._socket.close()

    def listen(self) -> socket.socket:
        """Return a listening socket on the port, for a server inside the test's process."""
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.number))
        listener.listen(1024)
        return listener

    def release(self) -> None:
        """Give the port back; harmless when done twice."""
        self._socket.close()
