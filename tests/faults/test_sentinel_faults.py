"""Redis fails over to its replica, as Sentinel has it, while people talk."""

from __future__ import annotations

import time

from tests.cluster.chat import Chat
from tests.eventually import eventually_blocking
from tests.faults.proof import gone
from tests.faults.report import Fault
from tests.faults.talk import Talk
from tests.processes.client import LineClient
from tests.processes.nats import NatsServer
from tests.processes.sentinel import DOWN_MILLISECONDS, WatchedRedis
from tests.processes.text_client import Clients

SETTLE_SECONDS = 1.0
FOLLOWED_SECONDS = 6.0
"""From the new master's being one until everybody is in it: a reconnect and the settle window."""

SLOWEST_SECONDS = 1.0


def test_the_master_is_killed(
    watched_redis: WatchedRedis, chat: Chat, clients: Clients, nats: NatsServer, fault: Fault
) -> None:
    """Talk goes on; the rest works by itself soon after; nobody vanishes or loses a name."""
    chat.redis_url = watched_redis.url
    chat.settings["DISROOM_PRESENCE_SETTLE"] = f"{SETTLE_SECONDS}s"
    first, second = chat.instance(), chat.instance()
    talk = Talk(chat, clients, [first, second], rooms=3, each=4, rate=50)
    talk.run(1)
    full = {
        f"Users in {room}: {', '.join(t.nick for t in talk.talkers if t.room == room)}"
        for room in ("r0", "r1", "r2")
    }
    thieves = [LineClient(clients, server.address) for server in (first, second)]
    asking = LineClient(clients, second.address)
    for client in (*thieves, asking):
        client.expect("^Welcome")
    old, new = watched_redis.servers
    old.kill()
    killed = time.monotonic()
    fault.proved(gone(old))
    promoted = followed = 0.0
    while not followed and time.monotonic() < killed + 20:
        talk.run(0.2)
        if not promoted and new.role[0] == b"master":
            promoted = time.monotonic() - killed
            fault.proved(f"pid {new.pid} promoted after {promoted:.1f} s")
        for thief, talker in zip(thieves, reversed(talk.talkers), strict=False):
            thief.send_line(f"nick {talker.nick}")
        seen = len(asking.lines)
        asking.send_line("users r0\nusers r1\nusers r2\nping")
        asking.expect("^Pong$", timeout=5)
        answers = {line for line in asking.lines[seen:] if line.startswith("Users in")}
        stale = any("out of date" in line for line in asking.lines[seen:])
        if promoted and answers == full and not stale:
            followed = time.monotonic() - killed
    late = LineClient(clients, first.address)
    late.expect("^Welcome")
    late.send_line("nick late\njoin r0")
    late.expect("^Joined room r0 as late$", timeout=2)
    talk.run(1)
    with nats.connect() as raw:
        verdict = talk.verdict(raw)
    for thief in thieves:
        thief.send_line("ping")
        tried = thief.collect_until("^Pong$", timeout=10)
        assert not any(line.startswith("You are") for line in tried), tried
        assert any(line.endswith("(nick-taken)") for line in tried), tried
    slowest = max(at - t.said[id_] for t in talk.talkers for id_, at in t.heard.items())
    fault.reported(
        f"Redis's master killed, down after {DOWN_MILLISECONDS} ms to 3 Sentinels",
        verdict,
        f"presence whole {followed - promoted:.1f} s after the promotion",
        f"slowest message {slowest:.2f} s",
    )
    verdict.check()
    assert promoted and followed
    assert followed - promoted < FOLLOWED_SECONDS
    assert slowest < SLOWEST_SECONDS
    assert not [line.text for t in talk.talkers for line in t.told("<--")]
    eventually_blocking(lambda: watched_redis.master is new)
