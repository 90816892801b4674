"""One connection of nats-py, from its making to its end.

nats-py's own reconnecting is turned off (`NatsConnection` says why), and with it the store of
publishes that it would send whenever it is back.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from disroom.adapters.aio import TimedOut, deferred, prompt, within
from disroom.adapters.nats.client import DirectClient
from disroom.adapters.nats.credentials import Credentials
from disroom.adapters.nats.errors import LinkError, NotConnected, explained, redacted
from disroom.adapters.nats.message import Incoming, parse_headers
from disroom.adapters.nats.settings import NatsSettings

CONNECT_SECONDS = 2
ATTEMPT_SECONDS = 5.0
CLOSE_SECONDS = 1.0

PING_SECONDS = 2
"""With one unanswered ping allowed, a dead peer is noticed after 4 s at most."""


class _NoTlsOffered(Exception):
    """TLS is demanded and the server goes on without."""


class NatsLink:
    """A connection to one server.

    Args:
        settings: How to connect.
        tls: From the settings.
        credentials: What to show the server.
        name: What the server lists this client as.
        clock: The reactor.
        ended: Called with this link when the connection has ended, maybe more than once. Not every
            end is told: look at `alive` from time to time as well.
    """

    _log = Logger()

    def __init__(
        self,
        settings: NatsSettings,
        tls: ssl.SSLContext,
        credentials: Credentials,
        *,
        name: str,
        clock: IReactorTime,
        ended: Callable[[NatsLink], None],
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._credentials = credentials
        self._name = name
        self._clock = clock
        self._ended = ended
        self._client = DirectClient()
        self._subscriptions: set[Subscription] = set()
        self._demands_tls = settings.ca_file is not None
        self._error: Exception | None = None
        self._told: set[str] = set()

    @property
    def alive(self) -> bool:
        """Whether the connection is made and, as far as is known, not lost."""
        return self._client.is_connected

    @property
    def max_payload(self) -> int:
        """The most bytes, headers included, that the server takes in one message."""
        return self._client.max_payload

    @property
    def server_version(self) -> tuple[int, int]:
        """The server's version, major and minor; zeros if it cannot be told."""
        version = self._client.connected_server_version
        try:
            return version.major, version.minor
        except ValueError:
            return 0, 0

    @property
    def why_lost(self) -> str:
        """What the server gave as the reason, empty if nothing."""
        return str(self._client.last_error or "").removeprefix("nats: ")

    @property
    def discovered(self) -> list[str]:
        """The URLs of other servers of the cluster, as this one knows them."""
        return [url.geturl() for url in self._client.discovered_servers]

    async def open(self, url: str, tls_hostname: str | None = None) -> None:
        """Connect to a server.

        Args:
            url: Of the server.
            tls_hostname: Whom its certificate must name, where that is not the URL's host.

        Raises:
            LinkError: Why not.
        """
        self._demands_tls = self._demands_tls or url.startswith("tls://")
        try:
            await within(ATTEMPT_SECONDS, self._clock, deferred(self._connect(url, tls_hostname)))
            self._check_tls()
            if not self.alive:  # which nats-py does not raise where the server said nothing
                raise ConnectionResetError(errno.ECONNRESET, "")
        except CancelledError:
            self.abandon()
            raise
        except TimedOut as error:
            self.abandon()
            raise LinkError(f"{redacted(url)}: {error}") from error
        except Exception as error:  # besides its own nats-py lets those of ssl pass
            self.abandon()
            raise self._explained(url, self._error or error) from error

    def _explained(self, url: str, error: Exception) -> LinkError:
        # The server may have hung up before its reason for it, a TLS alert, could be read.
        cut_off = isinstance(error, OSError) and not isinstance(
            error, TimeoutError | ssl.SSLCertVerificationError
        )
        if not cut_off or not self._client.server_says("tls_verify"):
            return explained(url, error, self._credentials.refusal)
        shown = self._settings.cert_file
        text = f"did not take {shown}" if shown else "wants a certificate: give cert and key"
        return LinkError(f"{redacted(url)}: TLS: the server {text}", permanent=shown is None)

    async def _connect(self, url: str, tls_hostname: str | None) -> None:
        await self._client.connect(
            [redacted(url)],
            name=self._name,
            **self._credentials.options(sending=self._check_tls),
            tls=self._tls,
            tls_hostname=tls_hostname,
            allow_reconnect=False,
            max_reconnect_attempts=1,  # the least that ends the attempts at this one server
            reconnect_time_wait=0,
            connect_timeout=CONNECT_SECONDS,
            ping_interval=PING_SECONDS,
            max_outstanding_pings=1,
            pending_size=0,  # no publish waits for the socket, or is kept for a later connection
            flusher_queue_size=0,  # unbounded: nor do many subscriptions at once wait
            error_cb=self._failed,
            disconnected_cb=self._disconnected,
            closed_cb=self._disconnected,
        )

    def _check_tls(self) -> None:
        # To nats-py a tls:// URL is leave to use TLS; whether it does is the server's choice, and
        # what the server chose is to be had nowhere else.
        if self._demands_tls and not self._client.server_says("tls_required"):
            raise _NoTlsOffered("TLS: the server does not offer it")

    async def _failed(self, error: Exception) -> None:
        self._error = error
        # What happens to a connection that is made is the operator's to know, once: a violation of
        # permissions comes back with each message.
        text = str(error) or repr(error)
        if self.alive and text not in self._told:
            self._told.add(text)
            self._log.warn("{error}", error=text)

    async def _disconnected(self) -> None:
        try:
            self._ended(self)
        except Exception:
            self._log.failure("While telling of a lost connection to NATS")

    async def publish(
        self, subject: str, payload: bytes, reply: str, headers: dict[str, str] | None
    ) -> None:
        """Hand a message over to be sent; does not wait.

        Raises:
            NotConnected: The connection was lost just now.
        """
        try:
            await prompt(self._client.publish(subject, payload, reply, headers))
        except (Error, OSError) as error:
            raise NotConnected(str(error)) from error

    def send(self, subject: str, payload: bytes, reply: str, head: bytes) -> None:
        """Hand a message over to be sent with others; its header block is ready made.

        Raises:
            NotConnected: The connection was lost just now.
        """
        if not self.alive:
            raise NotConnected("the connection to NATS was lost")
        if self._client.direct:
            self._client.send(subject, payload, reply, head)
        else:
            headers = parse_headers(head)
            sent = Deferred.fromCoroutine(self.publish(subject, payload, reply, headers))
            sent.addErrback(lambda failure: failure.trap(NotConnected) and None)

    async def subscribe(
        self, subject: str, queue: str, receive: Callable[[Incoming], None]
    ) -> Subscription:
        """Have messages of a subject delivered; a failure of ``receive`` is logged.

        Raises:
            NotConnected: The connection was lost just now.
        """

        def guarded(message: Incoming) -> None:
            try:
                receive(message)
            except Exception:
                self._log.failure("While taking a message of {subject}", subject=subject)

        async def received(message: Msg) -> None:
            if subscription in self._subscriptions:  # what was queued before the end still comes
                guarded(Incoming.of(message))

        try:
            subscription = await prompt(self._client.subscribe(subject, queue, received))
        except (Error, OSError) as error:
            raise NotConnected(str(error)) from error
        self._client.call_directly(subscription, guarded)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Have no more delivered; harmless when the connection has ended."""
        self._subscriptions.discard(subscription)
        self._client.call_no_more(subscription)
        ended = prompt(subscription.unsubscribe())
        ended.addErrback(lambda failure: failure.trap(Error, OSError) and None)
        _logged(ended, self._log, "unsubscribing")

    async def flush(self, seconds: float) -> None:
        """Return when the server has taken in all that was sent.

        Raises:
            NotConnected: The connection was lost, or the server did not answer in time.
        """
        try:
            self._client.write_now()
            await within(seconds, self._clock, deferred(self._client.flush()))
        except (TimedOut, Error, OSError) as error:
            raise NotConnected(str(error)) from error

    def abandon(self) -> None:
        """End it on the side."""
        _logged(Deferred.fromCoroutine(self.close()), self._log, "closing a connection to NATS")

    async def close(self) -> None:
        """End it, within a second, whatever state it is in; does not raise."""
        try:
            await within(CLOSE_SECONDS, self._clock, deferred(self._client.close()))
        except Exception as error:
            self._log.debug("closing a connection to NATS: {error!r}", error=error)
        self._client.abort(self._subscriptions)
        self._subscriptions.clear()


def _logged(result: Deferred[object], log: Logger, what: str) -> None:
    result.addErrback(lambda failure: log.failure("While {what}", failure, what=what))
