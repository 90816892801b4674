"""The stream's settings: made once, kept as they are, changed only when asked to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred

from disroom.adapters.jetstream.stream import StreamDiffers, StreamSettings, differences
from disroom.adapters.nats.errors import StoreStartError
from tests.adapters.jetstream.nats_log import (
    TEA,
    NatsLogs,
    draft,
    settings_for,
    stored_texts,
)
from tests.contract.witness import promise
from tests.processes.nats import NatsServer
from tests.processes.rawnats import JetStreamError

SECOND = 1_000_000_000


def config(nats: NatsServer, name: str) -> dict[str, Any]:
    """A stream's settings, as the server has them."""
    with nats.connect() as raw:
        found: dict[str, Any] = raw.stream_info(name)["config"]
        return found


@promise
async def test_the_stream_is_made_as_configured(
    logs: NatsLogs, nats: NatsServer, unique: str
) -> None:
    """The configuration's limits are those that the server enforces."""
    settings = settings_for(
        unique, max_age=86400.0, max_bytes=1 << 20, max_messages_per_room=77, retention="interest"
    )
    await logs.log(nats.url, settings=settings)
    made = config(nats, settings.name)
    expected = {
        "subjects": [f"{unique}.room.>"],
        "republish": {"src": f"{unique}.room.>", "dest": f"{unique}.live.>"},
        "retention": "limits",  # "interest" is DisRoom's own doing
        "discard": "old",
        "storage": "file",
        "max_age": 86400 * SECOND,
        "max_bytes": 1 << 20,
        "max_msgs_per_subject": 77,
        "max_msgs": -1,
        "duplicate_window": 120 * SECOND,
        "num_replicas": 1,
        "allow_direct": True,
        "allow_batched": True,
    }
    assert {name: made[name] for name in expected} == expected
    bucket = config(nats, f"KV_{settings.bucket}")
    assert bucket["max_msgs_per_subject"] == 1 and bucket["allow_direct"]


@promise
async def test_no_limit_is_no_limit(logs: NatsLogs, nats: NatsServer, unique: str) -> None:
    """A 0 in the configuration means for ever, and any number."""
    settings = settings_for(unique, max_age=0.0, max_bytes=0, max_messages_per_room=0)
    for _ in range(2):  # also when it is compared with what is there
        await logs.log(nats.url, settings=settings)
    made = config(nats, settings.name)
    assert [made[f] for f in ("max_age", "max_bytes", "max_msgs_per_subject")] == [0, -1, -1]


@promise
async def test_a_stream_that_differs_is_refused_and_left_alone(
    logs: NatsLogs, nats: NatsServer, unique: str
) -> None:
    """Nobody loses messages by a slip in a configuration: the operator reads what differs."""
    log = await logs.log(nats.url)
    await log.append(TEA, draft("kept"))
    before = config(nats, logs.settings.name)
    other = settings_for(unique, max_age=60.0, max_messages_per_room=1, retention="interest")
    with pytest.raises(StreamDiffers) as refused:
        await logs.log(nats.url, settings=other)
    text = str(refused.value)
    assert "\n" not in text
    for part in (
        f"the stream {logs.settings.name} differs from the configuration",
        "max_age is 604800 s, configured 60 s",
        "max_msgs_per_subject is 10000, configured 1",
        "retention is limits, configured interest",
        "--apply-stream",
    ):
        assert part in text
    assert "max_bytes" not in text
    assert config(nats, logs.settings.name) == before
    with nats.connect() as raw:
        assert stored_texts(raw, logs.settings) == ["kept"]


@promise
async def test_a_stream_is_changed_when_asked_to(
    logs: NatsLogs, nats: NatsServer, unique: str
) -> None:
    """With --apply-stream the stream becomes as configured, and what may stay stays."""
    log = await logs.log(nats.url)
    for number in range(5):
        await log.append(TEA, draft(f"{number}"))
    other = settings_for(unique, max_age=60.0, max_messages_per_room=2, retention="interest")
    log = await logs.log(nats.url, settings=other, apply=True)
    made = config(nats, other.name)
    assert (made["max_age"], made["max_msgs_per_subject"]) == (60 * SECOND, 2)
    assert [m.text for m in (await log.history(TEA, 9, None)).messages] == ["3", "4"]
    await logs.log(nats.url, settings=other)  # it does not differ any more


@promise
async def test_a_stream_made_by_the_operator_is_taken(
    logs: NatsLogs, nats: NatsServer, unique: str
) -> None:
    """Settings that DisRoom has no opinion on are the operator's, also after --apply-stream."""
    wanted = {**logs.settings.stream_config(), "description": "ours", "compression": "s2"}
    del wanted["metadata"]
    with nats.connect() as raw:
        raw.jetstream(f"STREAM.CREATE.{logs.settings.name}", wanted)
    await logs.log(nats.url)
    await logs.log(nats.url, settings=settings_for(unique, max_age=60.0), apply=True)
    made = config(nats, logs.settings.name)
    assert (made["description"], made["compression"], made["max_age"]) == (
        "ours",
        "s2",
        60 * SECOND,
    )


@promise
async def test_a_stream_that_takes_no_batches_will_do(logs: NatsLogs, nats: NatsServer) -> None:
    """One of an older NATS or DisRoom is used as it is, until the operator has it changed."""
    with nats.connect() as raw:
        raw.jetstream(f"STREAM.CREATE.{logs.settings.name}", logs.settings.stream_config())
    log = await logs.log(nats.url)
    assert await log.append(TEA, draft("kept")) == 1
    assert "allow_batched" not in config(nats, logs.settings.name)
    await logs.log(nats.url, apply=True)
    assert config(nats, logs.settings.name)["allow_batched"]
    with nats.connect() as raw:
        assert stored_texts(raw, logs.settings) == ["kept"]


@promise
async def test_subjects_and_republishing_are_compared_too(logs: NatsLogs, nats: NatsServer) -> None:
    """A stream that would store messages and tell nobody of them is not used."""
    wanted = {**logs.settings.stream_config(), "allow_direct": False}
    del wanted["republish"]
    with nats.connect() as raw:
        raw.jetstream(f"STREAM.CREATE.{logs.settings.name}", wanted)
    with pytest.raises(StreamDiffers, match=r"republish is off, configured t\w+\.room\.> to"):
        await logs.log(nats.url)
    await logs.log(nats.url, apply=True)


@promise
async def test_two_instances_that_start_at_once_make_one_stream(
    logs: NatsLogs, nats: NatsServer
) -> None:
    """Instances can be started together on an empty server."""
    starting = [Deferred.fromCoroutine(logs.log(nats.url)) for _ in range(4)]
    for start in starting:
        await start


@promise
async def test_what_the_server_cannot_do_is_said(nats: NatsServer, unique: str) -> None:
    """The operator reads which limit of the server is in the way of the configuration."""
    for changed, text in (
        ({"replicas": 3}, f"cannot keep 3 replicas of the stream {unique.upper()}"),
        ({"max_bytes": 1 << 60}, "no storage for the stream"),
    ):
        logs = NatsLogs(settings_for(unique, **changed))
        with pytest.raises(StoreStartError, match=text) as refused:
            await logs.log(nats.url)
        assert "\n" not in str(refused.value)
        await logs.close()
    with nats.connect() as raw, pytest.raises(JetStreamError, match="not found"):
        raw.stream_info(unique.upper())


@promise
async def test_a_server_without_jetstream_is_said_to_be_one(
    new_nats: Callable[..., NatsServer], unique: str
) -> None:
    """The operator reads what the server lacks."""
    logs = NatsLogs(settings_for(unique))
    with pytest.raises(StoreStartError, match="JetStream is not enabled"):
        await logs.log(new_nats(jetstream=False).url)
    await logs.close()


@promise
async def test_a_server_that_is_too_old_is_said_to_be_one(
    nats: NatsServer, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operator reads which one it takes, and nothing is made on it."""
    monkeypatch.setattr("disroom.adapters.jetstream.log.OLDEST_SERVER", (99, 1))
    logs = NatsLogs(settings_for(unique))
    with pytest.raises(StoreStartError, match=r"is nats-server 2\.\d+; 99\.1 or later is needed"):
        await logs.log(nats.url)
    await logs.close()
    with nats.connect() as raw, pytest.raises(JetStreamError, match="not found"):
        raw.stream_info(unique.upper())


@pytest.mark.parametrize(
    ("field", "found", "said"),
    [
        ("max_bytes", -1, "max_bytes is unlimited, configured 10737418240"),
        ("max_age", 0, "max_age is unlimited, configured 604800 s"),
        ("subjects", ["a", "b"], "subjects is a, b, configured disroom.room.>"),
        ("num_replicas", 3, "num_replicas is 3, configured 1"),
        ("republish", None, "republish is off, configured disroom.room.> to disroom.live.>"),
        ("metadata", {"disroom.retention": "interest"}, "retention is interest, configured limits"),
        ("metadata", None, ""),
    ],
)
def test_differences_are_said_in_the_operators_words(field: str, found: Any, said: str) -> None:
    """What differs is understood without knowing JetStream's numbers."""
    wanted = StreamSettings().stream_config()
    actual = {**wanted, field: found}
    assert list(differences(wanted, actual)) == ([said] if said else [])
