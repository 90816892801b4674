"""For whoever runs the instance: is it alive, and can it serve?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from disroom.transports.listeners import Listener, listen, parse_endpoint, shown

Health = Callable[[], Mapping[str, bool]]


class _Page(Resource):
    """A page of plain text."""

    isLeaf = True

    def __init__(self, render: Callable[[], tuple[int, str]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._render = render

    def render_GET(self, request: Request) -> bytes:
        """Answer with the page's status and text."""
        status, text = self._render()
        request.setResponseCode(status)
        request.setHeader(b"content-type", b"text/plain; charset=utf-8")
        return f"{text}\n".encode()


class _QuietSite(Site):
    """A site that does not log every request: health checks come every few seconds."""

    noisy = False
    displayTracebacks = False

    def log(self, request: Any) -> None:
        """Log nothing."""


class Admin:
    """``/livez`` answers 200 while the reactor turns; ``/readyz`` 200 while all it needs is there.

    Args:
        reactor: Listens.
        endpoint: A Twisted server endpoint string.
        health: What is needed, and whether it is there.

    Raises:
        ListenError: The endpoint string is none.
    """

    _log = Logger()

    def __init__(self, reactor: Any, endpoint: str, health: Health) -> None:
        self._name = endpoint
        self._endpoint = parse_endpoint(reactor, endpoint)
        self._health = health
        self._port: IListeningPort | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            ListenError: The address cannot be listened on.
        """
        root = Resource()
        root.putChild(b"livez", _Page(lambda: (200, "ok")))
        root.putChild(b"readyz", _Page(self._readiness))
        site = _QuietSite(root)  # type: ignore[no-untyped-call]  # Twisted's is untyped
        self._port = await listen(Listener(self._name, self._endpoint, site))
        self._log.info("Admin on {address}", address=shown(self._port.getHost()))

    async def stop(self) -> None:
        """Listen no more."""
        if self._port:
            await maybeDeferred(self._port.stopListening)

    def _readiness(self) -> tuple[int, str]:
        health = self._health()
        lines = [f"{name}: {'ok' if there else 'not reachable'}" for name, there in health.items()]
        return (200 if all(health.values()) else 503), "\n".join(lines)
