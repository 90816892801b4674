"""Private messages: from one session to another, on whichever instance that is.

They are not stored. Whoever sends one is answered once the recipient's client has been given it, or
that it may not have been; see `ICourier` for the way between instances.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from disroom.chat.errors import NoSuchNick, NotDelivered
from disroom.chat.events import PrivateMessage, PrivateReceived, PrivateSent
from disroom.chat.interfaces import ICourier, IPresence, IRuntime
from disroom.chat.names import Nick


class Recipient(Protocol):
    """A session of this instance."""

    def receive_private(self, event: PrivateReceived) -> bool:
        """Take a message; False if there is nobody to show it to."""


class PrivateMessages:
    """Sends those of one instance's sessions, and takes in those for them.

    Args:
        presence: Knows who has a nick, and where.
        courier: Takes messages to other instances, and gives those that come from there.
        runtime: Makes ids.
        recipients: The sessions of this instance, by id, as they are at any time.
    """

    def __init__(
        self,
        presence: IPresence,
        courier: ICourier,
        runtime: IRuntime,
        recipients: Mapping[str, Recipient],
    ) -> None:
        self._presence = presence
        self._courier = courier
        self._runtime = runtime
        self._recipients = recipients
        courier.serve(self._receive)

    async def send(self, sender: Nick, nick: Nick, text: str) -> PrivateSent:
        """Send a text, which may be shown as it is, to whoever has a nick.

        Raises:
            NoSuchNick: Nobody has it.
            NotDelivered: The recipient's instance did not answer, or the recipient has lost its
                connection and may come back.
            PresenceUnavailable: Who has it cannot be asked for just now.
        """
        where = await self._presence.locate(nick)
        if where is None:
            raise NoSuchNick(nick.display)
        message = PrivateMessage(
            self._runtime.fresh_id(),
            where.at,
            sender,
            where.session,
            where.nick,
            text,
            where.away,
        )
        if where.session in self._recipients:
            arrived = self._receive(message)
        else:
            at = where.instance  # empty while none holds the session
            arrived = bool(at) and await self._courier.send(at, message)
        if not arrived:
            raise NotDelivered(nick.display)
        return PrivateSent(message)

    def _receive(self, message: PrivateMessage) -> bool:
        recipient = self._recipients.get(message.session)
        return recipient is not None and recipient.receive_private(PrivateReceived(message))
