"""History of rooms that nobody is in, in a stream of a million messages."""

from __future__ import annotations

import time

from benchmarks.prober import Prober
from benchmarks.stage import STREAM, Stage
from benchmarks.traffic import percentile
from benchmarks.verbs import HISTORY
from disroom.chat.events import Draft
from disroom.chat.names import Nick, RoomName
from disroom.wire.envelope import Envelope

ROOMS = 1000
AT_ONCE = 2000
"""Messages between two waits for the server."""

FILL_SECONDS = 300.0


def fill(stage: Stage, messages: int) -> float:
    """Store so many messages, over 1,000 rooms in turn; returns the seconds that it took."""
    begin = time.perf_counter()
    nick = Nick.parse("filler")
    subjects = [f"disroom.room.{room(number).token}" for number in range(ROOMS)]
    with stage.nats.connect() as nats:
        goal = nats.stream_info(STREAM)["state"]["messages"] + messages
        for start in range(0, messages, AT_ONCE):
            for number in range(start, min(start + AT_ONCE, messages)):
                draft = Draft(f"fill{number:018}", "said", nick, "fill", "x" * 64)
                nats.publish(subjects[number % ROOMS], Envelope.of(draft).encode())
            # A publish that nobody waits for is taken in order; this one is waited for.
            nats.publish_acked(subjects[0], Envelope.of(draft).encode())
        while nats.stream_info(STREAM)["state"]["messages"] < goal:
            if time.perf_counter() - begin > FILL_SECONDS:
                raise TimeoutError("the stream does not take what was published")
    return time.perf_counter() - begin


def cold(stage: Stage, times: int) -> dict[str, float]:
    """Times of the first history in a room, and of its being opened by a join."""
    joins, histories = [], []
    with Prober(stage.addresses(1)[0], "reader") as reader:
        for number in range(times):
            name = room(number * (ROOMS // times) % ROOMS)
            joins.append(reader.ask(f"join {name}", b"-- #"))
            histories.append(reader.ask(f"history {HISTORY}", b"-- #"))
            reader.ask("leave", b"Left room")
    joins.sort()
    histories.sort()
    return {
        "join of a cold room p50_ms": 1e3 * percentile(joins, 50),
        "join of a cold room p99_ms": 1e3 * percentile(joins, 99),
        "history 50 of a cold room p50_ms": 1e3 * percentile(histories, 50),
        "history 50 of a cold room p99_ms": 1e3 * percentile(histories, 99),
    }


def room(number: int) -> RoomName:
    """One of the rooms."""
    return RoomName.parse(f"cold{number}")
