"""The connection to NATS, which outlives the connections to single servers.

nats-py can reconnect by itself, but not always: some errors of the server close it for good, and on
a peer that takes nothing more it waits before it tries another. So a connection is used until it
ends, however it ends, and is then replaced: one way for a server's restart, a moved address, a
frozen peer and an error that closes the client. What was subscribed to is subscribed to again.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from disroom.adapters.aio import TimedOut, within
from disroom.adapters.nats.client import supported
from disroom.adapters.nats.dialer import NatsDialer
from disroom.adapters.nats.errors import LinkError, NotConnected, StoreStartError
from disroom.adapters.nats.link import NatsLink
from disroom.adapters.nats.message import Incoming
from disroom.adapters.nats.settings import NatsSettings
from disroom.adapters.nats.subscription import NatsSubscription
from disroom.rounds import Rounds

START_SECONDS = 10.0
RETRY_SECONDS = 0.25
LOOK_SECONDS = 0.25
RESTORE_SECONDS = 5.0

SUBSCRIBE_AT_ONCE = 250
"""How many of the subscriptions are made anew before others have a turn; they take 60 us each."""


class NatsConnection:
    """The one connection of an instance to NATS.

    Args:
        settings: Where to connect and what to show there; asked before each attempt, for a server
            whose port may change and secrets that do.
        clock: The reactor.
        instance_name: What the servers list this client as.

    Attributes:
        connected: Whether what is published now has a chance to arrive.
        number: How many connections have been made so far, so that another one is told from this.
        max_payload: The most bytes, headers included, that the server takes in one message.
        server_version: The server's, major and minor.
    """

    _log = Logger()

    def __init__(
        self,
        settings: Callable[[], NatsSettings],
        *,
        clock: IReactorTime,
        instance_name: str,
    ) -> None:
        self.connected = False
        self.number = 0
        self.max_payload = 0
        self.server_version = (0, 0)
        self._clock = clock
        self._dialer = NatsDialer(settings, name=instance_name, clock=clock)
        self._subscriptions: dict[NatsSubscription, None] = {}
        self._watchers: list[tuple[Callable[[], None], Callable[[], None]]] = []
        self._waiting: list[Deferred[None]] = []
        self._stopped = False
        self._link: NatsLink | None = None
        self._link_ended: Deferred[None] = Deferred()
        self._keeping: Deferred[None] | None = None
        self._look = Rounds(clock, "Looking after the connection to NATS", self._look_after_link)

    async def start(self) -> None:
        """Connect, within 10 s.

        Raises:
            StoreStartError: No server could be connected to, and why.
        """
        if not supported():
            self._log.warn(
                "This nats-py is not the one known here: messages go its own, longer way"
            )
        deadline = self._clock.seconds() + START_SECONDS
        failure = LinkError("no answer")
        while self._link is None:
            try:
                left = max(0.0, deadline - self._clock.seconds())
                await within(left, self._clock, Deferred.fromCoroutine(self._connect()))
            except LinkError as error:
                failure = error
            except TimedOut:
                pass  # what was wrong before says more
            if self._stopped:
                raise StoreStartError("cannot connect to NATS: stopped meanwhile")
            if self._link is None:
                if failure.permanent or self._clock.seconds() + RETRY_SECONDS > deadline:
                    raise StoreStartError(f"cannot connect to NATS: {failure}") from failure
                await deferLater(self._clock, RETRY_SECONDS)
        self._keeping = Deferred.fromCoroutine(self._keep())
        self._keeping.addErrback(self._keeping_ended)
        self._look.start(LOOK_SECONDS)

    async def stop(self) -> None:
        """Disconnect, within about a second; does not raise, and may be called in any state."""
        self._stopped = True
        self._look.stop()
        if self._keeping is not None:
            self._keeping.cancel()
        link = self._drop_link()
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.errback(NotConnected("the connection to NATS was stopped"))
        if link is not None:
            await link.close()

    def watch(self, *, connected: Callable[[], None], lost: Callable[[], None]) -> None:
        """Say whom to tell each time the connection is lost, and restored: all is subscribed to."""
        self._watchers.append((connected, lost))

    async def wait_connected(self, seconds: float) -> None:
        """Return when there is a connection.

        Raises:
            NotConnected: There was none for so long.
        """
        if self.connected:
            return
        if self._stopped:
            raise NotConnected("the connection to NATS was stopped")
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        try:
            await within(seconds, self._clock, waiting)
        except TimedOut as error:
            raise NotConnected("not connected to NATS") from error
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    def subscribe(
        self, subject: str, receive: Callable[[Incoming], None], queue: str = ""
    ) -> NatsSubscription:
        """Have messages of a subject delivered, on this connection and those that replace it.

        A failure of ``receive`` is logged. Without a connection the subscription is kept for the
        next one; `flush` tells whether there is one and its server knows of the subscription.
        """
        subscription = NatsSubscription(subject, queue, receive, self._forget)
        self._subscriptions[subscription] = None
        if self._link is not None:
            attached = Deferred.fromCoroutine(self._attach(subscription, self._link))
            attached.addErrback(lambda failure: self._log.failure("While subscribing", failure))
        return subscription

    def _forget(self, subscription: NatsSubscription) -> None:
        self._subscriptions.pop(subscription, None)

    async def _attach(self, subscription: NatsSubscription, link: NatsLink) -> None:
        try:
            await subscription.attach(link)
        except NotConnected:
            self._end(link)

    async def publish(
        self,
        subject: str,
        payload: bytes,
        *,
        reply: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Hand a message over to be sent; does not wait.

        Raises:
            NotConnected: There is no connection; the message will not be sent later either.
        """
        if not self.connected or self._link is None:
            raise NotConnected("not connected to NATS")
        await self._link.publish(subject, payload, reply, headers)

    def send(self, subject: str, payload: bytes, *, reply: str, head: bytes) -> None:
        """Publish at once, with a header block ready made; otherwise as `publish`."""
        if not self.connected or self._link is None:
            raise NotConnected("not connected to NATS")
        self._link.send(subject, payload, reply, head)

    async def flush(self, seconds: float) -> None:
        """Return when the server has taken in all that was published and subscribed to.

        Raises:
            NotConnected: There is no connection, or the server did not answer in time.
        """
        if not self.connected or self._link is None:
            raise NotConnected("not connected to NATS")
        await self._link.flush(seconds)

    async def _keep(self) -> None:
        """Replace the connection whenever it has ended, whatever goes wrong meanwhile."""
        while True:
            await self._link_ended
            link = self._drop_link()
            if link is not None:
                try:
                    self._take_leave(link)
                except Exception:
                    self._log.failure("While taking leave of a connection to NATS")
                link.abandon()
            await self._reconnect()

    def _take_leave(self, link: NatsLink) -> None:
        why = f": {link.why_lost}" if link.why_lost else ""
        self._log.warn("The connection to NATS was lost{why}", why=why)
        self._dialer.learn(link.discovered)

    async def _reconnect(self) -> None:
        told = ""
        while True:
            try:
                await self._connect()
                return
            except LinkError as error:
                if str(error) != told:
                    told = str(error)
                    self._log.warn("Cannot connect to NATS, trying on: {why}", why=told)
            except Exception as error:  # of whatever library: nobody else would connect again
                if self._stopped:
                    raise
                if repr(error) != told:
                    told = repr(error)
                    self._log.failure("Cannot connect to NATS, trying on")
            await deferLater(self._clock, RETRY_SECONDS)

    def _keeping_ended(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            self._log.failure("While keeping the connection to NATS", failure)

    async def _connect(self) -> None:
        """Connect to one of the servers and subscribe to all again.

        Raises:
            LinkError: None could be connected to.
        """
        url = await self._dialer.dial(self._end, self._adopt)
        self._log.info("Connected to NATS at {url}", url=url)

    async def _adopt(self, link: NatsLink) -> None:
        self._link = link
        self.number += 1
        self._link_ended = Deferred()
        try:
            for number, subscription in enumerate(tuple(self._subscriptions), 1):
                if subscription in self._subscriptions:
                    await subscription.attach(link)
                if number % SUBSCRIBE_AT_ONCE == 0:
                    await deferLater(self._clock, 0)
            await link.flush(RESTORE_SECONDS)
            self.max_payload = link.max_payload
            self.server_version = link.server_version
        except BaseException:
            self._link = None
            link.abandon()
            raise
        if self._stopped:
            self._drop_link()
            link.abandon()
            return
        self.connected = True
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(None)
        for connected, _ in self._watchers:
            self._tell(connected)

    def _drop_link(self) -> NatsLink | None:
        """Be without a connection from now on, and tell of it; returns the one there was."""
        link, self._link = self._link, None
        if self.connected:
            self.connected = False
            for _, lost in self._watchers:
                self._tell(lost)
        return link

    def _tell(self, what: Callable[[], None]) -> None:
        try:
            what()
        except Exception:
            self._log.failure("While telling of the connection to NATS")

    def _end(self, link: NatsLink) -> None:
        if link is self._link and not self._link_ended.called:
            self._link_ended.callback(None)

    def _look_after_link(self) -> None:
        if self._link is not None and not self._link.alive:
            self._end(self._link)
