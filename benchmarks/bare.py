"""The client library alone, as a yardstick.

`python -m benchmarks.bare store|republish URL SECONDS` tells what nats-py does when nothing but the
stream is behind it, as a JSON object. It is a process of its own since it is pinned where an
instance would be, and asyncio is its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import nats
from nats.aio.msg import Msg

from benchmarks.dialects import TEXT_BYTES
from benchmarks.stage import BARE_SUBJECT
from benchmarks.traffic import percentile

IN_FLIGHT = 50
RATE = 100.0
WARM_UP_SECONDS = 0.3
PAYLOAD = b"x" * TEXT_BYTES


async def store(url: str, seconds: float) -> dict[str, float]:
    """Publish with `publish_async`, 50 at a time, each awaited."""
    connection = await nats.connect(url)
    jetstream = connection.jetstream()
    stored = 0

    async def publish_on() -> None:
        nonlocal stored
        while True:
            await (await jetstream.publish_async(BARE_SUBJECT, PAYLOAD))
            stored += 1

    publishing = [asyncio.create_task(publish_on()) for _ in range(IN_FLIGHT)]
    await asyncio.sleep(WARM_UP_SECONDS)
    stored, begin, cpu = 0, time.perf_counter(), time.process_time()
    await asyncio.sleep(seconds)
    took, cpu, count = time.perf_counter() - begin, time.process_time() - cpu, stored
    for task in publishing:
        task.cancel()
    await asyncio.gather(*publishing, return_exceptions=True)
    await connection.close()
    return {"per_s": count / took, "cpu_us": 1e6 * cpu / count}


async def republish(url: str, seconds: float) -> dict[str, float]:
    """Publish 100 a second, until each is acknowledged and its live copy received."""
    connection = await nats.connect(url)
    jetstream = connection.jetstream()
    copies: dict[bytes, asyncio.Future[float]] = {}

    async def received(message: Msg) -> None:
        copies[message.data].set_result(time.perf_counter())

    async def publish(payload: bytes, due: float) -> float:
        copies[payload] = asyncio.get_running_loop().create_future()
        await jetstream.publish(BARE_SUBJECT, payload)
        acknowledged = time.perf_counter()
        return max(acknowledged, await copies.pop(payload)) - due

    await connection.subscribe("bare.live", cb=received)
    await connection.flush()
    begin = time.perf_counter() + WARM_UP_SECONDS
    publishing = []
    for number in range(int(RATE * seconds)):
        due = begin + number / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        # The loop's timer is late by up to a millisecond, which is not the library's.
        due = time.perf_counter()
        publishing.append(asyncio.create_task(publish(b"%064d" % number, due)))
    waits = sorted(await asyncio.gather(*publishing))
    await connection.close()
    return {
        "p50_ms": 1e3 * percentile(waits, 50),
        "p99_ms": 1e3 * percentile(waits, 99),
        "p999_ms": 1e3 * percentile(waits, 99.9),
    }


if __name__ == "__main__":
    measure = {"store": store, "republish": republish}[sys.argv[1]]
    print(json.dumps(asyncio.run(measure(sys.argv[2], float(sys.argv[3])))))
