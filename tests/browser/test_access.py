"""The page by keyboard, by ear, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.chromium import Page
from tests.cluster.chat import user
from tests.processes.disroom import DisroomProcess
from tests.processes.text_client import Clients

pytestmark = pytest.mark.needs("chromium")

Visit = Callable[..., Page]

FOCUS = "document.activeElement.id"
PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True}


def test_everything_is_done_by_keyboard(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """Coming in, writing, going from room to room, and reading back."""
    carol = user(clients, server, "carol", "tea")
    alice = visit(server)
    alice.wait_for(f"{FOCUS} === 'enter-nick'")
    alice.type("alice")
    alice.press("Tab")
    alice.press("Control+a")
    alice.type("tea")
    alice.press("Enter")
    alice.wait_for(f"{FOCUS} === 'text'")
    alice.type("hello")
    alice.press("Enter")
    carol.expect("alice: hello")
    alice.type("/join kitchen")
    alice.press("Enter")
    alice.wait_for("document.getElementById('title').textContent === '#kitchen'")
    alice.press("Alt+ArrowUp")
    alice.wait_for("document.getElementById('title').textContent === '#tea'")
    assert alice.evaluate(FOCUS) == "text"
    alice.press("Shift+Tab")  # past the messages, which take the focus to be scrolled
    assert alice.evaluate("document.activeElement.matches('.timeline')")


def test_a_draft_stays_with_its_room(server: DisroomProcess, visit: Visit) -> None:
    """What was not sent is there again when one comes back."""
    alice = visit(server)
    alice.enter("alice", "tea")
    alice.write("/join kitchen")
    alice.wait_for("document.getElementById('title').textContent === '#kitchen'")
    alice.type("for the kitchen")
    alice.go_to("tea")
    assert alice.evaluate("document.getElementById('text').value") == ""
    alice.go_to("kitchen")
    assert alice.evaluate("document.getElementById('text').value") == "for the kitchen"


def test_those_who_listen_hear_what_is_new(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """A polite region says who said what in the open room, and nothing of one's own."""
    alice = visit(server)
    alice.enter("alice", "tea")
    carol = user(clients, server, "carol", "tea")
    carol.send_line("send can you hear me?")
    heard = "document.querySelector('[aria-live=polite]').textContent"
    alice.wait_for(f"{heard} === 'carol: can you hear me?'")
    for number in range(10):
        carol.send_line(f"send {number}")
    alice.wait_for(f"{heard}.includes('carol: 9')")
    alice.write("yes")
    alice.says("yes")
    assert "yes" not in alice.evaluate(heard)


def test_everything_has_a_name_and_a_place(server: DisroomProcess, visit: Visit) -> None:
    """Buttons and fields say what they are; regions are landmarks; one heading is the first."""
    alice = visit(server)
    alice.enter("alice", "tea")
    unnamed = alice.evaluate(
        """[...document.querySelectorAll("button, input, textarea, nav, aside, dialog, [role=log]")]
          .filter((each) => each.checkVisibility() && !(each.textContent.trim() ||
            each.ariaLabel || each.getAttribute("aria-labelledby") || each.labels?.length))
          .map((each) => each.outerHTML)"""
    )
    assert unnamed == []
    outline = alice.outline()
    for part in (
        'navigation "Rooms and people"',
        'main "#tea"',
        'complementary "1 member"',
        'heading "#tea" [level=1]',
        'log "Messages in #tea"',
        'textbox "Message"',
        "status",
    ):
        assert part in outline


def test_a_phone_has_one_thing_at_a_time(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """The lists are drawers; Escape, the shade and a choice close them; nothing is cut off."""
    user(clients, server, "carol", "tea")
    alice = visit(server, **PHONE)
    alice.enter("alice", "tea")
    alice.hides("#sidebar")
    alice.hides("#members")
    alice.click("[data-open=sidebar]")
    alice.shows("#sidebar")
    alice.wait_for("document.querySelector('[data-open=sidebar]').ariaExpanded === 'true'")
    alice.press("Escape")
    alice.hides("#sidebar")
    assert alice.evaluate("document.activeElement.dataset.open") == "sidebar"
    alice.click("[data-open=members]")
    alice.shows("#members")
    alice.click("#member-list .entry:has-text('carol')")
    alice.hides("#members")
    alice.wait_for("document.getElementById('title').textContent === 'carol'")
    alice.write("W" * 500 + " and a long text " * 20)
    alice.says("and a long text")
    assert alice.evaluate("document.documentElement.scrollWidth") <= 360
    assert alice.evaluate(
        "(() => { const t = document.querySelector('.timeline:not([hidden])');"
        " return t.scrollWidth <= t.clientWidth; })()"
    )


def test_dark_and_light_follow_the_system_until_chosen(
    server: DisroomProcess, visit: Visit
) -> None:
    """And the choice stays."""
    ground = "getComputedStyle(document.body).backgroundColor"
    alice = visit(server, color_scheme="dark")
    bob = visit(server, color_scheme="light")
    dark, light = alice.evaluate(ground), bob.evaluate(ground)
    assert dark != light
    alice.enter("alice", "tea")
    alice.click("#theme")
    assert alice.evaluate(ground) == light
    alice.reload()
    alice.shows("#chat")
    assert alice.evaluate(ground) == light


CONTRASTS = """
() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) => {
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    const { data } = context.getImageData(0, 0, 1, 1);
    const [r, g, b] = [...data].map((value) => linear(value / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const behind = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const { backgroundColor } = getComputedStyle(each);
      if (backgroundColor !== "rgba(0, 0, 0, 0)") return backgroundColor;
    }
    return "white";
  };
  const sheet = document.querySelector(".timeline:not([hidden])");
  for (let hue = 0; hue < 12; hue += 1) {
    const sample = document.createElement("b");
    sample.className = `nick sample hue-${hue}`;
    const face = document.createElement("b");
    face.className = `avatar sample hue-${hue}`;
    sheet.append(sample, face);
  }
  const texts = ".sample, #chat button, #chat p, time, h1, h2";
  const shown = [...document.querySelectorAll(texts)].filter((each) => each.checkVisibility());
  const low = shown
    .map((each) => [contrast(getComputedStyle(each).color, behind(each)), each.outerHTML])
    .filter(([value]) => value < 4.5);
  document.querySelectorAll(".sample").forEach((each) => each.remove());
  return { shown: shown.length, low };
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_written_can_be_read(server: DisroomProcess, visit: Visit, scheme: str) -> None:
    """Every text, and each of the names' colours, has the contrast that WCAG's AA asks for."""
    alice = visit(server, color_scheme=scheme)
    alice.enter("alice", "tea")
    alice.write("hello")
    alice.says("hello")
    found: dict[str, Any] = alice.evaluate(CONTRASTS)
    assert found["low"] == []
    assert found["shown"] > 30
