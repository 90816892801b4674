"""A connection to wherever a server listens."""

import socket
import ssl
from pathlib import Path

Address = tuple[str, int] | Path
"""Host and port, or a unix socket's path."""


def dial(
    address: Address,
    timeout: float,
    *,
    tls: ssl.SSLContext | None = None,
    receive_buffer: int | None = None,
) -> socket.socket:
    """Connect, as a client that blocks.

    Args:
        address: Where to.
        timeout: Seconds that connecting, and anything later, may take.
        tls: Speak TLS, with this context.
        receive_buffer: SO_RCVBUF in bytes, for a client that is to be slow.
    """
    if isinstance(address, Path):
        connection = socket.socket(socket.AF_UNIX)
    else:
        connection = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    connection.settimeout(timeout)
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    try:
        connection.connect(str(address) if isinstance(address, Path) else address)
        if tls is not None:
            connection = tls.wrap_socket(connection, server_hostname="127.0.0.1")
    except OSError:
        connection.close()
        raise
    return connection
