"""Private messages within one process."""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from disroom.chat.errors import NotDelivered
from disroom.chat.events import PrivateMessage
from disroom.chat.interfaces import ICourier


class MemoryPost:
    """What couriers in memory share: who serves which incarnation.

    Attributes:
        silent: Incarnations that do not answer.
    """

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.serving: dict[str, Callable[[PrivateMessage], bool]] = {}


@implementer(ICourier)
class MemoryCourier:
    """Carries private messages between the hubs of one process."""

    def __init__(self, post: MemoryPost, incarnation: str) -> None:
        self._post = post
        self._incarnation = incarnation

    def serve(self, receive: Callable[[PrivateMessage], bool]) -> None:
        """Say who takes messages; see `ICourier`."""
        self._post.serving[self._incarnation] = receive

    async def send(self, instance: str, message: PrivateMessage) -> bool:
        """Hand a message over; see `ICourier`."""
        if instance in self._post.silent:
            raise NotDelivered(message.recipient.display)
        receive = self._post.serving.get(instance)
        return receive is not None and receive(message)
