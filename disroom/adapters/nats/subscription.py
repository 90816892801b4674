"""A subscription that outlives the connections that it is made on."""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.subscription import Subscription

from disroom.adapters.nats.link import NatsLink
from disroom.adapters.nats.message import Incoming


class NatsSubscription:
    """Interest in a subject, over any number of connections.

    Args:
        subject: What to hear; wildcards are NATS's.
        queue: The queue group, empty for none.
        receive: Takes each message.
        forget: Called with this when it is cancelled.
    """

    def __init__(
        self,
        subject: str,
        queue: str,
        receive: Callable[[Incoming], None],
        forget: Callable[[NatsSubscription], object],
    ) -> None:
        self.subject = subject
        self._queue = queue
        self._receive: Callable[[Incoming], None] | None = receive
        self._forget = forget
        self._attached: tuple[NatsLink, Subscription] | None = None

    def cancel(self) -> None:
        """Receive nothing more from now on; idempotent."""
        self._receive = None
        self._forget(self)
        if self._attached is not None:
            link, subscription = self._attached
            self._attached = None
            link.unsubscribe(subscription)

    async def attach(self, link: NatsLink) -> None:
        """Subscribe on a new connection.

        Raises:
            NotConnected: It was lost already.
        """
        if self._receive is not None:
            subscription = await link.subscribe(self.subject, self._queue, self._receive)
            self._attached = (link, subscription)
