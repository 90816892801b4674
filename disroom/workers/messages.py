"""What the parent and a worker tell each other: JSON lines on a pair of unix sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.interfaces import IAddress, ITransport
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from disroom.config import Config
from disroom.units import decode_unit, encode_unit

CONTROL = 3
"""The worker's file descriptor for these messages."""

LONGEST_MESSAGE = 1 << 20
"""A configuration, with all that can be in it."""


class Begin(Struct, frozen=True, tag=True):
    """To the worker: be this instance.

    Attributes:
        alone: No other instance can have users, so that an empty Redis need not settle.
    """

    config: Config
    name: str
    alone: bool


class Refuse(Struct, frozen=True, tag=True):
    """To the worker: close this connection, since the port is full, or its address has too many."""

    key: int
    full: bool


class Ready(Struct, frozen=True, tag=True):
    """From the worker: connections can come."""


class CannotStart(Struct, frozen=True, tag=True):
    """From the worker: it ends, for a reason in one line."""

    reason: str


class Health(Struct, frozen=True, tag=True):
    """From the worker, every so often: what it needs, and whether it is there."""

    there: dict[str, bool]


class Took(Struct, frozen=True, tag=True):
    """From the worker: it has a connection that was dealt to it."""

    key: int


class Came(Struct, frozen=True, tag=True):
    """From the worker: a client that was not one when its connection was dealt.

    It is one for WebSocket, which begins as HTTP. Its key is the worker's own, and negative.
    """

    key: int


class Located(Struct, frozen=True, tag=True):
    """From the worker: a proxy has said where a connection is from."""

    key: int
    host: str


class Gone(Struct, frozen=True, tag=True):
    """From the worker: a connection that was dealt, or a client that came, is no more.

    Told once for each; of a connection that has not begun as a client, at once.
    """

    key: int


Order = Begin | Refuse
Report = Ready | CannotStart | Health | Took | Came | Located | Gone


class Channel(LineOnlyReceiver):
    """One end of the pair.

    Args:
        expected: The messages that the other end sends.
        heard: Called with each.
        lost: Called when the other end is gone.
    """

    transport: ITransport

    delimiter = b"\n"
    MAX_LENGTH = LONGEST_MESSAGE
    _log = Logger()

    def __init__(
        self, expected: Any, heard: Callable[[Any], None], lost: Callable[[], None]
    ) -> None:
        self._decoder = msgspec.json.Decoder(expected, dec_hook=decode_unit)
        self._encoder = msgspec.json.Encoder(enc_hook=encode_unit)
        self._heard = heard
        self._lost = lost

    def tell(self, message: Order | Report) -> None:
        """Send a message; one to an end that is gone is dropped."""
        self.transport.write(self._encoder.encode(message) + b"\n")

    def lineReceived(self, line: bytes) -> None:
        """Pass a message on."""
        self._heard(self._decoder.decode(line))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell that the other end is gone."""
        super().connectionLost(reason)
        self._lost()


class ChannelFactory(Factory):
    """Makes the one channel that there is."""

    noisy = False

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def buildProtocol(self, addr: IAddress | None) -> Channel:
        """Return it."""
        return self._channel
