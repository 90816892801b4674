"""What is too large, too much, or more than there is room for is refused in words."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.chat import Chat, history, ids, user
from tests.eventually import eventually_blocking
from tests.faults.crowd import Crowd
from tests.faults.report import Fault
from tests.processes.client import LineClient
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.small_disk import NatsOnSmallDisk, SmallDisk
from tests.processes.text_client import Clients

NewNats = Callable[..., NatsServer]
DESCRIPTORS = 200
DISK_MEBIBYTES = 16
GIVE_UP_SECONDS = 17.0
"""A message is tried for 15, and the last attempt is waited for."""


def test_a_message_above_what_nats_takes(
    new_nats: NewNats, chat: Chat, clients: Clients, fault: Fault
) -> None:
    """Its sender is told how much would be taken; everything else goes on."""
    nats = new_nats(extra_config="max_payload: 1024\n")
    chat.nats_url = nats.url
    ann = user(clients, chat.instance(), "ann", "tea")
    ann.send_line("send <1>")
    ann.expect("ann: <1>$")
    with nats.connect() as raw:
        fault.proved(f"max_payload {raw.info['max_payload']}")
    ann.send_line("send " + "x" * 2000)
    error = ann.expect(r"^Error: .*\(text-too-long\)$", timeout=3)
    ann.send_line("send <2>")
    ann.expect("ann: <2>$")
    assert history(ann, "tea") == ["<1>", "<2>"]
    fault.reported("message above max_payload", repr(error))


def test_a_stream_that_is_full_and_discards_what_is_new(
    new_nats: NewNats, chat: Chat, clients: Clients, fault: Fault
) -> None:
    """Its sender is told at once, and history stays readable."""
    nats = new_nats()
    chat.nats_url = nats.url
    ann = user(clients, chat.instance(), "ann", "tea")
    ann.send_line("send <1>")
    ann.expect("ann: <1>$")
    with nats.connect() as raw:
        config = raw.stream_info(chat.name)["config"]
        config |= {"discard": "new", "max_bytes": raw.stream_info(chat.name)["state"]["bytes"]}
        raw.jetstream(f"STREAM.UPDATE.{chat.name}", config)
        stored = raw.stream_info(chat.name)
    fault.proved(f"{stored['state']['bytes']} of {stored['config']['max_bytes']} bytes used")
    ann.send_line("send <2>")
    error = ann.expect(r"^Error: .*\(not-stored\)$", timeout=3)
    assert history(ann, "tea") == ["<1>"]
    fault.reported("stream full, discard new", repr(error))


@pytest.mark.faults
@pytest.mark.needs("unshare")
def test_the_disk_is_full(tmp_path: Path, chat: Chat, clients: Clients, fault: Fault) -> None:
    """Senders are told within the time, the rest goes on, and nothing acknowledged is lost.

    NATS answers no more what it cannot write, and does not try again when there is room: it has to
    be restarted (see docs/operations.md). Whether it recovers by itself is not asked here.
    """
    disk_directory, nats_directory = tmp_path / "disk", tmp_path / "nats"
    with (
        SmallDisk(disk_directory, DISK_MEBIBYTES) as disk,
        NatsOnSmallDisk(nats_directory, disk) as nats,
    ):
        chat.nats_url = nats.url
        server = chat.instance()
        ann, ben = (user(clients, server, nick, "tea") for nick in ("ann", "ben"))
        ann.send_line("send <1>")
        ben.expect("ann: <1>$")
        disk.fill()
        full = time.monotonic()
        fault.proved(f"{disk.free_bytes} of {DISK_MEBIBYTES} MiB left")
        for number in (2, 3, 4):  # the first may fit into the last page
            ann.send_line(f"send <{number}> {'x' * 3000}")
        ann.expect("^-- your message is delayed; still trying$", timeout=3)
        before = history(ann, "tea")
        assert before in (["<1>"], ["<1>", "<2>"])
        late = user(clients, server, "late", "tea")
        late.send_line("msg ann psst")
        ann.expect(r"^\[.*\] \(private\) late: psst$")
        errors = [ann.expect(r"^Error: .*\(not-stored\)$", timeout=20) for _ in range(2)]
        told = time.monotonic() - full
        fault.proved(f"the log: {nats.output().rpartition(': ')[2].strip()}")
        assert "no space left" in nats.output()
        disk.make_room()
        nats.restart()
        eventually_blocking(lambda: said(ann, "<5>"), timeout=5)
        ben.expect("ann: <5>$")
        stored = history(ann, "tea")
        with nats.connect() as raw:
            in_stream = ids([m.payload.decode() for m in raw.stream_messages(chat.name)])
    fault.reported("disk full", f"{errors[0]!r}, both after {told:.1f} s", f"stored {stored}")
    assert told < GIVE_UP_SECONDS
    assert stored == in_stream
    assert stored[: len(before)] == before and stored[-1] == "<5>"
    assert len(set(stored)) == len(stored)


def said(client: LineClient, what: str) -> bool:
    """Say it, and tell whether it was stored."""
    client.send_line(f"send {what}")
    return client.expect(f": {what}$|not-stored", timeout=20).endswith(what)


@contextmanager
def open_files(most: int) -> Iterator[None]:
    """Processes started meanwhile may have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_file_descriptors_at_their_limit(chat: Chat, clients: Clients, fault: Fault) -> None:
    """Who comes too late is told so; those inside are served as before, and leave room again."""
    with open_files(DESCRIPTORS):
        server = chat.instance()
    ann, ben = (user(clients, server, nick, "tea") for nick in ("ann", "ben"))
    with Clients() as group:
        crowd = [LineClient(group, server.address) for _ in range(2 * DESCRIPTORS)]
        refused = 0
        for one in crowd:
            line = one.expect("^Welcome|^Error:")
            if line.startswith("Error:"):
                assert line.endswith("(server-full)"), line
                one.wait_ended()
                refused += 1
        fault.proved(f"{len(crowd)} connections at a limit of {DESCRIPTORS} descriptors")
        ann.send_line("send <1>")
        ben.expect("ann: <1>$", timeout=1)
    late = eventually_blocking(lambda: admitted(clients, server), message="no room is left")
    late.send_line("nick late\njoin tea\nsend <2>")
    ben.expect("late: <2>$")
    fault.reported("descriptors at their limit", f"{refused} of {len(crowd)} refused in words")
    assert refused >= DESCRIPTORS


def admitted(clients: Clients, server: DisroomProcess) -> LineClient | None:
    """Somebody who has connected and was greeted; None: the server is full."""
    client = LineClient(clients, server.address)
    return client if client.expect("^Welcome|^Error:").startswith("Welcome") else None


@pytest.mark.faults
def test_ten_thousand_connections_at_once(chat: Chat, clients: Clients, fault: Fault) -> None:
    """They are all let in, and talk; beyond the descriptors there are, the next are told so."""
    chat.settings["DISROOM_LIMITS_UNNAMED"] = "10m"  # they wait for each other before they talk
    with open_files(10_300):
        server = chat.instance()
    ann, ben = (user(clients, server, nick, "tea") for nick in ("ann", "ben"))
    memory, address = server.rss(), ("127.0.0.1", server.port)
    with Crowd(address, 4, 2500, "in") as crowd:
        came = crowd.arrived()
        assert (came["greeted"], came["refused"]) == (10_000, 0)
        each = (server.rss() - memory) / 10_000
        delay = heard_after(ann, ben, "<1>")
        talked = crowd.talk()
        talking = (server.rss() - memory) / 10_000
        with Crowd(address, 2, 250, "late") as late:
            turned_away = late.arrived()
            full = heard_after(ann, ben, "<2>")
    fault.proved(f"10000 connections of 4 processes at once, let in within {came['seconds']:.1f} s")
    fault.proved(f"then {turned_away['refused']:.0f} of 500 beyond the descriptors")
    fault.reported(
        "10,000 connections at once",
        f"{talked} talked; {each / 1024:.1f} KiB each, {talking / 1024:.1f} KiB having talked",
        f"those inside heard after {delay * 1000:.0f} ms, and when full after {full * 1000:.0f} ms",
    )
    assert talked == 10_000
    assert turned_away["greeted"] + turned_away["refused"] == 500
    assert turned_away["refused"] >= 250
    assert max(delay, full) < 1.0


def heard_after(sender: LineClient, reader: LineClient, text: str) -> float:
    """How many seconds after it was sent a message is read by another."""
    began = time.monotonic()
    sender.send_line(f"send {text}")
    reader.expect(f": {text}$")
    return time.monotonic() - began
