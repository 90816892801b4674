"""People and programs are in one chat, whatever they connect with."""

from __future__ import annotations

import pytest

from tests.cluster.chat import Chat, enter, ids
from tests.processes.client import ProgramClient
from tests.processes.frame_client import FrameClient, device
from tests.processes.nats import NatsServer
from tests.processes.text_client import Clients

TURNS = 10


def stored(nats: NatsServer, chat: Chat, room: str) -> list[tuple[int, str]]:
    """The truth: the seqs and ids in the stream, read by code that is not the service's."""
    with nats.connect() as raw:
        messages = raw.stream_messages(chat.name, f"{chat.name}.room.{room}")
    return [(m.seq, ids([m.payload.decode("utf-8", "replace")])[0]) for m in messages]


@pytest.mark.needs("telnet")
@pytest.mark.needs("nc")
def test_telnet_nc_and_devices_see_every_message_once_in_one_order(
    chat: Chat, clients: Clients, nats: NatsServer
) -> None:
    """On two servers, in lines and in frames: the same messages, the same order, the same seqs."""
    servers = [chat.instance(), chat.instance()]
    people = {
        "ann": ProgramClient(clients, ["telnet", "127.0.0.1", str(servers[0].port)]),
        "ben": ProgramClient(clients, ["nc", "127.0.0.1", str(servers[1].port)]),
    }
    for nick, person in people.items():
        enter(person, nick, "tea")
    devices = [
        device(clients, server.address, f"dev-{number}", "tea")
        for number, server in enumerate(servers)
    ]
    acknowledged = {}
    for turn in range(TURNS):
        for nick, person in people.items():
            person.send_line(f"send <{nick}-{turn}>")
        requests = [
            d.request("send", room="tea", text=f"<dev-{turn}.{n}>") for n, d in enumerate(devices)
        ]
        for number, (sender, request) in enumerate(zip(devices, requests, strict=True)):
            acknowledged[f"<dev-{turn}.{number}>"] = sender.answer(request)["seq"]
    count = TURNS * 4
    for reader in devices:
        while len(reader.said("tea")) < count:
            reader.expect_message("said")
    truth = stored(nats, chat, "tea")
    assert len(truth) == count
    for reader in devices:
        assert reader.said("tea") == truth
    assert {text: seq for seq, text in truth if text in acknowledged} == acknowledged
    for person in people.values():
        seen: list[str] = []
        while len(seen) < count:
            seen += ids([person.expect(r"#tea [\w-]+: <")])
        assert seen == [text for _, text in truth]


def test_a_device_goes_on_at_another_server_when_its_own_is_killed(
    chat: Chat, clients: Clients
) -> None:
    """It resumes with what it has seen, and gets what it missed, once, and what follows."""
    first, second = chat.instance(), chat.instance()
    other = device(clients, second.address, "other", "tea")
    client = FrameClient(clients, first.address)
    hello = client.ask("hello", nick="dev")
    client.ask("join", room="tea")
    other.ask("send", room="tea", text="one")
    seen = client.expect_message("said", room="tea")["seq"]
    first.kill()
    client.wait_ended()
    other.ask("send", room="tea", text="two")
    client = FrameClient(clients, second.address)
    resumed = client.ask("hello", token=hello["token"], log=hello["log"], seqs={"tea": seen})
    assert (resumed["type"], resumed["nick"]) == ("ok", "dev")
    client.expect_message("said", text="two")
    other.ask("send", room="tea", text="three")
    client.expect_message("said", text="three")
    assert [text for _, text in client.said("tea")] == ["two", "three"]
    assert not [m for m in other.messages if m["type"] == "left"]


def test_a_server_that_stops_sends_devices_elsewhere(chat: Chat, clients: Clients) -> None:
    """It asks them to reconnect, and they go on at the next as if nothing had happened."""
    first, second = chat.instance(), chat.instance()
    client = FrameClient(clients, first.address)
    hello = client.ask("hello", nick="dev")
    client.ask("join", room="tea")
    first.stop()
    assert client.expect_message("reconnect")["code"] == "going-down"
    client.wait_ended()
    client = FrameClient(clients, second.address)
    resumed = client.ask("hello", token=hello["token"], log=hello["log"], seqs={"tea": 0})
    assert [room["room"] for room in resumed["rooms"]] == ["tea"]
