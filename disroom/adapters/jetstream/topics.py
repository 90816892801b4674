"""Topics of rooms, in a key-value bucket (NATS ADR-8): one value for each room, the newest.

Whoever sets a topic has stored a message first, and its place in the stream decides between two who
set one at the same time; `topickeeper` says who writes. A topic that is taken away leaves an empty
text behind, so that an older one which is only just being written does not come back.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from disroom.adapters.jetstream.api import MOST_SUBJECTS, JetStream, Refused
from disroom.adapters.jetstream.history import LAG_PAUSES
from disroom.adapters.jetstream.publisher import Publisher
from disroom.adapters.jetstream.stream import StreamSettings
from disroom.adapters.nats.errors import NatsError

EXPECTED_SEQ = "Nats-Expected-Last-Subject-Sequence"
WRONG_SEQ = frozenset({10071, 10164})
MOST_TRIES = 20
MOST_NOTED = 1000


class TopicRecord(msgspec.Struct, frozen=True):
    """A topic as it is stored.

    Attributes:
        text: Empty where it was taken away.
        nick: Who set it, as it was shown then.
        at: When, Unix seconds.
        seq: Of the message that set it.
        created: When the stream of that message was made, Unix seconds.
    """

    text: str
    nick: str
    at: float
    seq: int
    created: float

    @property
    def age(self) -> tuple[float, int]:
        """Of two topics of a room, the one where this is greater is the newer."""
        return self.created, self.seq


_decode = msgspec.json.Decoder(TopicRecord).decode


class Contended(NatsError):
    """Others kept changing the same topic."""


class Topics:
    """Reads and sets topics, by the rooms' tokens; failures are `NatsError`."""

    _log = Logger()

    def __init__(
        self,
        jetstream: JetStream,
        publisher: Publisher,
        settings: StreamSettings,
        clock: IReactorTime,
    ) -> None:
        self._jetstream = jetstream
        self._publisher = publisher
        self._settings = settings
        self._stream = f"KV_{settings.bucket}"
        self._clock = clock
        # Where this instance's own topics are, for replicas that do not have them yet.
        self._written: dict[str, int] = {}

    async def read(self, tokens: Sequence[str]) -> dict[str, TopicRecord]:
        """What there is of these rooms, from any replica, which may lag."""
        topics: dict[str, TopicRecord] = {}
        for start in range(0, len(tokens), MOST_SUBJECTS):
            topics |= await self._read(tokens[start : start + MOST_SUBJECTS])
        return topics

    async def _read(self, tokens: Sequence[str]) -> dict[str, TopicRecord]:
        subjects = {self._settings.topic_subject(token): token for token in tokens}
        query = {"multi_last": list(subjects)}
        need = max(self._written.get(token, 0) for token in tokens)
        batch = await self._jetstream.direct(self._stream, query)
        for pause in LAG_PAUSES:
            if batch.upto >= need:
                break
            await deferLater(self._clock, pause)
            batch = await self._jetstream.direct(self._stream, query)
        return {
            subjects[message.subject]: record
            for message in batch.messages
            if (record := self._record(message.data)) is not None
        }

    async def write(self, token: str, record: TopicRecord, message_id: str) -> None:
        """Make this the room's topic, unless a newer message has set one; idempotent."""
        subject = self._settings.topic_subject(token)
        for _ in range(MOST_TRIES):
            held = await self._jetstream.from_leader(self._stream, {"last_by_subj": subject})
            there = self._record(held.data) if held is not None else None
            if there and there.age >= record.age:
                return
            expected = {EXPECTED_SEQ: str(held.seq if held is not None else 0)}
            try:
                acknowledged = await self._publisher.publish(
                    subject, msgspec.json.encode(record), message_id, expected
                )
            except Refused as error:
                if error.code not in WRONG_SEQ:
                    raise
            else:
                self._note(token, acknowledged.seq)
                return
        raise Contended("the topic is being changed by others")

    def _note(self, token: str, seq: int) -> None:
        self._written.pop(token, None)
        self._written[token] = seq
        if len(self._written) > MOST_NOTED:
            del self._written[next(iter(self._written))]

    def _record(self, data: bytes) -> TopicRecord | None:
        try:
            return _decode(data)
        except msgspec.DecodeError:
            self._log.warn("The bucket {name} has a value that is no topic", name=self._stream)
            return None
