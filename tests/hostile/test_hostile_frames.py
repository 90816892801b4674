"""One program that speaks frames, however slow or hostile, costs the others nothing."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import msgspec
import pytest

from tests.hostile.company import ROOM, Company
from tests.hostile.test_hostile import LITTLE, UNSEEN
from tests.processes.frame_client import FrameClient, device
from tests.processes.text_client import Clients

GREATEST = 65536

BAD_LENGTHS = {
    "one too many": (GREATEST + 1).to_bytes(4, "big"),
    "16 MiB": b"\x00\xff\xff\xff",
    "4 GiB": b"\xff\xff\xff\xff",
    "no length but text": b"GET / HTTP/1.1\r\n",
}

BAD_BODIES = {
    "nothing": b"",
    "nil": b"\xc0",
    "a number": b"\x07",
    "an array": b"\x93\x01\x02\x03",
    "no MessagePack": b"\xc1",
    "JSON": b'{"op":"ping","id":1}',
    "a map that is cut off": b"\x82\xa2op\xa4ping",
    "a map and more": b"\x82\xa2op\xa4ping\xa2id\x01\x00",
    "a map of 4 billion": b"\xdf\xff\xff\xff\xff",
    "an array of 4 billion": b"\x83\xa2op\xa4ping\xa2id\x01\xa1x\xdd\xff\xff\xff\xff",
    "names that are numbers": b"\x82\x01\x02\xa2op\xa4ping",
    "no UTF-8 in the op": b"\x82\xa2op\xa4\xff\xfe\xfd\xfc\xa2id\x01",
    "no UTF-8 in a text": b"\x84\xa2op\xa4send\xa2id\x01\xa4room\xa3tea\xa4text\xa2\xc3\x28",
    "deep arrays": b"\x83\xa2op\xa4ping\xa2id\x01\xa1x" + b"\x91" * 60_000 + b"\xc0",
    "deep maps": b"\x83\xa2op\xa4ping\xa2id\x01\xa1x" + b"\x81\xa1x" * 20_000 + b"\xc0",
}

REFUSED: list[dict[str, Any]] = [
    {},
    {"op": "dance"},
    {"op": ["send"]},
    {"op": "send", "room": ROOM},
    {"op": "send", "room": ROOM, "text": 5},
    {"op": "send", "room": [ROOM], "text": "x"},
    {"op": "send", "room": ROOM, "text": "x", "key": "k" * 65},
    {"op": "send", "room": ROOM, "text": "x" * 5000},
    {"op": "send", "room": ROOM, "text": "\u200b"},
    {"op": "join", "room": "a.b >*"},
    {"op": "join", "room": "r" * 60_000},
    {"op": "nick", "nick": "\u202eevil"},
    {"op": "history", "room": ROOM, "count": 0},
    {"op": "history", "room": ROOM, "count": float("nan")},
    {"op": "history", "room": ROOM, "before": -1},
    {"op": "history", "room": ROOM, "before": 2**63},
    {"op": "hello", "token": "x" * 60_000},
    {"op": "hello", "seqs": {str(n): n for n in range(5000)}},
    {"op": "ping", "id": float("nan")},
    {"op": "ping", "id": msgspec.msgpack.Ext(5, b"x")},
    {"op": "ping", "id": 2**64 - 1},
]


def pour(client: FrameClient, data: bytes) -> None:
    """Send all of it, unless the connection ends before."""
    with contextlib.suppress(OSError, AssertionError):
        client.send(data)


@pytest.mark.parametrize("head", BAD_LENGTHS.values(), ids=BAD_LENGTHS)
def test_lengths_that_are_too_great(head: bytes, default: Company, clients: Clients) -> None:
    """They are refused by their four bytes, whatever follows, and nothing is kept of it."""
    with default.undisturbed() as seen:
        client = device(clients, default.server.address, "greedy", ROOM)
        pour(client, head + b"x" * (4 << 20))
        goodbye = client.expect_message("goodbye")
        assert goodbye["code"] == "frame-too-long"
        client.wait_ended()
        default.sees(r"<-- greedy left \(frame too long\)$")
    assert seen.growth < 8 << 20
    assert seen.cpu < 2


def test_frames_with_no_request_in_them(small: Company, clients: Clients) -> None:
    """Each ends its connection with the reason, at once and at no cost."""
    with small.undisturbed() as seen:
        for name, body in BAD_BODIES.items():
            client = FrameClient(clients, small.server.address)
            client.send_frame(body)
            assert client.expect_message("goodbye")["code"] == "bad-frame", name
            client.wait_ended()
            assert len(client.messages) == 1
    assert seen.growth < 8 << 20


def test_requests_with_something_wrong_in_them(small: Company, clients: Clients) -> None:
    """Each is refused with a reason, and the client may go on."""
    with small.undisturbed():
        client = device(clients, small.server.address, "clumsy", ROOM)
        for fields in REFUSED:
            refused = len(client.messages)
            client.send_frame(msgspec.msgpack.encode({"id": 1 << 40, **fields}))
            answer = client.expect_message("error")
            assert answer["code"] != "internal", (fields, answer)
            assert answer.get("id", 1 << 40) == 1 << 40
            assert len(answer["message"]) < 200
            assert len(client.messages) > refused
        assert client.ask("ping")["type"] == "ok"
        client.close()


def test_many_requests_under_one_id(small: Company, clients: Clients) -> None:
    """The client alone must know what it means by an id: each request is answered."""
    with small.undisturbed():
        client = device(clients, small.server.address, "repeating", ROOM)
        ping = msgspec.msgpack.encode({"op": "ping", "id": 1 << 40})
        for _ in range(100):
            client.send_frame(ping)
        for _ in range(100):
            client.expect_message("ok", id=1 << 40)
        client.close()


def test_one_message_under_one_key_again_and_again(small: Company, clients: Clients) -> None:
    """It is in the room once."""
    with small.undisturbed():
        client = device(clients, small.server.address, "insistent", ROOM)
        asked = [client.request("send", room=ROOM, text="23.5", key="k") for _ in range(50)]
        assert len({client.answer(id_)["seq"] for id_ in asked}) == 1
        client.ask("exit")
        small.sees("<-- insistent left")
        assert len([line for line in small.lines if "insistent: 23.5" in line]) == 1


def test_half_frames_and_then_silence(small: Company, clients: Clients) -> None:
    """Whoever has no name keeps no place for longer than others may, whatever it has begun."""
    with small.undisturbed():
        halves = []
        for half in (b"\0", b"\0\0\0", b"\0\0\xff\xff", b"\0\0\xff\xff" + b"x" * 60_000):
            client = FrameClient(clients, small.server.address)
            client.send(half)
            halves.append(client)
        for client in halves:
            assert client.expect_message("goodbye")["code"] == "unnamed"
            client.wait_ended()


def test_huge_maps_one_after_the_other(small: Company, clients: Clients) -> None:
    """The greatest there can be, a hundred times: each is read for what it is, or refused."""
    with small.undisturbed() as seen:
        client = device(clients, small.server.address, "stuffed", ROOM)
        stuffing = {f"{n:05}": n for n in range(6000)}
        seqs = {f"{'ж' * 20}{n}": n for n in range(1000)}
        for _ in range(100):
            ping = client.request("ping", **stuffing)
            hello = client.request("hello", token="a.b", seqs=seqs)
            assert client.answer(ping)["type"] == "ok"
            assert client.answer(hello)["code"] in ("no-session", "named-already")
        client.close()
    assert seen.growth < 16 << 20
    assert seen.cpu < 5


def test_what_would_move_a_terminals_cursor(small: Company, clients: Clients) -> None:
    """What a program sends is cleaned for people and programs alike."""
    with small.undisturbed():
        client = device(clients, small.server.address, "colourful", ROOM)
        for number, unseen in enumerate(UNSEEN):
            client.ask(
                "send", room=ROOM, text=f"a{unseen}b\r\n[00:00:00] #tea ann: forged {number}"
            )
            client.ask("topic", room=ROOM, text=f"c{unseen}d\n{number}")
            client.ask("away", text=f"e{unseen}f\n{number}")
        small.sees(f"colourful: a.*b .*forged {len(UNSEEN) - 1}$")
        assert not [line for line in small.lines if re.match(r"\[00:00:00\]", line)]
        for message in client.messages:
            text = message.get("text", "")
            assert text.isprintable() or "\u200d" in text, ascii(text)
        client.close()


def test_ten_thousand_requests_at_once_are_slowed_down(default: Company, clients: Clients) -> None:
    """By default they are read at the pace, and the rest stays in the network."""
    with default.undisturbed() as seen:
        client = device(clients, default.server.address, "hasty", ROOM)
        ping = msgspec.msgpack.encode({"op": "ping", "id": 1 << 40})
        pour(client, (len(ping).to_bytes(4, "big") + ping) * 10_000)
        client.expect_message("ok", id=1 << 40)
    assert len(client.messages) < 300
    assert seen.cpu < 3
    client.reset()


def test_one_that_never_reads_while_its_room_is_flooded(small: Company, clients: Clients) -> None:
    """It is closed once its queue is full, and the room reads why it is gone."""
    with Clients() as unread, small.undisturbed():
        mute = FrameClient(unread, small.server.address, receive_buffer=LITTLE)
        mute.ask("nick", nick="mute")
        mute.ask("join", room=ROOM)
        flooder = device(clients, small.server.address, "flooder", ROOM)
        for _ in range(200):
            last = [flooder.request("send", room=ROOM, text="x" * 3000) for _ in range(50)][-1]
            flooder.answer(last)
            if [line for line in small.lines if "mute left" in line]:
                break
        small.sees(r"<-- mute left \(not reading\)$")
        flooder.close()


def test_resets_at_every_stage(small: Company, clients: Clients) -> None:
    """Wherever a conversation breaks off, nothing is left of it."""
    nick = b"\x83\xa2op\xa4nick\xa2id\x01\xa4nick\xa5stage"
    stream = len(nick).to_bytes(4, "big") + nick
    with small.undisturbed():
        for size in range(0, len(stream) + 1, 3):
            breaking = FrameClient(clients, small.server.address)
            breaking.send(stream[:size])
            breaking.reset()
        client = FrameClient(clients, small.server.address)
        client.ask("nick", nick="stage")
        client.ask("join", room=ROOM)
        client.reset()
        small.sees(r"<-- stage left \(connection lost\)$")
        client = device(clients, small.server.address, "stage")
        client.close()
