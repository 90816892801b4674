"""People on pages and people on telnet are in one chat."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.chromium import SAID, Page
from tests.cluster.chat import Chat, user
from tests.processes.client import LineClient
from tests.processes.disroom import DisroomProcess
from tests.processes.ports import ReservedPort
from tests.processes.text_client import Clients

pytestmark = pytest.mark.needs("chromium")

Visit = Callable[..., Page]


def test_two_pages_and_a_telnet_user_see_each_other(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """What each says, who is there, and who comes and goes."""
    alice, bob = visit(server), visit(server)
    alice.enter("alice", "tea")
    bob.enter("bob", "tea")
    carol = user(clients, server, "carol", "tea")
    alice.says("bob joined", "carol joined")

    alice.write("hello, everybody")
    bob.says("hello, everybody")
    assert carol.expect("hello, everybody").endswith("#tea alice: hello, everybody")
    carol.send_line("send hello yourself")
    for page in (alice, bob):
        page.says("hello yourself")
        page.wait_for("document.querySelectorAll('#member-list li').length === 3")
    alice.reads("#member-list .name", "alice", "bob", "carol")

    bob.write("/me waves")
    carol.expect(r"\* bob waves")
    alice.says("bob waves")
    carol.send_line("topic release day")
    alice.wait_for("document.getElementById('topic-text').textContent === 'release day'")
    carol.send_line("nick caroline")
    alice.says("carol is now caroline")
    carol.send_line("exit")
    alice.says("caroline left")
    alice.wait_for("document.querySelectorAll('#member-list li').length === 2")


def test_the_topic_is_set_by_hand(server: DisroomProcess, visit: Visit, clients: Clients) -> None:
    """A click on it, a text, Enter; Escape leaves it as it was."""
    alice = visit(server)
    alice.enter("alice", "tea")
    carol = user(clients, server, "carol", "tea")
    alice.click("#topic")
    alice.fill("#topic-input", "something else")
    alice.press("Escape")
    alice.click("#topic")
    alice.fill("#topic-input", "cakes, and tea")
    alice.press("Enter")
    assert "cakes, and tea" in carol.expect("topic by alice")
    alice.says("alice set the topic: cakes, and tea")
    alice.reads("#topic-text", "cakes, and tea")


def test_private_messages_go_both_ways(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """They open a conversation of their own, which says that it has something new."""
    alice = visit(server)
    alice.enter("alice", "tea")
    carol = user(clients, server, "carol", "tea")
    carol.send_line("msg alice psst")
    alice.shows("#privates .badge.mentioned")
    alice.go_to("carol")
    alice.says("psst")
    alice.reads("#privates .badge")
    alice.write("what is it?")
    carol.expect(r"\(private\) alice: what is it\?")
    alice.says("what is it?")
    alice.reads(SAID, "psst", "what is it?")


def test_members_are_written_to_by_a_click(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """Whoever is away is marked, and says so."""
    alice = visit(server)
    alice.enter("alice", "tea")
    carol = user(clients, server, "carol", "tea")
    carol.send_line("away at lunch")
    alice.shows("#member-list .gone:has-text('carol')")
    alice.click("#member-list .entry:has-text('carol')")
    alice.write("call me")
    alice.says("call me", "carol is away: at lunch")


def test_rooms_have_their_own_messages_and_count_what_is_new(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """The count goes when one looks, and a line shows where the new begins."""
    alice = visit(server)
    alice.enter("alice", "tea")
    carol = user(clients, server, "carol", "tea")
    alice.write("before")
    alice.says("before")
    alice.write("/join kitchen")
    alice.wait_for("document.getElementById('title').textContent === '#kitchen'")
    carol.send_line("send one")
    carol.send_line("send two, alice!")
    alice.wait_for("document.querySelector('#rooms .badge.mentioned')?.textContent === '2 unread'")
    alice.wait_for("document.title === '(2) #kitchen · DisRoom'")
    alice.reads(SAID)
    alice.go_to("tea")
    alice.reads(SAID, "before", "one", "two, alice!")
    alice.wait_for("document.querySelectorAll('#rooms .badge').length === 0")
    alice.reads(".timeline:not([hidden]) .row:has(.divider.new) .text", "one")
    alice.click("#leave")
    alice.wait_for("document.getElementById('title').textContent === '#kitchen'")
    carol.expect("alice left")


def test_commands_are_there_for_people_who_type(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """A slash begins one; two begin a text with a slash."""
    alice = visit(server)
    alice.enter("alice", "tea")
    carol = user(clients, server, "carol", "tea")
    for line, shown in [
        ("/help", "/msg NAME TEXT"),
        ("/users", "In #tea: alice, carol"),
        ("/rooms", "#tea: 2 members"),
        ("/whois carol", "in #tea"),
        ("/topic", "#tea has no topic"),
        ("/motd", "There is no message of the day"),
        ("/ping", "The server answered after"),
        ("/dance", "There is no command /dance"),
        ("/msg carol", "Write it like this: /msg NAME TEXT"),
        ("/whois nobody", "That did not work: nobody here is called nobody"),
        ("/away at lunch", "You are away: at lunch"),
        ("/away", "You are back"),
        ("/ignore carol", "What carol says is hidden"),
    ]:
        alice.write(line)
        alice.says(shown)
    carol.send_line("send you do not see this")
    carol.expect("you do not see this")
    alice.write("/unignore carol")
    alice.says("What carol says is shown again")
    carol.send_line("send you see this")
    alice.says("you see this")
    alice.write("//shrug")
    carol.expect("alice: /shrug")
    alice.write("/nick alison")
    carol.expect("alice is now alison")
    alice.wait_for("document.getElementById('me').textContent === 'alison'")
    alice.reads(SAID, "you see this", "/shrug")
    alice.write("/msg carol only for you")
    carol.expect(r"\(private\) alison: only for you")
    alice.go_to("tea")
    alice.write("/exit")
    alice.shows("#welcome")
    carol.expect("alison left")


def test_what_is_left_is_what_was_named(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """Never another conversation; without a name the one that is open, if any is."""
    alice = visit(server)
    alice.enter("alice", "tea")
    carol = user(clients, server, "carol", "tea")
    alice.write("/leave kitchen")
    alice.says("You are not in #kitchen")
    alice.write("/join kitchen")
    alice.wait_for("document.getElementById('title').textContent === '#kitchen'")
    alice.write("/leave #TEA")
    carol.expect("alice left")
    alice.reads("#rooms .name", "kitchen")
    alice.write("/leave")
    alice.reads("#rooms .name")
    alice.write("/leave")
    alice.shows(":text('You are in no room')")


def test_a_name_that_cannot_be_had_is_said_on_the_form(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """Taken, or no name; and a room that is none gives the name back."""
    user(clients, server, "carol", "tea")
    alice = visit(server)
    alice.try_to_enter("Carol", "tea")
    alice.shows("#enter-error:has-text('carol is taken')")
    alice.try_to_enter("carol:", "tea")
    alice.shows("#enter-error:has-text('a name has letters, digits')")
    alice.try_to_enter("alice", "no room")
    alice.shows("#enter-error:has-text('cannot contain spaces')")
    alice.enter("alice", "tea")
    alice.wait_for("document.querySelectorAll('#member-list li').length === 2")


def test_a_text_that_cannot_be_sent_is_given_back(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """It says why, and can be shortened or dropped."""
    alice = visit(server)
    alice.enter("alice", "tea")
    carol = user(clients, server, "carol", "tea")
    alice.write("x" * 4001)
    alice.shows(".unsent:has-text('a text has at most 4000 bytes')")
    alice.click(".unsent button:has-text('Edit')")
    alice.wait_for("document.getElementById('text').value.length === 4001")
    alice.write("shorter")
    carol.expect("alice: shorter")
    alice.wait_for("document.querySelectorAll('.unsent').length === 0")


def test_a_server_that_is_away_is_said_on_the_form(server: DisroomProcess, visit: Visit) -> None:
    """Nobody waits without knowing what for."""
    alice = visit(server)
    server.stop()
    alice.try_to_enter("alice", "tea")
    alice.shows("#enter-error:has-text('cannot be reached')")
    server.start()
    alice.enter("alice", "tea")


def test_a_server_that_is_full_is_said_on_the_form(
    chat: Chat, web_port: ReservedPort, visit: Visit, clients: Clients
) -> None:
    """The page is there already, and its WebSocket is one connection too many."""
    chat.settings["DISROOM_LIMITS_CONNECTIONS"] = "20"
    server = chat.instance(options=[f"--web=127.0.0.1:{web_port.number}"])
    alice = visit(server)
    alice.wait_for("document.activeElement.id === 'enter-nick'")
    for _ in range(20):  # some for the page
        LineClient(clients, server.address)
    LineClient(clients, server.address).expect("server-full")
    alice.try_to_enter("alice", "tea")
    alice.shows("#enter-error:has-text('cannot be reached')")


def test_older_messages_come_by_scrolling_up(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """All of them, in order, once, down to where the room begins."""
    carol = user(clients, server, "carol", "tea")
    for number in range(350):
        carol.send_line(f"send number {number}")
    carol.expect("carol: number 349$")
    alice = visit(server)
    alice.enter("alice", "tea")
    alice.says("number 349")
    alice.wait_for(
        """() => {
            const timeline = document.querySelector('.timeline:not([hidden])');
            timeline.scrollTop = -timeline.scrollHeight;
            return timeline.querySelector('.top').textContent.startsWith('This is where');
        }"""
    )
    alice.reads(SAID, *(f"number {number}" for number in range(350)))


def test_rooms_are_chosen_from_a_list(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """With how many are there and what about."""
    carol = user(clients, server, "carol", "kitchen")
    carol.send_line("topic cakes")
    carol.expect("topic by carol")
    alice = visit(server)
    alice.enter("alice", "tea")
    alice.click("#browse")
    alice.shows("#browser-list .entry:has-text('#kitchen')")
    assert sorted(alice.texts("#browser-list .entry")) == [
        "#kitchen1 membercakes",
        "#tea1 member",
    ]
    alice.click("#browser-list .entry:has-text('#kitchen')")
    alice.wait_for("document.getElementById('title').textContent === '#kitchen'")
    carol.expect("alice joined")


HTML = '<img src=x onerror="window.pwned = 1"><b>bold</b> &amp; <script>window.pwned = 2</script>'


def test_html_is_text_wherever_it_is(
    server: DisroomProcess, visit: Visit, clients: Clients
) -> None:
    """In what is said, done, set as the topic, written privately, and left as word."""
    alice = visit(server)
    alice.enter("alice", "tea")
    carol = user(clients, server, "carol", "tea")
    for line in (
        f"send {HTML}",
        f"me {HTML}",
        f"topic {HTML}",
        f"away {HTML}",
        f"msg alice {HTML}",
    ):
        carol.send_line(line)
    alice.wait_for("document.querySelectorAll('.timeline:not([hidden]) .topic').length === 1")
    alice.reads(SAID, HTML)
    alice.reads("#topic-text", HTML)
    alice.write("/whois carol")
    alice.says(f"away: {HTML}")
    alice.click("#browse")
    alice.shows("#browser-list .about")
    alice.reads("#browser-list .about", HTML)
    alice.click("#browser-close")
    alice.go_to("carol")
    alice.reads(SAID, HTML)
    alice.reads("#conversation img, #conversation script, .text b:not(.nick), #topic b")
    assert alice.evaluate("window.pwned") is None


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://example.org/a_(b)?x=1&y=2.", ["https://example.org/a_(b)?x=1&y=2"]),
        ("(http://example.org), and more", ["http://example.org"]),
        ("javascript:alert(1) data:text/html,x ftp://example.org", []),
        ("https://user@example.org https://", []),
    ],
)
def test_links_lead_to_the_web_and_tell_it_nothing(
    server: DisroomProcess, visit: Visit, clients: Clients, text: str, links: list[str]
) -> None:
    """The schemes http and https alone, in a tab that cannot reach back, without a referrer."""
    alice = visit(server)
    alice.enter("alice", "tea")
    alice.write(text)
    alice.says(text)
    alice.reads(SAID, text)
    assert alice.texts(".said .text a") == links
    for link in range(len(links)):
        rel = f"document.querySelectorAll('.said .text a')[{link}].rel"
        assert alice.evaluate(rel) == "noopener noreferrer"


def test_pages_of_other_sites_cannot_come_in(server: DisroomProcess, visit: Visit) -> None:
    """A browser that was led elsewhere tells so, and is refused."""
    alice = visit(server)
    address = alice.url.replace("http", "ws") + "/ws"
    outcome = """(address) => new Promise((resolve) => {
      const socket = new WebSocket(address);
      socket.onopen = () => resolve("open");
      socket.onerror = () => resolve("refused");
    })"""
    assert alice.evaluate(outcome, address) == "open"
    alice.visit("about:blank")
    assert alice.evaluate(outcome, address) == "refused"


def test_the_policy_is_in_force(server: DisroomProcess, visit: Visit) -> None:
    """No text becomes HTML on this page, whoever tries."""
    alice = visit(server)
    attempt = """() => {
      try {
        document.body.insertAdjacentHTML("beforeend", "<b>bold</b>");
        return "done";
      } catch {
        return "refused";
      }
    }"""
    assert alice.evaluate(attempt) == "refused"
    assert alice.evaluate("window.violations.splice(0).length") == 1
    alice.problems.clear()
