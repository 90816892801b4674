"""One connected client, whatever it speaks: its place, its session, its requests and its end.

A transport cuts what arrives into requests; how the client is spoken to is its `ISpeech`; its bytes
are its `ClientConnection`'s. Everything else that is to be said of a client is here, once for all
transports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.logger import Logger
from zope.interface import implementer

from disroom.chat.errors import ChatError, NamedAlready, ResumedElsewhere
from disroom.chat.events import Event
from disroom.chat.interfaces import IMember
from disroom.chat.replies import Restored
from disroom.chat.tokens import Seen
from disroom.transports.connection import ClientConnection
from disroom.transports.lane import Lane, Pace
from disroom.transports.patience import Patience
from disroom.transports.reception import ClientSettings, Reception
from disroom.transports.speech import ISpeech
from disroom.wire.errors import ServerFull, SlowClient, TelnetFlood, TooManyConnections

_INPUT_ENDED = object()
"""In the lane: the client will send nothing more."""


@implementer(IMember)
class Client:
    """A connection that has been made, and the session behind it.

    Args:
        reception: Of the instance.
        settings: Of the listener.
        transport: The connection.
        speech: Makes how the client is spoken to at first.
        take: Told False to put nothing more, since too much waits, and True to go on. What arrives
            meanwhile is kept, and its size told to the intake, which in time reads no further.
        host: Tells the client's address where the transport does not: an HTTP proxy's does.
        flood: What a flood of what asks for nothing is closed for.

    Attributes:
        session: Only once `arrive` has returned True.
        gathering: To be open while what was read is put.
        closing: Whether the connection is being closed, or is gone: nothing more is read of it, and
            nothing more carried out.
        input_ended: Whether the client has half-closed.
        outbox: The connection's.
        intake: The connection's.
    """

    __slots__ = (
        "_connection",
        "_end_is_put",
        "_event",
        "_flood",
        "_host",
        "_lane",
        "_located",
        "_patience",
        "_speech",
        "_take",
        "closing",
        "gathering",
        "input_ended",
        "intake",
        "outbox",
        "reception",
        "session",
        "settings",
    )

    _log = Logger()

    def __init__(
        self,
        reception: Reception,
        settings: ClientSettings,
        transport: Any,
        speech: Callable[[Client], ISpeech],
        take: Callable[[bool], None],
        *,
        host: Callable[[], str | None] | None = None,
        flood: type[ChatError] = TelnetFlood,
    ) -> None:
        self.settings = settings
        self.closing = False
        self.input_ended = False
        self.gathering = reception.hub.gathering
        self.reception = reception
        self._host = host
        self._flood = flood
        reactor = reception.reactor
        self._connection = ClientConnection(
            transport,
            reactor=reactor,
            flusher=reception.flusher,
            queue_bytes=settings.queue_bytes,
            unread=settings.unread,
            not_reading=self._not_reading,
            flooded=self._flooded,
        )
        self.outbox = self._connection.outbox
        self.intake = self._connection.intake
        pace = Pace(reactor, *settings.flood) if settings.flood else None
        self._lane: Lane[Any] = Lane(reactor, self._obey, self._crowded, pace, self.outbox.room)
        self._end_is_put = False
        self._located = False
        self._patience: Patience | None = None
        self.speak(speech(self), take)

    def speak(self, speech: ISpeech, take: Callable[[bool], None]) -> None:
        """Speak to the client like this from now on."""
        self._speech = speech
        self._event = speech.event
        self._take = take

    # Coming.

    def arrive(self) -> bool:
        """Take the client in and open its session, or turn it away: whether it may be greeted."""
        try:
            self.reception.connections.admit(self)
        except ServerFull as error:
            self.closing = True
            self._connection.turn_away(self._speech.error(error))
            return False
        self.session = self.reception.hub.connect(self)
        if not self.settings.proxied:
            self._locate()
        if self.closing:
            return False
        self._patience = Patience(
            self.reception.reactor,
            unnamed=self.settings.unnamed,
            idle=self.settings.idle,
            named=self._is_named,
            give_up=self.close,
        )
        return True

    def may_speak(self) -> bool:
        """Whether what has arrived is to be read; to be asked before it is looked at."""
        if not self.closing and not self._located:
            self._locate()
        return not self.closing

    def _locate(self) -> None:
        """Count the connection for its address, or close it; a proxy tells the address first."""
        self._located = True
        try:
            host = self._host() if self._host else self._connection.host
            self.reception.connections.locate(self, host)
        except TooManyConnections as error:
            self.close(error)

    # What the client asks.

    def heard(self) -> None:
        """Take note that the client has sent something whole."""
        if self._patience:
            self._patience.heard()

    def put(self, item: Any, *, last: bool = False) -> None:
        """Have something carried out after all before it; ``last`` where the client then goes."""
        if not self.closing:
            self._lane.put(item, last=last)

    def end_input(self, *, complete: bool = True) -> None:
        """Carry out what was asked, then close: nc -N and pipes end their input like this.

        Args:
            complete: All that was sent is in the lane; otherwise this is to be called again.
        """
        self.intake.stop()
        self.input_ended = True
        if complete and not self._end_is_put:
            self._end_is_put = True
            self.put(_INPUT_ENDED, last=True)

    def end_with(self, item: Any) -> None:
        """Read nothing more, and have this carried out after all that was asked before it.

        Args:
            item: Why nothing more can be read. It is put once, and no end of the input after it.
        """
        if not self.closing and not self._end_is_put:
            self._end_is_put = True
            self._connection.read_no_more()
            self.put(item, last=True)

    def _obey(self, item: Any) -> Awaitable[None]:
        """Carry out an item; no coroutine, since every message passes here."""
        if self.reception.hub.presence.lapsed:
            return self._obey_when_sure(item)
        return self._carry_out(item)

    async def _obey_when_sure(self, item: Any) -> None:
        await self.reception.hub.presence.confirm()  # who lost their nick is closed then
        await self._carry_out(item)

    def _carry_out(self, item: Any) -> Awaitable[None]:
        if item is _INPUT_ENDED:  # no request: the answer to the last may never have arrived
            return self._go(self.session.input_ended(by=self))
        self.session.heard()
        return self._speech.obey(item)

    async def resume(self, token: str, seen: Seen, answer: Callable[[Restored], bytes]) -> None:
        """Speak for another session from now on, and end the one that has done nothing yet.

        Args:
            token: Of the other session.
            seen: What the client has of its rooms.
            answer: Writes the answer, which what was missed follows.

        Raises:
            NamedAlready: This one has a nick.
            ChatError: As `Hub.resume` says.
        """
        if self.session.nick is not None:
            raise NamedAlready(self.session.nick.display)
        try:
            session, restored = await self.reception.hub.resume(self, token, seen)
        except ResumedElsewhere as error:
            self.close(error)
            return
        self.session.close("", by=self)
        self.session = session
        if self.closing:
            session.disconnected(self)
            return
        self.write(answer(restored))
        session.catch_up()

    # What the client is told.

    def write(self, data: bytes) -> None:
        """Send whole lines or frames."""
        self.outbox.write(data)

    def deliver(self, event: Event) -> None:
        """Send an event."""
        encode = self._event  # self._event(event) takes longer: it is looked for as a method
        data = encode(event)
        if data:
            self.outbox.write(data)

    # Going.

    async def exit(self, last: bytes = b"") -> None:
        """End the session once all that was sent is stored, and close."""
        await self._go(self.session.exit(by=self), last)

    async def _go(self, ending: Awaitable[None], last: bytes = b"") -> None:
        """Close once the session has ended, or at once if that goes wrong."""
        try:
            await ending
        except Exception:
            self.close(None)
            raise
        self._leave(last)

    def _leave(self, last: bytes = b"") -> None:
        if not self.closing:
            self.hang_up(last + self._speech.farewell(None))

    def close(self, error: ChatError | None) -> None:
        """Say goodbye, with the reason if there is one, and close."""
        if self.closing:
            return
        self.session.close(error.code.replace("-", " ") if error else "", by=self)
        self.hang_up(self._speech.farewell(error))

    async def close_for(self, fault: ChatError) -> None:
        """Say goodbye and close, once all that was sent before the fault is stored."""
        await self.session.sent()
        self.close(fault)

    async def drop(self, last: bytes = b"") -> None:
        """Send the last bytes and close, once all that was sent is stored.

        The session is left as by a connection that was lost.
        """
        await self.session.sent()
        if not self.closing:
            self.session.disconnected(self)
            self.hang_up(last)

    def hang_up(self, last: bytes = b"") -> None:
        """Send the last bytes and close; what is not read in a while is dropped."""
        self._stop()
        self._connection.hang_up(last)

    def lose(self) -> None:
        """The connection is gone: end the session, unless requests of its last are in the lane."""
        if self._patience:
            self._patience.stop()
        self._connection.lose()
        self.reception.connections.forget(self)
        if not self.closing and not (self.input_ended and not self._lane.idle):
            self._stop()
            self.session.disconnected(self)

    def _stop(self) -> None:
        """Carry out nothing more, and wait for nothing."""
        self.closing = True
        if self._patience:
            self._patience.stop()
        self._lane.clear()

    # Methods, where a closure for each client would take twice the memory.

    def _is_named(self) -> bool:
        return self.session.nick is not None

    def _crowded(self, crowded: bool) -> None:
        self._take(not crowded)

    def _flooded(self) -> None:
        self.close(self._flood())

    def _not_reading(self) -> None:
        """Tell the client why, in case it ever reads, and close."""
        self._log.warn("Closing {peer}: it does not read", peer=self._connection.peer)
        self.session.disconnected(self, "not reading")
        self._stop()
        self._connection.cut_off(self._speech.error(SlowClient()))
