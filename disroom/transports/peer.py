"""A program at the other end: one request in, answers and events out, whatever frames them.

How bytes become messages (frames, WebSocket) and which encoding they have is not known here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from disroom.chat.errors import ChatError
from disroom.chat.events import Delayed, Event, StoredAfterAll
from disroom.chat.replies import Restored, Resumable
from disroom.chat.tokens import Seen
from disroom.transports.client import Client
from disroom.transports.dispatch import dispatch, post
from disroom.wire import commands, messages
from disroom.wire.errors import GoingDown, SlowClient
from disroom.wire.messageformat import MessageFormat, delayed, stored, welcomed
from disroom.wire.requests import Request, RequestDecoder

REMEMBERED = 128
"""Of the messages that a client sent last it is known which request sent them."""


class Peer:
    """An `ISpeech` of messages.

    What goes into the client's lane are the bytes of one request each, or a ChatError that makes
    an end of it, since what follows cannot be read.

    Args:
        client: Whom it is spoken to.
        decoder: Of the client's encoding.
        format: Shared by all clients of this encoding and framing.
    """

    def __init__(self, client: Client, decoder: RequestDecoder, format: MessageFormat) -> None:
        self._client = client
        self._decoder = decoder
        self._format = format
        self._requests: dict[str, int] = {}

    async def obey(self, item: bytes | ChatError) -> None:
        """Carry out one request and answer it; see `ISpeech`."""
        try:
            if isinstance(item, ChatError):
                raise item
            request = self._decoder.decode(item)
        except ChatError as error:
            await self._client.close_for(error)
            return
        try:
            await self._carry_out(request)
        except ChatError as error:
            self._refuse(request, error.code, error.message)
        except Exception:
            self._refuse(request, "internal", "this server made a mistake; try something else")
            raise

    async def _carry_out(self, request: Request) -> None:
        if isinstance(request.asked, ChatError):
            raise request.asked
        assert request.id is not None
        if isinstance(request.asked, commands.Post):
            await self._post(request.id, request.asked, request.key)
        elif own := _OWN.get(type(request.asked)):
            await own(self, request.id, request.asked)
        else:
            answer = await dispatch(self._client.session, request.asked)
            self._client.write(self._format.answer(request.id, answer))

    async def _post(self, id_: int, command: commands.Post, key: str) -> None:
        """Queue a message; the request is answered when it is stored, or is not."""
        room = command.room
        assert room is not None

        def receipt(outcome: int | ChatError) -> None:
            if isinstance(outcome, ChatError):
                self._client.write(self._format.error(id_, outcome))
            else:
                self._answer(messages.Posted(id_, room.display, outcome))

        message = await post(self._client.session, command, key, receipt)
        self._requests.pop(message, None)
        self._requests[message] = id_
        if len(self._requests) > REMEMBERED:
            del self._requests[next(iter(self._requests))]

    async def _hello(self, id_: int, command: commands.Hello) -> None:
        """Begin anew, or take up a session; what was missed follows the answer."""
        client = self._client
        reception = client.reception

        def answer(reply: Resumable | Restored) -> bytes:
            return self._format.encode(
                welcomed(
                    id_,
                    reply,
                    session=client.session.id,
                    log=reception.hub.log.identity,
                    instance=reception.instance,
                    nick=client.session.nick,
                )
            )

        if command.token is not None:
            await client.resume(command.token, Seen(command.log or "", command.seqs), answer)
            return
        if command.nick is not None:
            await client.session.name(command.nick)
        client.write(answer(await client.session.arm()))

    async def _ping(self, id_: int, _: commands.Ping) -> None:
        self._answer(messages.Ok(id_))

    async def _motd(self, id_: int, _: commands.ShowMotd) -> None:
        self._answer(messages.Motd(id_, self._client.settings.motd))

    async def _exit(self, id_: int, _: commands.Exit) -> None:
        await self._client.exit(self._format.encode(messages.Ok(id_)))

    def _answer(self, answer: messages.Ok) -> None:
        self._client.write(self._format.encode(answer))

    def _refuse(self, request: Request, code: str, message: str) -> None:
        self._client.write(self._format.encode(messages.Error(code, message, request.id)))

    # What the client is told.

    def event(self, event: Event) -> bytes:
        """Encode an event, once for all, or with the request that it is about."""
        if isinstance(event, Delayed):
            return self._format.encode(delayed(event, self._requests.get(event.id)))
        if isinstance(event, StoredAfterAll):
            return self._format.encode(stored(event, self._requests.get(event.message.id)))
        return self._format.event(event)

    def error(self, error: ChatError) -> bytes:
        """Encode the last message; see `ISpeech`."""
        return self.farewell(error)

    def farewell(self, error: ChatError | None) -> bytes:
        """Encode the last message; see `ISpeech`."""
        if isinstance(error, GoingDown | SlowClient):
            return self._format.encode(messages.Reconnect(error.code, error.message))
        if error is None:
            return self._format.encode(messages.Goodbye())
        return self._format.encode(messages.Goodbye(error.code, error.message))


_OWN: dict[type[Any], Callable[[Peer, int, Any], Awaitable[None]]] = {
    commands.Hello: Peer._hello,
    commands.Ping: Peer._ping,
    commands.ShowMotd: Peer._motd,
    commands.Exit: Peer._exit,
}
"""The requests that concern the connection."""
