"""A client that nobody notices to have been away."""

import pytest

from disroom.client.arrival import NICK_ATTEMPTS
from disroom.client.calls import ChatFailed
from disroom.client.core import Core
from disroom.client.pending import MOST_WAITING
from disroom.client.pulse import DEAD_SECONDS, HELLO_SECONDS, PING_SECONDS, STEADY_SECONDS
from disroom.wire import messages
from tests.client.server import Asking, Server, entered, in_room, message


def talking(*rooms: str) -> Server:
    """A client that has come in and is in these rooms, where nothing was said yet but seq 5."""
    server = Server(Core("ann", rooms))
    server.connect()
    server.welcome(server.next())
    for room in rooms:
        server.ok(server.next(), **entered(room=room, seq=5))
    server.story()
    return server


def send(server: Server, text: str = "hi", key: str = "k1") -> Asking:
    """Say something."""
    return Asking(server.core, "send", messages.Posted, room="tea", text=text, key=key)


def codes(asking: Asking) -> list[str]:
    """How it failed."""
    return [outcome.code for outcome in asking.outcomes if isinstance(outcome, ChatFailed)]


def test_the_first_thing_that_is_said_is_the_name() -> None:
    """One request is enough to come in; the greeting in text is passed over."""
    server = Server(Core("ann"))
    server.connect(b"Welcome\r\nNews of the day\r\n")
    hello = server.next()
    assert (hello["op"], hello["nick"]) == ("hello", "ann")
    assert not server.core.connected
    server.welcome(hello)
    assert server.core.connected
    assert server.story() == ["connected"]


def test_the_greeting_may_come_in_any_pieces() -> None:
    """Text and frames are told apart wherever packets end."""
    server = Server(Core("ann"))
    server.connect(b"")
    hello = server.next()
    for byte in b"Welcome\r\n":
        server.core.received(bytes([byte]))
    server.welcome(hello)
    assert server.core.connected


def test_the_rooms_to_be_in_are_joined() -> None:
    """A program names its rooms once; what was said before it came is no event."""
    server = Server(Core("ann", ["tea"]))
    server.connect()
    server.welcome(server.next())
    join = server.next()
    assert (join["op"], join["room"]) == ("join", "tea")
    server.ok(join, **entered(message(3), seq=4))
    server.said(5)
    assert server.core.connected
    assert server.story() == ["connected", "#tea 5 hi"]


def test_a_room_that_cannot_be_joined_is_told_of() -> None:
    """A program does not wait for what will not come."""
    server = Server(Core("ann", ["tea", "pot"]))
    server.connect()
    server.welcome(server.next())
    server.refuse(server.next(), "too-many-rooms")
    server.ok(server.next(), **entered(room="pot"))
    assert server.story() == ["connected", "notrejoined"]
    assert [room.name for room in server.core.rooms.values()] == ["pot"]


def test_an_answer_goes_to_who_asked() -> None:
    """Several can be asked at once, and answered in any order."""
    server = talking("tea")
    users = Asking(server.core, "users", messages.UserList, room="tea")
    topic = Asking(server.core, "topic", messages.TopicIs, room="tea")
    first, second = server.next(), server.next()
    server.refuse(second, "not-in-room")
    server.ok(first, room="tea", members=[], total=0, stale=False)
    assert codes(topic) == ["not-in-room"]
    assert users.outcomes == [messages.UserList(first["id"], "tea", (), 0, False)]


def test_who_comes_back_says_what_it_has() -> None:
    """The server can send exactly what was missed."""
    server = talking("tea")
    server.said(7)
    server.lose()
    assert server.story() == ["#tea 7 hi", "disconnected"]
    server.connect()
    hello = server.next()
    assert hello["token"] == "s1.one"
    assert (hello["log"], hello["seqs"]) == ("L1", {"tea": 7})
    server.welcome(hello, in_room(), token="s1.two")
    for seq in (6, 7, 8, 9):
        server.said(seq)
    assert server.story() == ["connected", "#tea 8 hi", "#tea 9 hi"]
    server.lose()
    server.connect()
    assert server.next()["token"] == "s1.two"


def test_a_token_is_used_until_another_was_told() -> None:
    """An answer that was lost strands nobody."""
    server = talking("tea")
    server.lose()
    server.connect()
    server.next()
    server.lose()
    server.connect()
    assert server.next()["token"] == "s1.one"


def test_what_was_not_answered_is_asked_again_in_its_order() -> None:
    """Nothing that was said is lost, and each comes under the key that it had."""
    server = talking("tea")
    first = send(server, "1", "k1")
    assert server.next()["key"] == "k1"
    second = send(server, "2", "k2")
    server.lose()
    third = send(server, "3", "k3")
    server.connect()
    server.welcome(server.next(), in_room())
    requests = [server.next() for _ in range(3)]
    assert [(r["text"], r["key"]) for r in requests] == [("1", "k1"), ("2", "k2"), ("3", "k3")]
    for request, asking in zip(requests, (first, second, third), strict=True):
        assert not asking.outcomes
        server.ok(request, room="tea", seq=request["id"])
        assert asking.outcomes == [messages.Posted(request["id"], "tea", request["id"])]
    assert server.silent


def test_a_private_message_is_not_sent_twice() -> None:
    """Nobody knows whether it arrived, so its sender is told that."""
    server = talking("tea")
    asked = Asking(server.core, "msg", messages.Whispered, False, nick="bob", text="psst")
    server.next()
    server.lose()
    assert codes(asked) == ["disconnected"]
    later = Asking(server.core, "msg", messages.Whispered, False, nick="bob", text="psst")
    server.connect()
    server.welcome(server.next(), in_room())
    assert server.next()["op"] == "msg"
    assert not later.outcomes


def begun_anew(server: Server, **fields: str) -> None:
    """Come back too late for the session."""
    server.connect()
    server.refuse(server.next(), "no-session")
    hello = server.next()
    assert (hello["nick"], "token" in hello) == ("ann", False)
    server.welcome(hello, session="s9", token="s9.one", **fields)


def test_who_comes_back_too_late_joins_again_and_reads_back_what_it_missed() -> None:
    """The room's history closes the gap that the session could not."""
    server = talking("tea")
    server.lose()
    begun_anew(server)
    server.story()
    join = server.next()
    server.ok(join, **entered(message(8), message(9), older=True, seq=9))
    server.said(10)
    history = server.next()
    assert (history["op"], history["room"]) == ("history", "tea")
    read = [{"type": "said", **message(seq)} for seq in (4, 5, 7, 8, 9)]
    assert not server.core.connected
    server.ok(history, room="tea", messages=read, older=True)
    assert server.core.connected
    assert server.story() == ["#tea 7 hi", "#tea 8 hi", "#tea 9 hi", "#tea 10 hi"]


@pytest.mark.parametrize(("last_unread", "gap"), [(1000, ["#tea gap 6..1000"]), (4, [])])
def test_what_is_too_old_to_be_read_back_is_a_gap(last_unread: int, gap: list[str]) -> None:
    """A member is told what it does not get, and of no gap where it gets everything."""
    server = talking("tea")
    server.lose()
    begun_anew(server)
    server.story()
    server.ok(server.next(), **entered(message(2000), older=True, seq=2000))
    read = [{"type": "said", **message(seq)} for seq in (1001, 2000)]
    server.ok(server.next(), room="tea", messages=read, older=True)
    before = server.next()
    assert (before["op"], before["count"], before["before"]) == ("history", 1, 1001)
    earlier = {"type": "said", **message(last_unread)}
    server.ok(before, room="tea", messages=[earlier], older=True)
    assert server.story() == [*gap, "#tea 1001 hi", "#tea 2000 hi"]


def test_a_backlog_that_reaches_back_is_enough() -> None:
    """No history is asked for where the answer to the join has it all."""
    server = talking("tea")
    server.lose()
    begun_anew(server)
    server.ok(server.next(), **entered(message(4), message(8), older=True, seq=8))
    assert server.story()[-1] == "#tea 8 hi"
    assert server.core.connected


def test_another_log_is_a_gap_and_counts_from_the_beginning() -> None:
    """Seqs of a log that is gone are compared with nothing."""
    server = talking("tea")
    server.lose()
    begun_anew(server, log="L2")
    server.ok(server.next(), **entered(message(1), message(2), seq=2))
    assert server.story()[-3:] == ["#tea gap None..None", "#tea 1 hi", "#tea 2 hi"]


def test_what_the_lost_session_had_stored_is_not_sent_again() -> None:
    """A key means nothing to another session, so the message itself is looked for."""
    server = talking("tea")
    stored, lost = send(server, "1", "k1"), send(server, "2", "k2")
    server.lose()
    begun_anew(server)
    own = message(8, "1", id_="s1-k1")
    server.ok(server.next(), **entered(message(5), own, older=True, seq=8))
    assert [o.seq for o in stored.outcomes if isinstance(o, messages.Posted)] == [8]
    assert server.next()["key"] == "k2"
    assert server.silent
    assert not lost.outcomes


def test_a_return_that_is_interrupted_is_made_again() -> None:
    """The rooms are gone through again on the next connection, and nothing is sent twice."""
    server = talking("tea", "pot")
    sent = send(server)
    server.lose()
    begun_anew(server)
    server.ok(server.next(), **entered(seq=5))
    server.lose()
    server.connect()
    hello = server.next()
    assert hello["token"] == "s9.one"
    server.welcome(hello, in_room("tea"), session="s9", token="s9.two")
    tea = server.next()
    assert (tea["op"], tea["room"]) == ("join", "tea")
    server.ok(tea, **in_room("tea", nick="ann", seq=9))
    pot = server.next()
    assert (pot["op"], pot["room"]) == ("join", "pot")
    server.said(9, id="s1-k1", session="s1")
    server.ok(pot, **entered(message(6, room="pot"), room="pot", seq=6))
    read = {"type": "said", **message(9, id_="s1-k1")}
    server.ok(server.next(), room="tea", messages=[read], older=False)
    assert server.core.connected
    assert server.story()[-2:] == ["#pot 6 hi", "#tea 9 hi"]
    assert [o.seq for o in sent.outcomes if isinstance(o, messages.Posted)] == [9]
    assert server.silent


def test_a_message_that_came_back_before_its_answer_is_not_sent_again() -> None:
    """To have seen it in the room is as good as the answer, in whichever session."""
    server = talking("tea")
    sent = send(server)
    server.next()
    server.said(8, id="s1-k1", session="s1")
    server.lose()
    begun_anew(server)
    server.ok(server.next(), **entered(message(8, id_="s1-k1"), seq=8))
    assert [o.seq for o in sent.outcomes if isinstance(o, messages.Posted)] == [8]
    assert server.silent


def test_a_last_message_that_is_gone_leaves_a_gap() -> None:
    """Retention takes the oldest first, so nobody knows what followed a message that it took."""
    server = talking("tea")
    server.said(7)
    server.lose()
    server.story()
    begun_anew(server)
    server.ok(server.next(), **entered(message(20), older=False, seq=20))
    assert server.story()[1:] == ["#tea gap 8..19", "#tea 20 hi"]


def test_a_gap_is_told_once() -> None:
    """Though the history, and the server after it, both know of it."""
    server = talking("tea")
    for _ in range(2):
        server.tell("gap", room="tea", first=6, last=9)
    server.said(10)
    assert server.story() == ["#tea gap 6..9", "#tea 10 hi"]


def test_a_room_that_was_not_entered_yet_is_not_read_from_its_beginning() -> None:
    """Who loses the connection while it first joins is not given the past as news."""
    server = Server(Core("ann", ["tea"]))
    server.connect()
    server.welcome(server.next())
    server.lose()
    server.connect()
    hello = server.next()
    assert hello["seqs"] == {}
    told = in_room("tea", messages=[{"type": "said", **message(4)}], older=True, seq=4)
    server.welcome(hello, told)
    server.said(5)
    assert server.story() == ["connected", "disconnected", "connected", "#tea 5 hi"]


def test_what_only_later_servers_say_is_passed_over() -> None:
    """The protocol grows without breaking the clients that are there."""
    server = talking("tea")
    server.tell("deleted", room="tea", seq=3, id="m3")
    server.said(6, edited=True)
    assert not server.core.hangs_up
    assert server.story() == ["#tea 6 hi"]


@pytest.mark.parametrize(
    ("text", "code"), [("x" * 70_000, "frame-too-long"), ("\udc80", "bad-request")]
)
def test_what_would_end_the_connection_is_not_sent(text: str, code: str) -> None:
    """A text that no server takes fails alone, connected or not."""
    server = talking("tea")
    assert codes(send(server, text)) == [code]
    server.lose()
    assert codes(send(server, text)) == [code]
    server.connect()
    server.welcome(server.next(), in_room())
    assert server.silent
    assert server.core.connected


def test_the_nick_is_asked_for_again_while_the_lost_session_may_hold_it() -> None:
    """Who comes back on its heels gets its own name, within bounds."""
    server = talking("tea")
    server.lose()
    server.connect()
    server.refuse(server.next(), "no-session")
    server.refuse(server.next(), "nick-taken")
    for _ in range(NICK_ATTEMPTS - 1):
        assert server.core.hangs_up
        assert server.core.closed is None
        server.lose()
        server.connect()
        server.refuse(server.next(), "nick-taken")
    server.lose()
    server.connect()
    server.refuse(server.next(), "nick-taken")
    assert server.core.closed is not None
    assert server.core.closed.code == "nick-taken"


def test_a_nick_that_somebody_has_is_the_end_at_the_beginning() -> None:
    """Nobody waits for a name that another goes by."""
    server = Server(Core("ann"))
    waiting = send(server)
    server.connect()
    server.refuse(server.next(), "nick-taken")
    assert codes(waiting) == ["nick-taken"]
    assert server.core.closed is not None
    assert codes(send(server)) == ["nick-taken"]


@pytest.mark.parametrize("code", ["store-unavailable", "presence-unavailable"])
@pytest.mark.parametrize("op", ["join", "history"])
def test_a_return_while_a_store_is_away_costs_no_room(op: str, code: str) -> None:
    """It is made again until it succeeds."""
    server = talking("tea")
    server.lose()
    begun_anew(server)
    if op == "history":
        server.ok(server.next(), **entered(message(9), older=True, seq=9))
    asked = server.next()
    assert asked["op"] == op
    server.refuse(asked, code)
    assert server.core.hangs_up
    server.lose()
    server.connect()
    server.welcome(server.next(), session="s9", token="s9.two")
    server.ok(server.next(), **entered(message(5), message(9), seq=9))
    assert list(server.core.rooms) == ["tea"]
    assert server.core.connected
    story = server.story()
    assert story[-1] == "#tea 9 hi"
    assert "notrejoined" not in story


@pytest.mark.parametrize("code", ["store-unavailable", "presence-unavailable"])
def test_a_server_that_cannot_just_now_is_asked_again(code: str) -> None:
    """An outage behind the server ends no chat."""
    server = talking("tea")
    server.lose()
    server.connect()
    server.refuse(server.next(), code)
    assert server.core.hangs_up
    server.lose()
    server.connect()
    assert server.next()["token"] == "s1.one"


@pytest.mark.parametrize(
    ("type_", "code", "goes_on"),
    [
        ("reconnect", "going-down", True),
        ("goodbye", "nick-lost", True),
        ("goodbye", "resumed-elsewhere", False),
        ("goodbye", None, False),
        ("error", "bad-frame", False),
    ],
)
def test_a_farewell_says_whether_to_come_back(type_: str, code: str | None, goes_on: bool) -> None:
    """A client comes back where that helps, and never fights with another of its own."""
    server = talking("tea")
    server.tell(type_, **({"code": code, "message": "so"} if code else {}))
    assert server.core.hangs_up is goes_on
    assert (server.core.closed is None) is goes_on


def test_a_server_that_turns_the_client_away_is_quoted() -> None:
    """What it said in text before it closed is why there is no connection."""
    server = talking("tea")
    server.lose()
    server.story()
    server.connect(b"Error: server is full; try again later (server-full)\r\n")
    server.lose("closed")
    assert server.core.closed is None
    assert server.core.last_failure.startswith("Error: server is full")
    server.lose("refused")
    assert server.core.last_failure == "refused"


class Beats:
    """Ticks of a client, once a second."""

    def __init__(self, server: Server) -> None:
        self._core = server.core
        self._now = 1000.0

    def go_on(self, seconds: float, *, listening: bool = True) -> bool:
        """Let time go by; whether the client keeps its connection."""
        until = self._now + seconds
        kept = self._core.tick(self._now, listening=listening)
        while kept and self._now < until:
            self._now += 1.0
            kept = self._core.tick(self._now, listening=listening)
        return kept

    def stand_still(self, seconds: float) -> None:
        """Let time go by without a tick, as while the program is stopped."""
        self._now += seconds


def test_silence_is_asked_about_and_then_given_up() -> None:
    """A server that vanished is noticed; one that is slow is not left."""
    server = talking("tea")
    beats = Beats(server)
    assert beats.go_on(PING_SECONDS - 1)
    assert server.silent
    assert beats.go_on(1.0)
    ping = server.next()
    assert ping["op"] == "ping"
    server.ok(ping)
    assert beats.go_on(DEAD_SECONDS - 1)
    assert not beats.go_on(1.0)


def test_a_program_that_stood_still_does_not_give_a_server_up_for_it() -> None:
    """After a minute in a debugger the server is asked before it is taken for dead."""
    server = talking("tea")
    beats = Beats(server)
    assert beats.go_on(1.0)
    beats.stand_still(60.0)
    assert beats.go_on(1.0)
    assert beats.go_on(PING_SECONDS)
    server.ok(server.next())
    assert beats.go_on(1.0)
    beats.stand_still(3600.0)
    assert beats.go_on(PING_SECONDS)
    assert server.next()["op"] == "ping"
    assert not beats.go_on(DEAD_SECONDS - PING_SECONDS)


def test_a_program_that_stood_still_does_not_give_up_a_server_that_is_answering() -> None:
    """Nor one that has just been asked for the first time."""
    server = Server(Core("ann"))
    server.connect()
    beats = Beats(server)
    assert beats.go_on(1.0)
    beats.stand_still(60.0)
    assert beats.go_on(1.0)
    assert not beats.go_on(HELLO_SECONDS)


def test_a_client_that_does_not_read_takes_its_silence_for_its_own() -> None:
    """Who has stopped reading asks for nothing and gives up nothing, until it reads again."""
    server = talking("tea")
    beats = Beats(server)
    assert beats.go_on(PING_SECONDS)
    assert server.next()["op"] == "ping"
    assert beats.go_on(10 * DEAD_SECONDS, listening=False)
    assert server.silent
    assert beats.go_on(PING_SECONDS)
    assert server.next()["op"] == "ping"
    assert not beats.go_on(DEAD_SECONDS - PING_SECONDS)


def test_a_server_that_does_not_answer_the_first_request_is_given_up() -> None:
    """A port on which something else listens is not waited for."""
    server = Server(Core("ann"))
    server.connect()
    beats = Beats(server)
    assert beats.go_on(1.0)
    server.core.received(b"220 mail.example ESMTP")
    assert beats.go_on(HELLO_SECONDS - 2)
    server.core.received(b" ready")
    assert not beats.go_on(1.0)


def test_a_connection_is_steady_once_it_was_good_for_a_while() -> None:
    """What breaks as soon as it is made is not made again without a pause."""
    server = talking("tea")
    beats = Beats(server)
    beats.go_on(STEADY_SECONDS - 1)
    assert not server.core.steady
    beats.go_on(1.0)
    assert server.core.steady
    server.lose()
    assert not server.core.steady


@pytest.mark.parametrize(
    "garbage", [b"\x00\x00\x00\x01\xc1", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x01\x01"]
)
def test_what_is_no_protocol_is_hung_up_on(garbage: bytes) -> None:
    """Nonsense from a server harms nobody: the client tries elsewhere."""
    server = talking("tea")
    server.core.received(garbage * (1 << 6))
    assert server.core.hangs_up


def test_a_server_that_takes_the_session_up_late_does_not_end_the_chat() -> None:
    """A server that was frozen when the client asked it for the session: it goes on there."""
    server = talking("tea")
    server.lose()
    server.connect()
    shown = server.next()["token"]
    server.lose("frozen")
    server.connect()
    server.welcome(server.next(), in_room(), token="s1.two")
    server.tell("goodbye", code="resumed-elsewhere", message="taken up elsewhere")
    assert server.core.hangs_up and not server.core.closed
    server.lose()
    server.connect()
    hello = server.next()
    assert hello["token"] == shown
    server.welcome(hello, in_room(), token="s1.four")
    assert server.core.connected
    server.tell("goodbye", code="resumed-elsewhere", message="by somebody else")
    assert server.core.closed


def test_who_has_used_its_session_since_has_lost_it_to_somebody_else() -> None:
    """No server can take it up late by then: the token that it was shown is good no more."""
    server = talking("tea")
    server.lose()
    server.connect()
    server.next()
    server.lose("frozen")
    server.connect()
    server.welcome(server.next(), in_room(), token="s1.two")
    Asking(server.core, "ping", messages.Ok)
    server.ok(server.next())
    server.tell("goodbye", code="resumed-elsewhere", message="by somebody else")
    assert server.core.closed


def test_what_is_answered_by_nonsense_is_asked_again() -> None:
    """Elsewhere, or for a private message it is told; nobody waits for ever."""
    server = talking("tea")
    asking = send(server)
    whisper = Asking(server.core, "msg", messages.Whispered, again=False, nick="bob", text="hi")
    for _ in range(2):
        server.ok(server.next(), seq="seven")
    assert server.core.hangs_up
    server.lose()
    assert codes(whisper) == ["disconnected"]
    server.connect()
    server.welcome(server.next(), in_room())
    again = server.next()
    assert (again["op"], again["key"]) == ("send", "k1")
    server.ok(again, room="tea", seq=7)
    assert asking.outcomes == [messages.Posted(again["id"], "tea", 7)]


def test_what_waits_is_bounded() -> None:
    """A program that asks for more than can be answered is told so."""
    core = Core("ann")
    server = Server(core)
    for _ in range(MOST_WAITING):
        send(server)
    assert codes(send(server)) == ["too-much"]
    core.close()


def test_members_are_kept_true() -> None:
    """A program can look who is there without asking."""
    server = talking("tea")
    room = server.core.rooms["#Tea"]
    cat = {"session": "s3", "nick": "cat"}
    server.tell("joined", room="tea", at=1, members=[cat])
    server.tell("renamed", room="tea", at=1, session="s3", old="cat", new="tom")
    server.tell("away", room="tea", at=1, member={"session": "s3", "nick": "tom", "away": True})
    assert room.members["s3"] == messages.Member("s3", "tom", True)
    assert room.total == 3
    server.tell("left", room="tea", at=1, members=[{"session": "s2", "nick": "bob"}])
    assert list(room.members) == ["s1", "s3"]
    server.tell("topic", **message(9, "green"))
    assert room.topic is not None
    assert room.topic.text == "green"


def test_a_room_that_was_left_is_not_come_back_to() -> None:
    """Joining and leaving change what is resumed and joined again."""
    server = talking("tea")
    Asking(server.core, "join", messages.Entered, room="pot")
    server.ok(server.next(), **entered(room="Pot", seq=5))
    Asking(server.core, "leave", messages.Departed, room="tea")
    server.ok(server.next(), room="tea")
    server.said(7, room="tea")
    server.said(8, room="Pot")
    assert server.story() == ["#Pot 8 hi"]
    server.lose()
    server.connect()
    assert server.next()["seqs"] == {"Pot": 8}


def test_a_new_nick_is_the_one_to_come_back_by() -> None:
    """Who was renamed stays so."""
    server = talking("tea")
    Asking(server.core, "nick", messages.Named, nick="anna")
    server.ok(server.next(), nick="anna")
    assert server.core.nick == "anna"


def test_the_end_is_told_to_all_who_wait() -> None:
    """Nobody waits for an answer that will not come."""
    server = talking("tea")
    asked = send(server)
    server.next()
    server.core.close()
    server.core.close()
    assert codes(asked) == ["closed"]
    server.lose()
    assert not server.story()
