"""Whatever people and programs connect with, they are in one conversation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.chromium import Page
from tests.cluster.chat import Chat, enter, ids
from tests.eventually import eventually_blocking
from tests.processes.client import ProgramClient
from tests.processes.frame_client import device
from tests.processes.nats import NatsServer
from tests.processes.ports import ReservedPort
from tests.processes.terminal import Terminal
from tests.processes.text_client import Clients

TURNS = 5


@pytest.mark.needs("chromium", "telnet", "nc")
def test_telnet_nc_frames_a_terminal_and_a_browser_are_in_one_conversation(
    chat: Chat,
    clients: Clients,
    nats: NatsServer,
    visit: Callable[..., Page],
    web_port: ReservedPort,
    tmp_path: Path,
) -> None:
    """On two instances all see every message once, in the order of the stream, with its seqs."""
    first = chat.instance(options=[f"--web=127.0.0.1:{web_port.number}"])
    second = chat.instance()
    telnet = ProgramClient(clients, ["telnet", "127.0.0.1", str(first.port)])
    netcat = ProgramClient(clients, ["nc", "127.0.0.1", str(second.port)])
    enter(telnet, "telnet", "tea")
    enter(netcat, "nc", "tea")
    frames = device(clients, second.address, "frames", "tea")
    terminal = Terminal(clients, tmp_path, f"127.0.0.1:{second.port}", "-n", "term", "-r", "tea")
    terminal.see("#tea>")
    page = visit(first)
    page.enter("page", "tea")

    receipts = {}
    for turn in range(TURNS):
        telnet.send_line(f"send <telnet-{turn}>")
        netcat.send_line(f"send <nc-{turn}>")
        request = frames.request("send", room="tea", text=f"<frames-{turn}>")
        terminal.type(f"<term-{turn}>\r")
        page.write(f"<page-{turn}>")
        receipts[f"<frames-{turn}>"] = frames.answer(request)["seq"]

    count = 5 * TURNS
    with nats.connect() as raw:

        def stored() -> list[tuple[int, str]]:
            messages = raw.stream_messages(chat.name, f"{chat.name}.room.tea")
            return [(m.seq, json.loads(m.payload)["text"]) for m in messages]

        eventually_blocking(lambda: len(stored()) >= count)
        truth = stored()
    texts = [text for _, text in truth]
    assert len(truth) == len(set(texts)) == count

    while len(frames.said("tea")) < count:
        frames.expect_message("said")
    assert frames.said("tea") == truth
    assert {text: seq for seq, text in truth if text in receipts} == receipts
    for person in (telnet, netcat):
        seen: list[str] = []
        while len(seen) < count:
            seen += ids([person.expect(r"#tea \w+: <")])
        assert seen == texts
    netcat.send_line("history 1000")
    span = netcat.expect(r"^-- #tea \d+\.\.\d+; nothing older$")
    assert re.findall(r"\d+", span) == [str(truth[0][0]), str(truth[-1][0])]
    terminal.wait(lambda text: len(re.findall(r"#tea \w+: <", text)) >= count)
    assert re.findall(r"#tea \w+: (<[\w-]+>)", terminal.text) == texts
    page.says(*texts)
    assert page.said() == texts
    assert terminal.leave() == 0
