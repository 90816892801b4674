"""Where the instance listens, and that it stops listening before anything else stops."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import DeferredList, TimeoutError, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger

from disroom.transports.line import LineFactory

GOODBYE_SECONDS = 1.0
"""How long clients may take to read their goodbye."""


class ListenError(Exception):
    """An address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class Listener:
    """An endpoint and what serves its connections; ``name`` is for the log."""

    name: str
    endpoint: IStreamServerEndpoint
    factory: LineFactory


class Listeners:
    """All listening ports of the text protocol."""

    _log = Logger()

    def __init__(self, reactor: Any, listeners: Sequence[Listener]) -> None:
        self._reactor = reactor
        self._listeners = listeners
        self._ports: list[IListeningPort] = []

    async def start(self) -> None:
        """Listen on every endpoint.

        Raises:
            ListenError: One of them cannot be listened on.
        """
        for listener in self._listeners:
            try:
                port = await listener.endpoint.listen(listener.factory)
            except CannotListenError as error:
                raise ListenError(
                    f"cannot listen on {listener.name}: {error.socketError}"
                ) from error
            except OSError as error:
                raise ListenError(f"cannot listen on {listener.name}: {error}") from error
            self._ports.append(port)
            self._log.info("Listening on {address}", address=_shown(port.getHost()))

    async def stop(self) -> None:
        """Listen no more, say goodbye to everybody and wait until that is read, within a second."""
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        for listener in self._listeners:
            listener.factory.close_all()
        gone = [f.all_gone() for f in {listener.factory for listener in self._listeners}]
        with suppress(TimeoutError):
            await DeferredList(gone).addTimeout(GOODBYE_SECONDS, self._reactor)


def _shown(address: Any) -> str:
    host = getattr(address, "host", None)
    if host is None:
        return f"unix:{getattr(address, 'name', address)}"
    return f"tcp:{host}:{address.port}" if ":" not in host else f"tcp:[{host}]:{address.port}"
