"""JetStream's API, as far as it is used, over plain requests.

Shapes and headers as in NATS ADR-31 (direct get) and the JSON that nats-server answers.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from disroom.adapters.aio import TimedOut, within
from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import NatsError, NoAnswer, NobodyListens, NotConnected
from disroom.adapters.nats.inbox import REQUEST_SECONDS, STATUS, Inbox
from disroom.adapters.nats.message import Incoming

MESSAGE_ID = "Nats-Msg-Id"

NO_MESSAGE_FOUND = 10037
STREAM_NOT_FOUND = 10059
NO_LEADER_NOW = 10008

MOST_SUBJECTS = 1000
"""In one `multi_last`: JetStream answers for 1,024 at most."""

_LIVE = re.compile(
    rb"NATS/1\.0\r\nNats-Msg-Id: ([!-~]+)\r\nNats-Stream: [!-~]+\r\nNats-Subject: ([!-~]+)\r\n"
    rb"Nats-Sequence: (\d+)\r\nNats-Time-Stamp: ([\d-]{10}T[\d:]{8})\.(\d{1,6})\d*Z\r\n"
    rb"Nats-Last-Sequence: (\d+)\r\n\r\n"
)
"""The header block of a live copy, as nats-server makes it of what `publisher` publishes."""


class Refused(NatsError):
    """JetStream answered with an error.

    Attributes:
        status: HTTP's meaning: 4xx is the request's fault, 5xx the server's.
        code: The error's own number (err_code).
    """

    def __init__(self, status: int, code: int, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.code = code

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> Refused:
        """Read the error of an answer."""
        return cls(
            error.get("code", 500), error.get("err_code", 0), error.get("description", "refused")
        )


class Stored(msgspec.Struct, frozen=True, gc=False):
    """A message as the stream holds it.

    Attributes:
        seq: Its place in the stream.
        previous: Live: the seq before it on its subject, as it was then; 0 for none. In a batch:
            the seq before it in the batch.
        at: The stream's own time, Unix seconds.
        id: The id it was published with, empty if none.
        pending: In a batch: how many messages of its subject come after it.
    """

    subject: str
    seq: int
    previous: int
    at: float
    id: str
    data: bytes
    pending: int = 0

    @classmethod
    def from_live(cls, message: Incoming) -> Stored:
        """Read a republished message: at once where it is as the service publishes them.

        Raises:
            KeyError, ValueError: It is none.
        """
        found = _LIVE.fullmatch(message.head)
        if found is None:
            return cls.from_message(message)
        id_, subject, seq, second, micros, previous = found.groups()
        return cls(
            subject.decode(),
            int(seq),
            int(previous),
            # To the bit what a datetime gives, which is how the same message is read otherwise.
            (_second(second) * 1_000_000 + int(micros.ljust(6, b"0"))) / 1_000_000,
            id_.decode(),
            message.data,
        )

    @classmethod
    def from_message(cls, message: Incoming) -> Stored:
        """Read a republished message, or an answer to a direct get.

        Raises:
            KeyError, ValueError: It is neither.
        """
        headers = message.headers
        return cls(
            headers["Nats-Subject"],
            int(headers["Nats-Sequence"]),
            int(headers.get("Nats-Last-Sequence", 0)),
            datetime.fromisoformat(headers["Nats-Time-Stamp"]).timestamp(),
            headers.get(MESSAGE_ID, ""),
            message.data,
            int(headers.get("Nats-Num-Pending", 0)),
        )


class Acknowledged(msgspec.Struct, frozen=True):
    """The stream's answer to a publish: the seq, or an error."""

    seq: int = 0
    duplicate: bool = False
    error: dict[str, Any] | None = None


Outcome = Acknowledged | NatsError
"""What became of a message; an error is one of those that `Publisher.publish` raises."""


class Batch(msgspec.Struct, frozen=True):
    """What a direct get gave.

    Attributes:
        upto: With ``multi_last``: the newest seq of the whole stream that the answering replica
            had; 0 if nothing was found.
    """

    messages: tuple[Stored, ...]
    upto: int = 0


class JetStream:
    """The calls; each raises a `NatsError` of its own: `NotConnected`, `NoAnswer`, `Refused`..."""

    def __init__(self, connection: NatsConnection, inbox: Inbox, clock: IReactorTime) -> None:
        self._connection = connection
        self._inbox = inbox
        self._clock = clock

    async def call(
        self, verb: str, body: Mapping[str, Any] | None = None, *, seconds: float = REQUEST_SECONDS
    ) -> dict[str, Any]:
        """Call ``$JS.API.<verb>``; the leader concerned answers.

        Raises:
            Refused: It answered with an error.
        """
        asked = b"" if body is None else msgspec.json.encode(body)
        message = await self._inbox.request(f"$JS.API.{verb}", asked, seconds=seconds)
        try:
            answer = msgspec.json.decode(message.data, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise NoAnswer(f"$JS.API.{verb}: not an answer of JetStream") from error
        if refusal := answer.get("error"):
            raise Refused.of(refusal)
        return answer

    async def from_leader(
        self, stream: str, query: Mapping[str, Any], *, seconds: float = REQUEST_SECONDS
    ) -> Stored | None:
        """Read one message from the stream's leader: what it does not have does not exist.

        Args:
            stream: Its name.
            query: ``seq``, ``seq`` and ``next_by_subj``, or ``last_by_subj``.
            seconds: How long to wait.
        """
        try:
            answer = await self.call(f"STREAM.MSG.GET.{stream}", query, seconds=seconds)
        except Refused as error:
            if error.code == NO_MESSAGE_FOUND:
                return None
            raise
        found = answer["message"]
        return Stored(
            found["subject"],
            found["seq"],
            0,
            datetime.fromisoformat(found["time"]).timestamp(),
            _message_id(found.get("hdrs", "")),
            base64.b64decode(found.get("data", "")),
        )

    async def direct(
        self, stream: str, query: Mapping[str, Any], *, seconds: float = REQUEST_SECONDS
    ) -> Batch:
        """Read messages from any replica, which may lag: absence means nothing.

        Args:
            stream: Its name.
            query: With ``batch`` or ``multi_last``, since only then the end is marked.
            seconds: How long to wait for the whole answer.
        """
        messages: list[Stored] = []
        ended: Deferred[Batch] = Deferred()

        def received(message: Incoming | None) -> None:
            if ended.called:
                return
            try:
                batch = _taken(message, messages)
            except NatsError as error:
                ended.errback(error)
            else:
                if batch is not None:
                    ended.callback(batch)

        reply = self._inbox.open_stream(received)
        try:
            await self._connection.publish(
                f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode(query), reply=reply
            )
            return await within(seconds, self._clock, ended)
        except TimedOut as error:
            raise NoAnswer(f"no answer from {stream} within {seconds:g} s") from error
        finally:
            self._inbox.close_stream(reply)


def _taken(message: Incoming | None, messages: list[Stored]) -> Batch | None:
    """Add an answer to the messages of its batch; at the end of the batch, return it."""
    if message is None:
        raise NotConnected("the connection to NATS was lost")
    headers = message.headers
    last = messages[-1].seq if messages else 0
    match headers.get(STATUS):
        case None:
            messages.append(Stored.from_message(message))
            complete = messages[-1].previous == last
        case "204":
            complete = int(headers["Nats-Last-Sequence"]) == last
            if complete:
                return Batch(tuple(messages), int(headers.get("Nats-UpTo-Sequence", 0)))
        case "404":
            complete = not messages
            if complete:
                return Batch(())
        case "503":
            raise NobodyListens("no replica of the stream answers")
        case status:
            raise Refused(int(status), 0, headers.get("Description", "not understood"))
    if not complete:
        raise NoAnswer("a part of the answer was lost")
    return None


@lru_cache(maxsize=64)
def _second(time: bytes) -> int:
    return int(datetime.fromisoformat(f"{time.decode()}Z").timestamp())


def _message_id(headers: str) -> str:
    """The message id in a header block in base64, as the leader's answers have it."""
    for line in base64.b64decode(headers).decode(errors="replace").split("\r\n"):
        name, _, value = line.partition(":")
        if name == MESSAGE_ID:
            return value.strip()
    return ""
