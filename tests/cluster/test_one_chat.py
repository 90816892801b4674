"""Several instances on the same brokers are one chat, counted by clients from outside."""

from __future__ import annotations

import re

import pytest

from tests.cluster.chat import Chat, enter, history, ids, user
from tests.processes.client import LineClient, ProgramClient
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.text_client import Clients

ROOMS = 10
MESSAGES = 200
SENDERS = 4


def program(clients: Clients, name: str, server: DisroomProcess) -> ProgramClient:
    """Connect with a program that people use."""
    return ProgramClient(clients, [name, "127.0.0.1", str(server.port)])


def stored_ids(nats: NatsServer, chat: Chat, room: str) -> list[str]:
    """The truth: the ids in the stream, read by code that is not the service's."""
    with nats.connect() as raw:
        messages = raw.stream_messages(chat.name, f"{chat.name}.room.{room}")
    return ids([message.payload.decode("utf-8", "replace") for message in messages])


@pytest.mark.needs("telnet")
@pytest.mark.needs("nc")
def test_four_users_on_two_servers_are_in_one_room(
    chat: Chat, clients: Clients, nats: NatsServer
) -> None:
    """Real telnet and nc, two on each server: all see each message once, in one order."""
    first, second = chat.instance(), chat.instance()
    users = {
        "ann": program(clients, "telnet", first),
        "ben": program(clients, "nc", first),
        "cat": program(clients, "telnet", second),
        "dan": program(clients, "nc", second),
    }
    for nick, client in users.items():
        enter(client, nick, "tea")
    for turn in range(5):
        for nick, client in users.items():
            client.send_line(f"send <{nick}-{turn}>")
    sent = {f"<{nick}-{turn}>" for nick in users for turn in range(5)}
    logs = []
    for client in users.values():
        seen: list[str] = []
        while len(seen) < len(sent):
            seen += ids([client.expect(r"#tea \w+: <")])
        logs.append(seen)
    assert set(logs[0]) == sent
    assert all(log == logs[0] for log in logs)
    assert stored_ids(nats, chat, "tea") == logs[0]

    for client in users.values():
        client.send_line("users")
        client.expect(r"^Users in tea: ann, ben, cat, dan$")

    second.kill()
    users["ann"].expect(r"<-- cat, dan left \(server lost\)$", timeout=15)
    users["ben"].send_line("users")
    users["ben"].expect(r"^Users in tea: ann, ben$")

    late = user(clients, first, "eve", "tea")
    assert history(late, "tea") == logs[0]


def test_every_log_is_the_history(chat: Chat, clients: Clients, nats: NatsServer) -> None:
    """Ten rooms, 200 messages each, through two servers, with people who join in the middle."""
    servers = [chat.instance(), chat.instance()]
    rooms = [f"room{n}" for n in range(ROOMS)]
    members: dict[str, list[LineClient]] = {
        room: [
            user(clients, servers[place % 2], f"{room}-u{place}", room) for place in range(SENDERS)
        ]
        for room in rooms
    }
    turns = MESSAGES // SENDERS
    for turn in range(turns):
        for room in rooms:
            for place, client in enumerate(members[room][:SENDERS]):
                client.send_line(f"send <{room}.{place}.{turn}>")
        if turn == turns // 2:
            for number, room in enumerate(rooms):
                late = LineClient(clients, servers[number % 2].address)
                late.send_line(f"nick {room}-late\njoin {room}")
                members[room].append(late)
            for room in rooms:  # while what was said before is on its way
                members[room][-1].expect(f"Joined room {room}")

    for room in rooms:
        first, *others, late = members[room]
        for client in members[room]:
            wait_for_all(client, room, turns)
        truth = stored_ids(nats, chat, room)
        assert len(truth) == MESSAGES and len(set(truth)) == MESSAGES
        for client in (first, *others):
            assert ids(client.lines) == truth
        seen = ids(late.lines)
        assert seen == truth[-len(seen) :]
        assert len(seen) >= MESSAGES // 2 - SENDERS
        assert history(late, room) == truth
        for place in range(SENDERS):
            own = [id_ for id_ in truth if id_.startswith(f"<{room}.{place}.")]
            assert own == [f"<{room}.{place}.{turn}>" for turn in range(turns)]


def wait_for_all(client: LineClient, room: str, turns: int) -> None:
    """Wait until a client has seen the last message of each sender."""
    missing = {f"<{room}.{place}.{turns - 1}>" for place in range(SENDERS)}
    missing -= set(ids(client.lines))
    while missing:
        pattern = "|".join(re.escape(id_) for id_ in missing)
        missing -= set(ids([client.expect(pattern, timeout=60)]))
