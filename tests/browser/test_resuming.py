"""Reloads, lost connections and dead servers: nothing is missed, nothing comes twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.chromium import SAID, Page
from tests.cluster.chat import Chat, user
from tests.processes.client import LineClient
from tests.processes.disroom import DisroomProcess
from tests.processes.ports import ReservedPort
from tests.processes.text_client import Clients
from tests.processes.websocket_client import WebSocketClient

pytestmark = pytest.mark.needs("chromium")

Visit = Callable[..., Page]
Apart = Callable[..., tuple[DisroomProcess, Page, LineClient]]

ONLINE = "document.body.dataset.connection === 'online'"
OFFLINE = "document.body.dataset.connection !== 'online'"
HELD = """() => {
  window.opened = 0;
  window.sent = [];
  window.shown = []; // the token of each hello
  window.withheld = [];
  window.swollen = null;
  window.waits = []; // from each goodbye to the next attempt
  window.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url);
      window.socket = this;
      window.opened += 1;
      if (window.dismissed) window.waits.push(performance.now() - window.dismissed);
      window.dismissed = 0;
      this.addEventListener("message", ({ data }) => {
        if (JSON.parse(data).type === "goodbye") window.dismissed = performance.now();
      });
    }
    send(message) {
      const { op, text, token } = JSON.parse(message);
      window.sent.push(op);
      if (op === "hello") window.shown.push(token);
      if (text && text === window.swollen) message = message.padEnd(70_000);
      if (!window.withheld.includes(op)) super.send(message);
    }
  };
}"""
"""Gives the test the page's socket, and what is sent, and lets it withhold or swell some of it."""

WOVEN = """async () => {
  const { Conversation } = await import("/conversation.js");
  const room = new Conversation("room", "tea");
  const said = (seq, at) => ({ type: "said", seq, at, text: seq });
  room.append({ ...said(500, 10), text: "old log" });
  room.forgetSeqs();
  room.append({ type: "info", at: 11, text: "hi" });
  room.append(said(1, 20));
  room.append(said(8, 80));
  room.append({ type: "info", at: 85, text: "late note" });
  room.append(said(10, 70));
  const gap = { type: "gap", first: 3, last: 6, at: 30, text: "gap" };
  room.merge([said(2, 5), gap, said(7, 90), said(8, 80), said(9, 86)]);
  return room.entries.map(({ text }) => text);
}"""

NOTHING_UNSENT = "document.querySelectorAll('.unsent').length === 0"


@pytest.fixture
def apart(chat: Chat, web_port: ReservedPort, visit: Visit, clients: Clients) -> Apart:
    """Let alice's page be on a server of its own and bob on another, both in the tea room.

    Keyword arguments are settings of the chat; with `held` see `HELD`.
    """

    def enter(*, held: bool = False, **settings: str) -> tuple[DisroomProcess, Page, LineClient]:
        chat.settings.update({f"DISROOM_{name.upper()}": settings[name] for name in settings})
        server = chat.instance(options=[f"--web=127.0.0.1:{web_port.number}"])
        other = chat.instance()
        alice = visit(server)
        if held:
            alice.evaluate(HELD)
        alice.enter("alice", "tea")
        return server, alice, user(clients, other, "bob", "tea")

    return enter


def test_a_reload_keeps_the_session(server: DisroomProcess, visit: Visit, clients: Clients) -> None:
    """Name, rooms and what was said are there again, and nobody sees anybody come or go."""
    alice = visit(server)
    alice.enter("alice", "tea")
    alice.write("/join kitchen")
    alice.wait_for("document.getElementById('title').textContent === '#kitchen'")
    carol = user(clients, server, "carol", "tea")
    carol.send_line("send one")
    carol.send_line("msg alice psst")
    alice.shows("#privates .badge")
    alice.go_to("carol")
    alice.go_to("tea")
    alice.says("one")
    alice.reload()
    alice.wait_for(ONLINE)
    alice.says("one")
    alice.reads("#title", "#tea")
    alice.reads("#rooms .name", "tea", "kitchen")
    carol.send_line("send two")
    alice.says("two")
    alice.reads(SAID, "one", "two")
    alice.go_to("carol")
    alice.reads(SAID, "psst")
    carol.send_line("ping")
    seen = carol.collect_until("^Pong$")
    assert not [line for line in seen if "alice joined" in line or "alice left" in line]


def test_the_page_goes_on_when_a_killed_server_is_back(apart: Apart) -> None:
    """What was said on another server meanwhile is there, what was written meanwhile is sent."""
    server, alice, bob = apart()
    bob.send_line("send before")
    alice.says("before")
    server.kill()
    alice.wait_for(OFFLINE)
    for number in range(30):
        bob.send_line(f"send meanwhile {number}")
    bob.expect("bob: meanwhile 29")
    alice.write("written while away")
    alice.shows(".unsent:has-text('written while away')")
    alice.shows("#notice:has-text('The connection is lost')")
    server.start()
    alice.wait_for(ONLINE)
    alice.says("written while away", "meanwhile 29")
    alice.wait_for(NOTHING_UNSENT)
    bob.expect("alice: written while away")
    bob.send_line("send after")
    alice.says("after")
    expected = ["before", *(f"meanwhile {number}" for number in range(30))]
    alice.reads(SAID, *expected, "written while away", "after")
    alice.reads(".gap-line")
    alice.reads("#me", "alice")


def test_a_message_on_its_way_when_the_server_dies_is_sent_once(apart: Apart) -> None:
    """Whether it was stored before is not known: its key tells, however often it is sent."""
    server, alice, bob = apart()
    for number in range(20):
        alice.write(f"line {number}")
    server.kill()
    alice.wait_for(OFFLINE)
    server.start()
    alice.wait_for(ONLINE)
    alice.wait_for(NOTHING_UNSENT)
    alice.says("line 19")
    lines = [f"line {number}" for number in range(20)]
    assert alice.said() == lines
    bob.send_line("history 100")
    shown = bob.collect_until(r"^-- #tea .*(older|messages)")
    stored = [line.rpartition("alice: ")[2] for line in shown if line.startswith("[2")]
    assert stored == lines


def test_a_message_on_its_way_survives_a_reload(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """It is kept in the tab and sent when the page is back."""
    alice = visit(server)
    alice.enter("alice", "tea")
    bob = user(clients, server, "bob", "tea")
    alice.evaluate("WebSocket.prototype.send = function () {}")
    alice.write("into the void")
    alice.shows(".unsent:has-text('into the void')")
    alice.reload()
    bob.expect("alice: into the void")
    alice.says("into the void")
    alice.wait_for(NOTHING_UNSENT)
    alice.reads(SAID, "into the void")


def test_a_session_that_is_over_begins_anew(
    new_disroom: Callable[..., DisroomProcess],
    web_port: ReservedPort,
    visit: Visit,
    clients: Clients,
) -> None:
    """A lone server took its brokers along: same name, same rooms, and what is stored."""
    server = new_disroom(options=[f"--web=127.0.0.1:{web_port.number}"])
    alice = visit(server)
    alice.enter("alice", "tea")
    alice.write("before")
    alice.says("before")
    server.kill()
    alice.wait_for(OFFLINE)
    alice.write("written while away")
    server.start()
    alice.wait_for(ONLINE)
    alice.says("written while away")
    bob = user(clients, server, "bob", "tea")
    bob.send_line("send after")
    alice.says("after")
    alice.reads(SAID, "before", "written while away", "after")


def test_a_session_that_is_over_misses_nothing(apart: Apart) -> None:
    """Its grace is over: in the new one the page reads in the history what it has not seen."""
    server, alice, bob = apart(presence_grace="1s")
    alice.write("before")
    bob.expect("alice: before")
    server.kill()
    alice.wait_for(OFFLINE)
    for number in range(250):
        bob.send_line(f"send meanwhile {number}")
    alice.write("written while away")
    bob.expect("alice left", timeout=30)
    server.start()
    alice.wait_for(ONLINE)
    alice.says("written while away")
    bob.expect("alice: written while away")
    meanwhile = [f"meanwhile {number}" for number in range(250)]
    alice.reads(SAID, "before", *meanwhile, "written while away")
    alice.reads(".gap-line")


def test_a_message_whose_answer_was_lost_is_found_in_the_history(apart: Apart) -> None:
    """In a new session its key says nothing; it is not sent again all the same."""
    server, alice, bob = apart(held=True, presence_grace="1s")
    alice.write("before")
    alice.says("before")
    alice.evaluate("() => { window.socket.onmessage = null; }")
    alice.write("stored, and not heard")
    bob.expect("alice: stored, and not heard")
    alice.shows(".unsent:has-text('stored, and not heard')")
    server.kill()
    alice.wait_for(OFFLINE)
    bob.expect("alice left", timeout=30)
    server.start()
    alice.wait_for(ONLINE)
    alice.says("stored, and not heard")
    alice.wait_for(NOTHING_UNSENT)
    alice.write("after")
    bob.expect("alice: after")
    alice.reads(SAID, "before", "stored, and not heard", "after")


def test_a_rooms_first_message_whose_answer_was_lost_is_found_in_the_history(apart: Apart) -> None:
    """The page had seen nothing of the room; and much more was said than joining shows."""
    server, alice, bob = apart(held=True, presence_grace="1s")
    alice.evaluate("() => { window.socket.onmessage = null; }")
    alice.write("stored, and not heard")
    bob.expect("alice: stored, and not heard")
    server.kill()
    alice.wait_for(OFFLINE)
    for number in range(150):
        bob.send_line(f"send meanwhile {number}")
    bob.expect("alice left", timeout=30)
    server.start()
    alice.wait_for(ONLINE)
    alice.write("after")
    bob.expect("alice: after")
    meanwhile = [f"meanwhile {number}" for number in range(150)]
    alice.reads(SAID, "stored, and not heard", *meanwhile, "after")


def test_a_connection_lost_again_while_the_missed_is_fetched_loses_nothing(apart: Apart) -> None:
    """What comes live meanwhile is newer than what is missing, and does not hide it."""
    server, alice, bob = apart(held=True, presence_grace="1s")
    alice.write("before")
    alice.says("before")
    server.kill()
    alice.wait_for(OFFLINE)
    for number in range(50):
        bob.send_line(f"send meanwhile {number}")
    bob.expect("alice left", timeout=30)
    alice.evaluate("() => { window.withheld = ['history']; }")
    server.start()
    alice.wait_for("window.sent.at(-1) === 'history'")
    bob.send_line("send live")
    alice.says("live")
    alice.evaluate("() => { window.withheld = []; window.socket.close(); }")
    alice.wait_for(ONLINE)
    alice.reads(SAID, "before", *(f"meanwhile {number}" for number in range(50)), "live")
    alice.reads(".gap-line")


def test_what_was_missed_goes_where_its_seq_says(server: DisroomProcess, visit: Visit) -> None:
    """Among entries without a seq, of which the page's own clock may have the time."""
    alice = visit(server)
    assert alice.evaluate(WOVEN) == ["old log", "hi", 1, 2, "gap", 7, 8, "late note", 9, 10]


def test_after_a_reload_a_session_that_is_over_misses_nothing(apart: Apart) -> None:
    """The page has nothing of the room by then, and what it had can be had again."""
    _, alice, bob = apart(presence_grace="1s")
    alice.write("before")
    alice.says("before")
    alice.visit("about:blank")
    for number in range(50):
        bob.send_line(f"send meanwhile {number}")
    bob.expect("alice left", timeout=30)
    alice.visit(alice.url)
    alice.wait_for(ONLINE)
    alice.reads(SAID, "before", *(f"meanwhile {number}" for number in range(50)))


def test_what_can_no_longer_be_had_is_marked(apart: Apart) -> None:
    """The room keeps ten messages and thirty were missed: the page says which are gone."""
    server, alice, bob = apart(stream_max_messages_per_room="10")
    bob.send_line("send before")
    alice.says("before")
    server.kill()
    alice.wait_for(OFFLINE)
    for number in range(30):
        bob.send_line(f"send meanwhile {number}")
    bob.expect("bob: meanwhile 29")
    server.start()
    alice.says("meanwhile 29")
    alice.shows(".gap-line")
    alice.reads(SAID, "before", *(f"meanwhile {number}" for number in range(20, 30)))
    rows = alice.texts(".timeline:not([hidden]) :is(.said .text, .gap-line)")
    assert rows[1].startswith("Messages ")
    assert rows[1].endswith(" are missing here")


def test_a_server_that_goes_down_is_no_more_than_a_pause(
    chat: Chat, server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """It says that the page should come back, and the page does."""
    alice = visit(server)
    alice.enter("alice", "tea")
    alice.write("before")
    alice.says("before")
    server.stop()
    alice.wait_for(OFFLINE)
    server.start()
    alice.wait_for(ONLINE)
    alice.write("after")
    alice.says("after")
    alice.reads(SAID, "before", "after")


def test_silence_is_no_loss_until_the_server_does_not_answer(
    server: DisroomProcess, visit: Visit
) -> None:
    """A hidden tab looks once a minute, and a laptop sleeps: the page asks first."""
    alice = visit(server)
    alice.evaluate(HELD)
    alice.enter("alice", "tea")
    later = "(minutes) => { const now = Date.now; Date.now = () => now() + minutes * 60000; }"
    alice.evaluate(later, 1)
    alice.wait_for("window.sent.at(-1) === 'ping'")
    alice.write("still here")
    alice.says("still here")
    assert alice.evaluate("window.opened") == 1
    server.pause()
    alice.evaluate(later, 1)
    alice.wait_for("window.sent.at(-1) === 'ping'")
    alice.evaluate(later, 1)
    alice.wait_for(OFFLINE)
    server.resume()
    alice.wait_for(ONLINE)
    alice.write("and again")
    alice.says("and again")
    alice.reads(SAID, "still here", "and again")


@pytest.mark.parametrize("late", [True, False])
def test_a_server_that_takes_the_session_up_late_does_not_end_it(
    server: DisroomProcess, visit: Visit, clients: Clients, late: bool
) -> None:
    """One that stood still when the page asked it moves again; another who takes it up has it."""
    alice = visit(server)
    alice.evaluate(HELD)
    alice.enter("alice", "tea")
    bob = user(clients, server, "bob", "tea")
    alice.evaluate("() => { window.withheld = ['hello']; window.socket.close(); }")
    alice.wait_for("window.shown.length === 2")
    shown = alice.evaluate("window.shown[1]")
    alice.evaluate("() => { window.withheld = []; window.socket.close(); }")
    alice.wait_for("window.shown.length === 3")
    alice.wait_for(ONLINE)
    address = server.listening[-1]
    assert isinstance(address, tuple)
    if late:
        with WebSocketClient(address) as moving:
            assert moving.ask("hello", token=shown)["type"] == "ok"
            while moving.read()["type"] != "goodbye":
                pass
        alice.wait_for("window.shown.length === 4")
        alice.wait_for(ONLINE)
    bob.send_line("send hello")
    alice.says("hello")
    alice.write("after")
    bob.expect("alice: after")
    alice.reads(SAID, "hello", "after")
    alice.evaluate("() => { dispatchEvent(new Event('pagehide')); }")  # so that it is kept now
    kept = "JSON.parse(sessionStorage.getItem('disroom.session')).token"
    with WebSocketClient(address) as other:
        assert other.ask("hello", token=alice.evaluate(kept))["type"] == "ok"
        alice.shows("#welcome")


def test_a_text_that_no_request_can_hold_is_not_sent(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """The page says so, and neither the connection nor what is written next is lost by it."""
    alice = visit(server)
    alice.evaluate(HELD)
    alice.enter("alice", "tea")
    bob = user(clients, server, "bob", "tea")
    for text in ("x" * 70_000, "\u2615" * 22_000):
        alice.write(text)
        alice.shows(".unsent.failed .state:has-text('Not sent: a request has at most 65536 bytes')")
        alice.click(".unsent.failed button:text-is('Discard')")
    alice.write("y" * 60_000)
    alice.shows(".unsent.failed .state:has-text('Not sent: a text has at most 4000 bytes')")
    alice.write("after")
    bob.expect("alice: after")
    assert alice.evaluate("window.opened") == 1


def test_half_a_surrogate_pair_is_sent_as_it_is_read(server: DisroomProcess, visit: Visit) -> None:
    """So that the page knows its message again when it comes by, or is in the history."""
    alice = visit(server)
    alice.evaluate(HELD)
    alice.enter("alice", "tea")
    alice.evaluate("() => { window.withheld = ['send']; }")
    alice.evaluate("() => { document.getElementById('text').value = 'half \\ud83d'; }")
    alice.press("Enter")
    alice.shows(".unsent")
    assert (
        alice.evaluate("document.querySelector('.unsent .text').textContent.charCodeAt(5)")
        == 0xFFFD
    )


def test_what_the_server_hangs_up_on_is_not_sent_again(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """It is shown as not sent; the page waits before it comes back, and all else arrives once."""
    alice = visit(server)
    alice.evaluate(HELD)
    alice.enter("alice", "tea")
    bob = user(clients, server, "bob", "tea")
    alice.evaluate("() => { window.swollen = 'bad'; }")
    alice.write("bad")
    alice.shows(".unsent.failed .state:has-text('Not sent: a request has at most')")
    alice.wait_for(OFFLINE)
    alice.write("written while away")
    alice.wait_for(ONLINE)
    bob.expect("alice: written while away")
    alice.reads(".unsent.failed .text", "bad")
    alice.click(".unsent.failed button:text-is('Edit')")
    alice.press("Enter")
    alice.wait_for("window.opened === 3")
    alice.wait_for(ONLINE)
    first, second = alice.evaluate("window.waits")
    assert first >= 1000
    assert second >= 2000
    alice.reads(SAID, "written while away")


def test_a_copy_of_the_tab_does_not_take_the_session(server: DisroomProcess, visit: Visit) -> None:
    """Two tabs that resume one session would take it from each other for ever."""
    alice = visit(server)
    alice.enter("alice", "tea")
    alice.wait_for("sessionStorage.getItem('disroom.session')?.includes('token')")
    copy = alice.another_tab()
    copy.shows("#welcome")
    alice.write("still here")
    alice.says("still here")
    copy.enter("alice2", "tea")
    copy.write("so am I")
    alice.says("so am I")
