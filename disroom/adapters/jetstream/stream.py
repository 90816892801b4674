"""The stream that holds every room, and the bucket that holds their topics.

Their settings are somebody's data: what is there is never changed on the quiet. Where it differs
from the configuration the start is refused, unless the operator asks for the change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from disroom.adapters.jetstream.api import NO_LEADER_NOW, STREAM_NOT_FOUND, JetStream, Refused
from disroom.adapters.nats.errors import NatsError, NoAnswer, NobodyListens, StoreStartError

ENSURE_SECONDS = 10.0
RETRY_SECONDS = 0.25
DUPLICATE_SECONDS = 120.0
NANOSECONDS = 1_000_000_000

RETENTION_KEY = "disroom.retention"

BATCHES = "allow_batched"
"""The setting by which a stream takes fast-ingest batches. A stream without it does as well, so it
is asked for where a stream is made or changed anyway, and missed nowhere else."""

FIRST_WITH_BATCHES = (2, 14)
"""The nats-server that brought them; older ones drop a setting that they do not know."""

NOT_ENABLED = frozenset({10039, 10076})
NO_STORAGE = frozenset({10023, 10047})
NAME_TAKEN = 10058
TOO_FEW_PEERS = 10005
NOT_CLUSTERED = 10074

NO_JETSTREAM_SECONDS = 2.0
"""How long nobody may listen to JetStream's API before it counts as absent."""


class StreamDiffers(StoreStartError):
    """A stream has other settings than the configuration says."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What the configuration says about the stream.

    Attributes:
        name: The stream's name; the bucket's is derived from it.
        prefix: The first token of every subject.
        replicas: Of the stream and of the bucket.
        retention: ``interest`` is DisRoom's own doing (rooms that everybody has left are purged):
            JetStream's InterestPolicy would store nothing, since there are no consumers. To
            JetStream either is a stream with limits; which it is stands in its metadata.
        max_age: Seconds, 0 for no limit.
        max_bytes: Of the whole stream, 0 for no limit.
        max_messages_per_room: 0 for no limit.
    """

    name: str = "DISROOM"
    prefix: str = "disroom"
    replicas: int = 1
    retention: Literal["limits", "interest"] = "limits"
    max_age: float = 7 * 86400.0
    max_bytes: int = 10 << 30
    max_messages_per_room: int = 10_000

    @property
    def bucket(self) -> str:
        """The name of the key-value bucket of topics."""
        return f"{self.name}_TOPICS"

    def room_subject(self, token: str) -> str:
        """Where messages of a room are stored."""
        return f"{self.prefix}.room.{token}"

    def live_subject(self, token: str) -> str:
        """Where stored messages of a room are republished."""
        return f"{self.prefix}.live.{token}"

    def topic_subject(self, token: str) -> str:
        """Where a room's topic is stored, in the bucket's stream."""
        return f"$KV.{self.bucket}.{token}"

    def stream_config(self) -> dict[str, Any]:
        """The stream's settings, as JetStream's API names them."""
        duplicates = min(DUPLICATE_SECONDS, self.max_age) if self.max_age else DUPLICATE_SECONDS
        return {
            "name": self.name,
            "subjects": [self.room_subject(">")],
            "retention": "limits",
            "storage": "file",
            "num_replicas": self.replicas,
            "max_age": int(self.max_age * NANOSECONDS),
            "max_bytes": self.max_bytes or -1,
            "max_msgs_per_subject": self.max_messages_per_room or -1,
            "discard": "old",
            "duplicate_window": int(duplicates * NANOSECONDS),
            "allow_direct": True,
            "republish": {"src": self.room_subject(">"), "dest": self.live_subject(">")},
            "metadata": {RETENTION_KEY: self.retention},
        }

    def bucket_config(self) -> dict[str, Any]:
        """The settings of the bucket's stream: those of a NATS key-value bucket (ADR-8)."""
        return {
            "name": f"KV_{self.bucket}",
            "subjects": [self.topic_subject(">")],
            "retention": "limits",
            "storage": "file",
            "num_replicas": self.replicas,
            "max_msgs_per_subject": 1,
            "discard": "new",
            "duplicate_window": int(DUPLICATE_SECONDS * NANOSECONDS),
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
        }


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream as it is.

    Attributes:
        created: Its identity: one that was made anew has another.
        first_seq: The first seq it still holds, one more than `last_seq` if it is empty.
        messages: How many it holds.
        at: The time of the node that leads it when it was like this, Unix seconds.
        batches: Whether it takes fast-ingest batches.
    """

    created: str
    first_seq: int
    last_seq: int
    messages: int
    at: float
    batches: bool = False

    @property
    def lost(self) -> int:
        """How many messages it has lost since it was made, for whatever reason: never falls."""
        return self.last_seq - self.messages

    @property
    def has_holes(self) -> bool:
        """Whether it has lost others than the oldest."""
        return self.lost >= self.first_seq

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> StreamState:
        """Read an answer to STREAM.INFO, STREAM.CREATE or STREAM.UPDATE."""
        state = info["state"]
        return cls(
            info["created"],
            state["first_seq"],
            state["last_seq"],
            state["messages"],
            moment(info["ts"]),
            info["config"].get(BATCHES, False),
        )


def moment(told: str) -> float:
    """A time as JetStream tells it, Unix seconds.

    Of two streams the one that was made later has replaced the other.
    """
    return datetime.fromisoformat(told).timestamp()


class StreamKeeper:
    """Makes the stream and the bucket, or makes sure that they are as configured.

    Args:
        jetstream: The calls.
        settings: What the configuration says.
        clock: The reactor.
        version: Tells the server's, major and minor.
    """

    _log = Logger()

    def __init__(
        self,
        jetstream: JetStream,
        settings: StreamSettings,
        clock: IReactorTime,
        version: Callable[[], tuple[int, int]],
    ) -> None:
        self._jetstream = jetstream
        self._settings = settings
        self._clock = clock
        self._version = version

    def _stream_config(self) -> dict[str, Any]:
        batches = {BATCHES: True} if self._version() >= FIRST_WITH_BATCHES else {}
        return self._settings.stream_config() | batches

    async def ensure(self, *, apply: bool) -> StreamState:
        """Create what is absent and compare what is there, within 10 s.

        Args:
            apply: Change what differs instead of refusing it.

        Raises:
            StreamDiffers: What differs, field by field.
            StoreStartError: JetStream is not there, or does not do it.
        """
        deadline = self._clock.seconds() + ENSURE_SECONDS
        state = await self._patiently(self._stream_config(), apply, deadline)
        await self._patiently(self._settings.bucket_config(), apply, deadline)
        return state

    async def recreate(self) -> tuple[StreamState, StreamState]:
        """Create what is absent, and take what is there as it is: the stream, and the bucket's.

        Raises:
            NatsError: It did not work.
        """
        created = []
        for config in (self._stream_config(), self._settings.bucket_config()):
            try:
                info = await self._jetstream.call(f"STREAM.CREATE.{config['name']}", config)
            except Refused as error:
                if error.code != NAME_TAKEN:
                    raise
                info = await self._jetstream.call(f"STREAM.INFO.{config['name']}")
            created.append(StreamState.from_info(info))
        stream, bucket = created
        return stream, bucket

    async def _patiently(self, wanted: dict[str, Any], apply: bool, deadline: float) -> StreamState:
        """Retry what may be due to a cluster that is only starting."""
        started = self._clock.seconds()
        while True:
            try:
                return StreamState.from_info(await self._ensure(wanted, apply))
            except NatsError as error:
                now = self._clock.seconds()
                if isinstance(error, NobodyListens) and now - started > NO_JETSTREAM_SECONDS:
                    raise StoreStartError("JetStream is not enabled on this NATS server") from error
                passing = isinstance(error, (NobodyListens, NoAnswer)) or (
                    isinstance(error, Refused)
                    and error.code in {NO_LEADER_NOW, NAME_TAKEN, TOO_FEW_PEERS}
                )
                if not passing or now + RETRY_SECONDS > deadline:
                    raise StoreStartError(_explained(wanted, error)) from error
            await deferLater(self._clock, RETRY_SECONDS)

    async def _ensure(self, wanted: dict[str, Any], apply: bool) -> dict[str, Any]:
        name = wanted["name"]
        try:
            info = await self._jetstream.call(f"STREAM.INFO.{name}")
        except Refused as error:
            if error.code != STREAM_NOT_FOUND:
                raise
            info = await self._jetstream.call(f"STREAM.CREATE.{name}", wanted)
            self._log.info("Created the stream {name}", name=name)
            return info
        differing = list(differences(wanted, info["config"]))
        if not apply and wanted.get(BATCHES) and not info["config"].get(BATCHES):
            self._log.info(
                "The stream {name} takes one message of a user at a time; several at once, and it "
                "will be faster, after starting once with --apply-stream",
                name=name,
            )
            required = {field: value for field, value in wanted.items() if field != BATCHES}
            differing = list(differences(required, info["config"]))
        if not differing:
            return info
        if not apply:
            raise StreamDiffers(
                f"the stream {name} differs from the configuration: {'; '.join(differing)}; change "
                "the configuration, or have the stream changed by starting once with --apply-stream"
            )
        changed = {**info["config"], **wanted}
        changed["metadata"] = {**info["config"].get("metadata", {}), **wanted.get("metadata", {})}
        info = await self._jetstream.call(f"STREAM.UPDATE.{name}", changed)
        self._log.info("Changed the stream {name}: {what}", name=name, what="; ".join(differing))
        return info


def differences(wanted: Mapping[str, Any], actual: Mapping[str, Any]) -> Iterator[str]:
    """Say of each setting that differs what it is and what is configured."""
    for field, value in wanted.items():
        found = actual.get(field)
        if field == "metadata":
            field, value = "retention", value[RETENTION_KEY]
            found = (found or {}).get(RETENTION_KEY, "limits")
        if found != value and (found or value):
            yield f"{field} is {_shown(field, found)}, configured {_shown(field, value)}"


def _shown(field: str, value: Any) -> str:
    if field in ("max_age", "duplicate_window") and value:
        return f"{value / NANOSECONDS:g} s"
    if value in (-1, 0, None, False):
        return "unlimited" if field.startswith("max_") else "off"
    if field == "republish":
        return f"{value['src']} to {value['dest']}"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _explained(wanted: Mapping[str, Any], error: NatsError) -> str:
    name = wanted["name"]
    code = error.code if isinstance(error, Refused) else 0
    if code in NOT_ENABLED:
        return "JetStream is not enabled for this NATS account or server"
    if code in NO_STORAGE:
        return f"NATS has no storage for the stream {name}: {error}; see stream.max_bytes"
    if code in (TOO_FEW_PEERS, NOT_CLUSTERED):
        return f"NATS cannot keep {wanted['num_replicas']} replicas of the stream {name}: {error}"
    return f"the stream {name} cannot be used: {error}"
