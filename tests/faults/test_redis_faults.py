"""Redis comes back empty, is gone, or cannot be reached by one instance, while people talk."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest

from tests.cluster.chat import Chat, user
from tests.eventually import eventually_blocking
from tests.faults.proof import frozen, gone
from tests.faults.report import Fault
from tests.faults.talk import Talk
from tests.processes.client import LineClient
from tests.processes.nats import NatsServer
from tests.processes.redis import RedisServer
from tests.processes.redis_proxy import CountingProxy
from tests.processes.text_client import Clients

REBUILT_SECONDS = 5.0
REFUSED_SECONDS = 1.0
ONE_NAME_SECONDS = 1.0
SLOWEST_SECONDS = 1.0

NewRedis = Callable[..., RedisServer]


def test_redis_comes_back_empty(
    new_redis: NewRedis, chat: Chat, clients: Clients, nats: NatsServer, fault: Fault
) -> None:
    """Everybody is back within 5 s, nobody has vanished or lost a name, and the chat went on."""
    redis = new_redis()
    chat.redis_url = redis.url
    chat.settings["DISROOM_PRESENCE_SETTLE"] = "3s"
    first, second = chat.instance(), chat.instance()
    talk = Talk(chat, clients, [first, second], rooms=3, each=4, rate=50)
    talk.run(1)
    thief = LineClient(clients, first.address)
    thief.expect("Welcome")
    before = redis.command("DBSIZE")
    assert isinstance(before, int) and before > 0
    redis.kill()
    killed = time.monotonic()
    fault.proved(f"{gone(redis)}, {before} keys")
    redis.start()
    fault.proved(f"pid {redis.pid} empty")
    for talker in talk.on(second)[:3]:
        thief.send_line(f"nick {talker.nick}")
    asking = LineClient(clients, second.address)
    full = {
        room: f"Users in {room}: {', '.join(t.nick for t in talk.talkers if t.room == room)}"
        for room in ("r0", "r1", "r2")
    }
    rebuilt = 0.0
    while not rebuilt and time.monotonic() < killed + 2 * REBUILT_SECONDS:
        talk.run(0.2)
        seen = len(asking.lines)
        asking.send_line("users r0\nusers r1\nusers r2\nping")
        asking.expect("^Pong$", timeout=5)
        answers = [line for line in asking.lines[seen:] if line.startswith("Users in")]
        stale = any("out of date" in line for line in asking.lines[seen:])
        if answers == list(full.values()) and not stale:
            rebuilt = time.monotonic() - killed
    talk.run(2)
    thief.send_line("ping")
    stolen = thief.collect_until("^Pong$", timeout=10)
    with nats.connect() as raw:
        verdict = talk.verdict(raw)
    slowest = max(at - t.said[id_] for t in talk.talkers for id_, at in t.heard.items())
    fault.reported(
        "Redis killed and started empty",
        verdict,
        f"presence rebuilt after {rebuilt:.1f} s",
        f"slowest message {slowest:.2f} s",
    )
    verdict.check()
    assert 0 < rebuilt < REBUILT_SECONDS
    assert not any(line.startswith("You are") for line in stolen), stolen
    assert not [line.text for t in talk.talkers for line in t.told("<--")]
    assert slowest < SLOWEST_SECONDS


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=pytest.mark.faults)])
def test_redis_is_gone_for_a_while(
    new_redis: NewRedis,
    chat: Chat,
    clients: Clients,
    nats: NatsServer,
    fault: Fault,
    seconds: int,
) -> None:
    """Talk goes on; joins and renames are refused within 1 s; `users` may be out of date."""
    redis = new_redis()
    chat.redis_url = redis.url
    # Longer than between two attempts to connect: the instances come back at different times.
    chat.settings["DISROOM_PRESENCE_SETTLE"] = "1s"
    first, second = chat.instance(), chat.instance()
    talk = Talk(chat, clients, [first, second], rooms=3, each=4, rate=50)
    ann = user(clients, first, "ann", "r0")
    talk.run(1)
    redis.kill()
    killed = time.monotonic()
    fault.proved(gone(redis))
    refusals = 0
    slowest_refusal = 0.0
    while time.monotonic() < killed + seconds:
        talk.run(1)
        for line in ("join r1", "nick other", "msg u1 hi"):
            asked = time.monotonic()
            ann.send_line(line)
            ann.expect(r"^Error: .*\(presence-unavailable\)$", timeout=5)
            slowest_refusal = max(slowest_refusal, time.monotonic() - asked)
            refusals += 1
        ann.send_line("users")
        ann.expect(r"^Users in r0: u0, u1, u2, u3, ann$")
        ann.expect("^-- this may be out of date")
    redis.start()
    returned = time.monotonic()

    def joined() -> bool:
        ann.send_line("join r1")
        return "Joined room r1" in ann.expect("^Joined room r1|^Error:", timeout=10)

    while not joined():
        talk.run(0.1)
    back = time.monotonic() - returned
    talk.run(1)
    with nats.connect() as raw:
        verdict = talk.verdict(raw)
    slowest = max(at - t.said[id_] for t in talk.talkers for id_, at in t.heard.items())
    fault.reported(
        f"Redis gone for {seconds} s",
        verdict,
        f"{refusals} refusals, the slowest after {slowest_refusal:.2f} s",
        f"slowest message {slowest:.2f} s",
        f"joins work {back:.1f} s after the return",
    )
    verdict.check()
    assert slowest_refusal < REFUSED_SECONDS
    assert slowest < SLOWEST_SECONDS
    assert not [line.text for t in talk.talkers for line in t.told("<--")]


@pytest.mark.parametrize("reached", ["nats", pytest.param("redis", marks=pytest.mark.faults)])
def test_an_instance_is_cut_off_from_redis_alone(
    redis: RedisServer, chat: Chat, clients: Clients, fault: Fault, reached: str
) -> None:
    """Once it reaches either broker, no two people have one name for longer than 1 s."""
    chat.settings["DISROOM_PRESENCE_LEASE"] = "3s"
    with CountingProxy(("127.0.0.1", redis.port)) as proxy:
        first, second = chat.instance(), chat.instance(redis=proxy.url)
        ann = user(clients, first, "ann", "tea")
        ben = user(clients, second, "ben", "tea")
        cat = user(clients, second, "cat", "tea")
        proxy.refuse()
        proxy.cut()
        fault.proved(f"{proxy.connections} connections to Redis")
        ben.send_line("send <cut off>")
        ann.expect("#tea ben: <cut off>$")
        ann.expect(r"<-- ben, cat left \(server lost\)$", timeout=15)
        if reached == "redis":
            second.pause()
            fault.proved(frozen(second))
        new = user(clients, first, "ben", "tea")
        taken = time.monotonic()
        if reached == "redis":
            proxy.accept()
            second.resume()
            taken = time.monotonic()
        ben.expect(r"^Error: .*\(nick-lost\)$", timeout=5)
        seconds = time.monotonic() - taken
        ben.wait_ended()
        cat.send_line("send <still here>")
        ann.expect("#tea cat: <still here>$")
        proxy.accept()
        for client in (ann, cat, new):
            eventually_blocking(partial(listed, client), timeout=5)
    fault.reported(
        f"one instance cut off from Redis past its lease of 3 s, {reached} reachable again",
        f"the older ben closed {seconds:.1f} s later",
    )
    assert seconds < ONE_NAME_SECONDS


def listed(client: LineClient) -> bool:
    """Whether `users` names the three, each once."""
    client.send_line("users")
    names = client.expect("^Users in tea: ").removeprefix("Users in tea: ").split(", ")
    return sorted(names) == ["ann", "ben", "cat"]
