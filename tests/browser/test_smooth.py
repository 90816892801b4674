"""A room with thousands of messages is as quick as one with a few."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest

from tests.browser.chromium import Page
from tests.cluster.chat import user
from tests.processes.client import LineClient
from tests.processes.disroom import DisroomProcess
from tests.processes.text_client import Clients

pytestmark = pytest.mark.needs("chromium")

Visit = Callable[..., Page]

MANY = 5_000
FEW = 100

FRAME = """
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => {
    const began = performance.now();
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(performance.now() - began);
    channel.port2.postMessage(null);
  }));
  const timeline = document.querySelector(".timeline:not([hidden])");
"""
"""Measures the milliseconds of style, layout and paint in the next frame."""

SCROLL = (
    f"async (steps) => {{ {FRAME}"
    + """
  const frames = [];
  for (let step = 0; step < steps; step += 1) {
    const range = timeline.scrollHeight - timeline.clientHeight;
    timeline.scrollTop = -((step * 500) % range);
    frames.push(await frame());
  }
  timeline.scrollTop = 0;
  return frames;
}"""
)
"""Scrolls by 500 pixels a frame, and measures each."""

WRITE = (
    f"async (text) => {{ {FRAME}"
    + """
  document.querySelector("#composer button").click();
  const frames = [];
  do frames.push(await frame());
  while (!timeline.querySelector(".chunks").lastElementChild.textContent.includes(text));
  return Math.max(...frames);
}"""
)
"""Sends what is written, and measures the longest frame until it is there."""

SHOWN = "document.querySelector('.timeline:not([hidden])').textContent.includes('number {}.')"


def test_a_room_with_many_messages_is_smooth(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """A frame while scrolling through 5,000 takes little more than through 100.

    And so does the frame in which one more comes.
    """
    alice = visit(server, viewport={"width": 1280, "height": 800})
    alice.enter("alice", "few")
    talker = user(clients, server, "talker", "few")
    say(talker, "few", FEW, alice)
    few = alice.evaluate(SCROLL, 120)
    few_more = one_more(alice)

    alice.write("/join many")
    alice.wait_for("document.getElementById('title').textContent === '#many'")
    talker.send_line("join many")
    talker.expect("Joined room many")
    say(talker, "many", MANY, alice)
    assert alice.said() == [f"number {number}." for number in range(MANY)]
    many = alice.evaluate(SCROLL, 400)
    many_more = one_more(alice)

    scrolling = statistics.median(few), statistics.median(many)
    writing = statistics.median(few_more), statistics.median(many_more)
    print(f"scrolling: {scrolling[0]:.1f} and {scrolling[1]:.1f} ms a frame")
    print(f"one more: {writing[0]:.1f} and {writing[1]:.1f} ms")
    for yardstick, value in (scrolling, writing):
        assert value < 3 * yardstick + 8  # half a frame of 60 a second


def say(talker: LineClient, room: str, count: int, page: Page) -> None:
    """Say many things in a room, and wait until the page has the last."""
    lines = "".join(f"send #{room} number {number}.\r\n" for number in range(count))
    talker.send(lines.encode())
    talker.expect(f"number {count - 1}\\.$", timeout=60)
    page.wait_for(SHOWN.format(count - 1))


def one_more(page: Page) -> list[float]:
    """Write some messages: of each the longest frame until it is drawn."""
    worst = []
    for number in range(10):
        page.fill("#text", f"one more {number}")
        worst.append(float(page.evaluate(WRITE, f"one more {number}")))
    return worst
