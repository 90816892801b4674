"""An instance is killed, stopped or frozen while people talk on two of them."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.cluster.chat import Chat, user
from tests.eventually import eventually_blocking, stand_still
from tests.faults.proof import frozen, gone
from tests.faults.report import Fault
from tests.faults.talk import Talk
from tests.processes.client import LineClient
from tests.processes.nats import NatsServer
from tests.processes.redis import RedisServer
from tests.processes.text_client import Clients

GONE_SECONDS = 15.0
STOP_SECONDS = 5.0

FROZEN_SECONDS = 3.0
"""More than is waited for any answer of NATS or Redis, and less than a lease."""


@pytest.mark.parametrize("lease", [3, pytest.param(10, marks=pytest.mark.faults)])
def test_an_instance_is_killed_under_load(
    chat: Chat, clients: Clients, nats: NatsServer, fault: Fault, lease: int
) -> None:
    """The others lose nothing, and the dead one's users are gone within 15 s, in one line."""
    chat.settings["DISROOM_PRESENCE_LEASE"] = f"{lease}s"
    first, second = chat.instance(), chat.instance()
    talk = Talk(chat, clients, [first, second], rooms=4, each=4, rate=200)
    talk.run(1)
    second.kill()
    killed = time.monotonic()
    fault.proved(gone(second))
    watchers = talk.on(first)
    talk.run_until(lambda: all(t.told("server lost", killed) for t in watchers), GONE_SECONDS)
    farewells = {t.nick: t.told("<--", killed) for t in watchers}
    talk.run(1)
    with nats.connect() as raw:
        verdict = talk.verdict(raw)
    shown = max((lines[-1].at - killed for lines in farewells.values() if lines), default=0.0)
    fault.reported(
        f"instance killed at 200 messages/s, lease {lease} s",
        verdict,
        f"its users gone after {shown:.1f} s",
    )
    verdict.check()
    for talker in watchers:
        (text,) = (line.text for line in farewells[talker.nick])
        for lost in talk.on(second):
            named = f" {lost.nick}," in text or f" {lost.nick} left" in text
            assert named == (lost.room == talker.room)


@pytest.mark.parametrize("how", ["killed", "stopped"])
@pytest.mark.parametrize("crowd", [100, pytest.param(1000, marks=pytest.mark.faults)])
def test_an_instance_with_a_crowd_goes(
    chat: Chat, clients: Clients, fault: Fault, crowd: int, how: str
) -> None:
    """All of it is gone from the list in time, and those who stay read one line: a count."""
    if crowd < 1000:
        chat.settings["DISROOM_PRESENCE_LEASE"] = "3s"
    first, second = chat.instance(), chat.instance()
    watcher = user(clients, first, "ann", "square")
    with Clients() as group:
        for number in range(crowd):
            LineClient(group, second.address).send_line(f"nick c{number}\njoin square")
        watcher.expect(rf"\bc{crowd - 1} joined", timeout=60)
        began = time.monotonic()
        if how == "killed":
            second.kill()
        else:
            second.terminate()
        line = watcher.expect(r"<--", timeout=GONE_SECONDS if how == "killed" else STOP_SECONDS)
        seconds = time.monotonic() - began
        eventually_blocking(lambda: not second.running, timeout=STOP_SECONDS)
        fault.proved(gone(second))
    watcher.send_line("users")
    watcher.expect("^Users in square: ann$")
    watcher.send_line("ping")
    rest = watcher.collect_until("^Pong$")
    fault.reported(f"instance with {crowd} users {how}", f"gone after {seconds:.1f} s: {line!r}")
    reason = "server lost" if how == "killed" else "going down"
    assert f"<-- {crowd} people left ({reason})" in line
    assert rest == ["Pong"]


@pytest.mark.parametrize(
    "down",
    [
        "",
        pytest.param("nats", marks=pytest.mark.faults),
        pytest.param("redis", marks=pytest.mark.faults),
    ],
)
def test_an_instance_is_stopped_under_load(
    new_nats: Callable[..., NatsServer],
    new_redis: Callable[..., RedisServer],
    chat: Chat,
    clients: Clients,
    fault: Fault,
    down: str,
) -> None:
    """It says goodbye, keeps what it acknowledged, releases names at once, and ends within 5 s."""
    nats, redis = new_nats(), new_redis()
    chat.nats_url, chat.redis_url = nats.url, redis.url
    first, second = chat.instance(), chat.instance()
    talk = Talk(chat, clients, [first, second], rooms=4, each=4, rate=100)
    talk.run(1)
    broker = {"nats": nats, "redis": redis}.get(down)
    if broker:
        broker.kill()
        fault.proved(f"{down}: {gone(broker)}")
        talk.run(1)
    second.terminate()
    stopped = time.monotonic()
    talk.run_until(lambda: not second.running, STOP_SECONDS + 1)
    seconds = time.monotonic() - stopped
    fault.proved(gone(second))
    if not broker:
        assert "Server Shut Down." in second.output()
        free = user(clients, first, talk.on(second)[0].nick, "elsewhere")
        assert time.monotonic() - stopped < STOP_SECONDS
        free.close()
    if broker:
        broker.start()
        talk.run_until(lambda: talk.answered_since(stopped, talk.on(first)), 5)
    with nats.connect() as raw:
        verdict = talk.verdict(raw)
    state = f"with {down} down" if down else "with both brokers up"
    fault.reported(f"instance stopped (SIGTERM) {state}", verdict, f"ended after {seconds:.1f} s")
    verdict.check()
    assert seconds < STOP_SECONDS
    for talker in talk.on(second):
        assert talker.told("(going-down)") and talker.told("Goodbye!"), talker.nick
    if down != "redis":
        assert all(talker.told("(going down)", stopped) for talker in talk.on(first))


@pytest.mark.faults
def test_a_frozen_instance_refuses_nobody(chat: Chat, clients: Clients, fault: Fault) -> None:
    """Who comes and speaks while their server stands still is served when it moves again."""
    server = chat.instance()
    for wave, answers in enumerate((0, 1, 30, 60, 90)):
        crowd = [LineClient(clients, server.address) for _ in range(100)]
        for number, client in enumerate(crowd):
            client.send_line(f"nick w{wave}c{number}\njoin room{wave}-{number % 10}\nsend hello")
        eventually_blocking(lambda: _answered(clients, crowd) >= answers)  # noqa: B023 -- at once
        server.pause()
        stand_still(FROZEN_SECONDS)
        fault.proved(frozen(server))
        server.resume()
        for number, client in enumerate(crowd):
            client.expect(f" w{wave}c{number}: hello$")
    fault.reported(f"instance frozen for {FROZEN_SECONDS} s while 100 come in", "all served")


def _answered(clients: Clients, crowd: list[LineClient]) -> int:
    clients.pump()
    return sum(len(client.lines) > 1 for client in crowd)  # the first line is the greeting


def test_a_frozen_instance_finds_out_before_it_serves_another_line(
    chat: Chat, clients: Clients, fault: Fault
) -> None:
    """Who lost their name while their server stood still is told so, and says nothing under it."""
    chat.settings["DISROOM_PRESENCE_LEASE"] = "3s"
    first, second = chat.instance(), chat.instance()
    ann = user(clients, first, "ann", "tea")
    ben = user(clients, second, "ben", "tea")
    cat = user(clients, second, "cat", "tea")
    second.pause()
    paused = time.monotonic()
    fault.proved(frozen(second))
    ann.expect(r"<-- ben, cat left \(server lost\)$", timeout=GONE_SECONDS)
    new = user(clients, first, "ben", "tea")
    ben.send_line("send <of the old ben>")
    ben.send_line("users")
    cat.send_line("send <of cat>")
    second.resume()
    resumed = time.monotonic()
    ben.expect(r"^Error: .*\(nick-lost\)$")
    ben.wait_ended()
    seconds = time.monotonic() - resumed
    ann.expect("#tea cat: <of cat>$")
    cat.expect("#tea cat: <of cat>$")
    fault.reported(
        f"instance frozen for {resumed - paused:.1f} s with a lease of 3 s",
        f"found out after {seconds:.1f} s, before it served a line",
    )
    assert not any("<of the old ben>" in line for line in ann.lines + new.lines + cat.lines)
    assert not any(line.startswith("Users in") for line in ben.lines[-3:])
    ann.send_line("users")
    eventually_blocking(lambda: "cat" in ann.expect("^Users in tea: "), timeout=5)
