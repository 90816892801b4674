"""One connected client, whatever it speaks: its place, its session, its queues and its end.

A transport owns the connection and cuts what arrives into requests; how the client is spoken to is
its `ISpeech`. Everything else that is to be said of a client is here, once for all transports.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from disroom.chat.errors import ChatError, NamedAlready, ResumedElsewhere
from disroom.chat.events import Event
from disroom.chat.interfaces import IMember
from disroom.chat.replies import Restored
from disroom.chat.tokens import Seen
from disroom.countdown import Countdown
from disroom.transports.intake import Intake
from disroom.transports.lane import Lane, Pace
from disroom.transports.outbox import Outbox
from disroom.transports.patience import Patience
from disroom.transports.reception import ClientSettings, Reception
from disroom.transports.sockets import host_of, tune, unsent
from disroom.transports.stall import Stall
from disroom.wire.errors import ServerFull, SlowClient, TelnetFlood, TooManyConnections

LINGER_SECONDS = 5.0
"""How long a closed connection may take to read what it was sent."""

LINGER_BYTES = 65536
"""For as many that still wait in the queue it is given a second more."""

_INPUT_ENDED = object()
"""In the lane: the client will send nothing more."""


class ISpeech(Protocol):
    """How one client is spoken to, and what it asks."""

    @property
    def event(self) -> Callable[[Event], bytes]:
        """Writes an event; nothing where the client is not told."""

    def error(self, error: ChatError) -> bytes:
        """Write why the connection is closed at once."""

    def farewell(self, error: ChatError | None) -> bytes:
        """Write the last that is sent, with the reason if there is one."""

    async def obey(self, item: Any) -> None:
        """Carry out one thing that the client asked; what it did wrong is answered here."""


@implementer(IMember)
class Client:
    """A connection that has been made, and the session behind it.

    Args:
        reception: Of the instance.
        settings: Of the listener.
        transport: The connection.
        speech: How the client is spoken to at first, or what makes that, given the client.
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
    """

    __slots__ = (
        "_abort",
        "_end_is_put",
        "_event",
        "_flood",
        "_host",
        "_lane",
        "_located",
        "_lost",
        "_patience",
        "_speech",
        "_stall",
        "_take",
        "_transport",
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
        speech: ISpeech | Callable[[Client], ISpeech],
        take: Callable[[bool], None],
        *,
        host: Callable[[], str | None] | None = None,
        flood: type[ChatError] = TelnetFlood,
    ) -> None:
        tune(transport)
        reactor = reception.reactor
        self.settings = settings
        self.closing = False
        self.input_ended = False
        self.gathering = reception.hub.gathering
        self.reception = reception
        self._transport = transport
        self._host = host
        self._flood = flood
        self._stall: Stall | None = None
        self.outbox = Outbox(
            transport,
            reception.flusher,
            settings.queue_bytes,
            self._overflowed,
            self._filled,
        )
        self.intake = Intake(reactor, self._read, self._flooded)
        pace = Pace(reactor, *settings.flood) if settings.flood else None
        self._lane: Lane[Any] = Lane(reactor, self._obey, self._crowded, pace, self.outbox.room)
        self._end_is_put = False
        self._lost = False
        self._located = False
        self._patience: Patience | None = None
        self._abort: Countdown | None = None
        self.speak(speech(self) if callable(speech) else speech, take)

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
            self._turn_away(error)
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
            host = self._host() if self._host else host_of(self._transport)
            self.reception.connections.locate(self, host)
        except TooManyConnections as error:
            self.close(error)

    def _turn_away(self, error: ServerFull) -> None:
        """Say that the server is full, and close.

        At once where it can be: by the next turn of the reactor a burst may have brought more than
        there are descriptors left for, and Twisted closes what it has none for without a word.
        """
        last = self._speech.error(error)
        if isinstance(self._transport, Connection) and not self._transport.TLS:
            self.closing = True
            self.write(last)
            self.outbox.flush()
            self._transport.connectionLost(Failure(ConnectionDone()))
        else:
            self.hang_up(last)

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
            self.intake.stop()
            self._read(False)
            self.put(item, last=True)

    def _read(self, on: bool) -> None:
        if on:
            self._transport.resumeProducing()
        else:
            self._transport.pauseProducing()

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
            return self._go_when_all_is_stored()
        self.session.heard()
        return self._speech.obey(item)

    async def _go_when_all_is_stored(self) -> None:
        await self.session.input_ended(by=self)
        self._leave()

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

    # Going.

    async def exit(self, last: bytes = b"") -> None:
        """End the session once all that was sent is stored, and close."""
        await self.session.exit(by=self)
        self._leave(last)

    def _leave(self, last: bytes = b"") -> None:
        if not self.closing:
            self.hang_up(last + self._speech.farewell(None))

    def write(self, data: bytes) -> None:
        """Send whole lines or frames."""
        self.outbox.write(data)

    def deliver(self, event: Event) -> None:
        """Send an event."""
        encode = self._event  # self._event(event) takes longer: it is looked for as a method
        data = encode(event)
        if data:
            self.outbox.write(data)

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

    # Methods, where a closure for each client would take twice the memory.

    def _is_named(self) -> bool:
        return self.session.nick is not None

    def _crowded(self, crowded: bool) -> None:
        self._take(not crowded)

    def _flooded(self) -> None:
        self.close(self._flood())

    def _filled(self, full: bool) -> None:
        """The transport is full, or has room again; most never are."""
        if self._stall is None:
            transport = self._transport
            self._stall = Stall(
                self.reception.reactor,
                seconds=self.settings.unread,
                unsent=lambda: unsent(transport),
                give_up=self.outbox.give_up,
            )
        self._stall.filled(full)

    def _overflowed(self) -> None:
        """The client does not read: tell it why, in case it ever does, and close."""
        self._log.warn("Closing {peer}: it does not read", peer=self._transport.getPeer())
        self.session.disconnected(self, "not reading")
        self._transport.write(self._speech.error(SlowClient()))
        self.hang_up()

    def hang_up(self, last: bytes = b"") -> None:
        """Send the last bytes and close; what is not read in a while is dropped."""
        self.closing = True
        self.intake.stop()
        if self._stall:
            self._stall.stop()
        if self._patience:
            self._patience.stop()
        self._lane.clear()
        if self._lost:
            return
        self.write(last)
        linger = LINGER_SECONDS + self.outbox.waiting / LINGER_BYTES
        self.outbox.close()
        self._transport.loseConnection()
        self._abort = Countdown(linger, self.reception.reactor, self._transport.abortConnection)

    def lose(self) -> None:
        """The connection is gone: end the session, unless requests of its last are in the lane."""
        if self._patience:
            self._patience.stop()
        if self._abort:
            self._abort.cancel()
        self.intake.stop()
        if self._stall:
            self._stall.stop()
        self.reception.connections.forget(self)
        self.outbox.stopProducing()
        self._lost = True
        if not self.closing and not (self.input_ended and not self._lane.idle):
            self.closing = True
            self._lane.clear()
            self.session.disconnected(self)
