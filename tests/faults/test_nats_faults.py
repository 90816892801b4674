"""A single NATS server goes, stands still, loses its stream or refuses its clients."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable

import pytest

from tests.cluster.chat import Chat, history, ids, user
from tests.faults.notices import judge_notices
from tests.faults.proof import frozen, gone
from tests.faults.readiness import readiness
from tests.faults.report import Fault
from tests.faults.talk import Talk
from tests.processes.nats import NatsServer
from tests.processes.nats_proxy import NatsProxy
from tests.processes.rawnats import RawNats
from tests.processes.text_client import Clients

AFTER_RETURN_SECONDS = 2.0
NOTICED_SECONDS = 6.0
QUIET_SECONDS = 12.0
GIVE_UP_SECONDS = 15.0

NewNats = Callable[..., NatsServer]


@pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=pytest.mark.faults)])
def test_nats_is_gone_for_a_while(
    new_nats: NewNats, chat: Chat, clients: Clients, fault: Fault, seconds: int
) -> None:
    """Senders are told of the delay, then of the failure; all goes on within 2 s of the return."""
    nats = new_nats()
    chat.nats_url = nats.url
    talk = Talk(chat, clients, [chat.instance(), chat.instance()], rate=40)
    talk.run(1)
    nats.kill()
    fault.proved(gone(nats))
    talk.run(seconds)
    failed = sum(talker.failed for talker in talk.here)
    nats.start()
    returned = time.monotonic()
    talk.run_until(lambda: talk.answered_since(returned), 10)
    talk.run(1)
    with nats.connect() as raw:
        verdict = talk.verdict(raw)
    resumed = talk.resumed(returned)
    notices = judge_notices(talk.here)
    fault.reported(
        f"NATS gone for {seconds} s", verdict, notices, f"all talk again after {resumed:.1f} s"
    )
    verdict.check()
    notices.check()
    assert notices.senders == len(talk.here)
    assert (failed > 0) == (seconds > GIVE_UP_SECONDS), "told of failures at the wrong time"
    assert resumed < AFTER_RETURN_SECONDS


@pytest.mark.parametrize("seconds", [5, pytest.param(30, marks=pytest.mark.faults)])
def test_nats_stands_still(
    new_nats: NewNats, chat: Chat, clients: Clients, fault: Fault, seconds: int
) -> None:
    """A frozen NATS is noticed within 6 s, and forgotten within 2 s of its going on."""
    nats = new_nats()
    chat.nats_url = nats.url
    first = chat.instance(admin="0")
    talk = Talk(chat, clients, [first, chat.instance()], rate=40)
    talk.run(1)
    assert readiness(first)[0]
    nats.pause()
    paused = time.monotonic()
    fault.proved(frozen(nats))
    assert talk.run_until(lambda: not readiness(first)[0], NOTICED_SECONDS), "not noticed"
    noticed = time.monotonic() - paused
    assert "nats: not reachable" in readiness(first)[1]
    talk.run(max(0.0, paused + seconds - time.monotonic()))
    nats.resume()
    returned = time.monotonic()
    talk.run_until(lambda: talk.answered_since(returned), 10)
    talk.run(1)
    with nats.connect() as raw:
        verdict = talk.verdict(raw)
    resumed = talk.resumed(returned)
    notices = judge_notices(talk.here)
    fault.reported(
        f"NATS frozen for {seconds} s",
        verdict,
        notices,
        f"noticed after {noticed:.1f} s",
        f"all talk again after {resumed:.1f} s",
    )
    verdict.check()
    notices.check()
    assert notices.senders == len(talk.here)
    assert resumed < AFTER_RETURN_SECONDS


@pytest.mark.faults
def test_what_was_reported_as_failed_and_is_stored_after_all_is_said_so(
    new_nats: NewNats, chat: Chat, clients: Clients, fault: Fault
) -> None:
    """When every answer of NATS is lost for longer than a sender is kept waiting."""
    nats = new_nats()
    with NatsProxy(("127.0.0.1", nats.port)) as proxy:
        first = chat.instance(nats=[proxy.url])
        chat.nats_url = nats.url
        ann = user(clients, first, "ann", "tea")
        proxy.drop_subjects("to_client", "")
        ann.send_line("send <lost answer>")
        ann.expect("^-- your message is delayed; still trying$")
        ann.expect(r"^Error: .*\(not-stored\)$", timeout=GIVE_UP_SECONDS + 3)
        fault.proved(f"{len(proxy.dropped())} answers dropped")
        proxy.drop_nothing()
        restored = time.monotonic()
        ann.expect("^-- what was reported as not stored is in #tea after all:$", QUIET_SECONDS)
        ann.expect("#tea ann: <lost answer>$")
        seconds = time.monotonic() - restored
    assert sum("ann: <lost answer>" in line for line in ann.lines) == 1
    fault.reported(
        "every answer of NATS lost for 15 s", f"stored after all: said {seconds:.1f} s later"
    )


def test_live_copies_are_lost_and_then_the_room_is_quiet(
    new_nats: NewNats, chat: Chat, clients: Clients, fault: Fault
) -> None:
    """Members whose instance did not get the messages have them within 12 s, in order."""
    nats = new_nats()
    chat.nats_url = nats.url
    with NatsProxy(("127.0.0.1", nats.port)) as proxy:
        first, second = chat.instance(), chat.instance(nats=[proxy.url])
        talk = Talk(chat, clients, [first, second], rooms=3, each=2, rate=50)
        talk.run(1)
        talk.settle()
        proxy.drop_subjects("to_client", f"{chat.name}.live.")
        for talker in talk.on(first):
            talk.scheduled += 3
            for _ in range(3):
                talker.say()
        last = time.monotonic()
        talk.wait(lambda: len(proxy.dropped()) >= 9, 5, lambda: "no copy was dropped")
        fault.proved(f"{len(proxy.dropped())} live copies dropped")
        ends = {t.room: f"<{t.room}.{t.nick}.{len(t.said) - 1}>" for t in talk.on(first)}
        talk.wait(
            lambda: all(t.seen[-1] == ends[t.room] for t in talk.on(second)),
            QUIET_SECONDS,
            lambda: str([t.seen[-1:] for t in talk.on(second)]),
        )
        seconds = max(t.seen_at[-1] for t in talk.on(second)) - last
        with nats.connect() as raw:
            verdict = talk.verdict(raw)
    fault.reported("live copies towards an instance lost", verdict, f"seen {seconds:.1f} s later")
    verdict.check()


def test_the_stream_is_deleted_and_made_again_beneath_the_service(
    new_nats: NewNats, chat: Chat, clients: Clients, fault: Fault
) -> None:
    """Every room is told that messages may be missing, and what is said from then on is read."""
    nats = new_nats()
    chat.nats_url = nats.url
    first, second = chat.instance(), chat.instance()
    ann, ben = user(clients, first, "ann", "tea"), user(clients, second, "ben", "tea")
    for number in range(20):
        ann.send_line(f"send <before-{number}>")
    ben.expect("<before-19>")
    with nats.connect() as raw:
        config = raw.stream_info(chat.name)["config"]
        before = raw.stream_info(chat.name)["created"]
        raw.jetstream(f"STREAM.DELETE.{chat.name}")
        raw.jetstream(f"STREAM.CREATE.{chat.name}", config)
        after = raw.stream_info(chat.name)["created"]
        deleted = time.monotonic()
        fault.proved(f"stream created {before} -> {after}")
        for number in range(30):
            ann.send_line(f"send <after-{number}>")
        gaps = [c.expect("^-- #tea: the message log was started anew", 15) for c in (ann, ben)]
        seconds = time.monotonic() - deleted
        ann.send_line("send <last>")
        for client in (ann, ben):
            client.expect("<last>")
        stored = ids([m.payload.decode() for m in raw.stream_messages(chat.name)])
    assert stored == [*(f"<after-{n}>" for n in range(30)), "<last>"]
    assert len(gaps) == 2
    for client in (ann, ben):
        seen = ids([line for line in client.lines if "<after" in line or "<last" in line])
        assert seen == stored
        assert history(client, "tea") == stored
    fault.reported(
        "stream deleted and recreated", f"said after {seconds:.1f} s; 31 of 31 read after it"
    )


def reconfigure(nats: NatsServer, authorization: str, how: str) -> None:
    """Have NATS ask for other credentials: by a restart, or reload, which closes with -ERR."""
    nats.extra_config = authorization
    if how == "restart":
        nats.restart()
        return
    file = nats.directory / f"{nats.name}.conf"
    text = re.sub("^authorization.*", authorization, file.read_text("utf-8"), flags=re.M)
    file.write_text(text, "utf-8")
    os.kill(nats.pid, signal.SIGHUP)


@pytest.mark.parametrize("how", ["reload", pytest.param("restart", marks=pytest.mark.faults)])
def test_credentials_that_no_longer_fit_are_reported(
    new_nats: NewNats, chat: Chat, clients: Clients, fault: Fault, how: str
) -> None:
    """After a rotation the server says that it is not ready, and recovers when they fit again."""
    right = 'authorization { user: "chat", password: "right" }'
    nats = new_nats(extra_config=right)
    chat.nats_url = nats.url
    chat.settings |= {"DISROOM_NATS_USER": "chat", "DISROOM_NATS_PASSWORD": "right"}
    server = chat.instance(admin="0")
    talk = Talk(chat, clients, [server], rooms=2, each=2, rate=20)
    talk.run(1)
    reconfigure(nats, right.replace("right", "rotated"), how)
    rotated = time.monotonic()
    assert talk.run_until(lambda: not readiness(server)[0], NOTICED_SECONDS), "not reported"
    talk.run_until(lambda: "uthorization" in server.output(), 5)
    fault.proved(
        "the log: " + next(s for s in server.output().splitlines() if "uthoriz" in s)[-60:]
    )
    talk.run(1)
    assert not readiness(server)[0]
    reconfigure(nats, right, how)
    fitting = time.monotonic()
    talk.run_until(lambda: talk.answered_since(fitting), 10)
    assert readiness(server)[0]
    with RawNats(nats.port, user="chat", password="right") as raw:
        verdict = talk.verdict(raw)
    fault.reported(
        f"credentials rotated ({how}), wrong for {fitting - rotated:.1f} s",
        verdict,
        f"all talk again after {talk.resumed(fitting):.1f} s",
    )
    verdict.check()
    assert talk.resumed(fitting) < AFTER_RETURN_SECONDS
