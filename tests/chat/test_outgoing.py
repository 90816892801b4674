"""What becomes of the messages that one user has sent."""

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred

from disroom.adapters.memory.log import MemoryStream
from disroom.chat.errors import ChatError, NotStored, StoreUnavailable, TextTooLong
from disroom.chat.events import Delayed, Draft, Failed
from disroom.chat.interfaces import Receipt
from disroom.chat.names import Nick, RoomName
from disroom.chat.outgoing import (
    DELAYED_SECONDS,
    FAILED_SECONDS,
    SHOWN_SECONDS,
    Gathering,
    Outgoing,
)
from tests.chat.stepped import SteppedRuntime
from tests.chat.world import Gate, GatedLog, outcome, run

TEA = RoomName.parse("tea")
POT = RoomName.parse("pot")


class Sender:
    """A user's outgoing messages, before a log whose steps can be held or fail."""

    def __init__(self, most: int = 4) -> None:
        self.runtime = SteppedRuntime()
        self.stream = MemoryStream(lambda: self.runtime.time)
        self.gate = Gate()
        self.told: list[Delayed | Failed] = []
        self.gathering = Gathering()
        self.log = GatedLog(self.stream, self.gate)
        self.out = Outgoing(
            gathering=self.gathering,
            log=self.log,
            runtime=self.runtime,
            tell=self.told.append,
            most=most,
            give_up=15.0,
        )
        self.sent = 0

    def send(
        self,
        count: int = 1,
        *,
        room: RoomName = TEA,
        topic: bool = False,
        receipt: Receipt | None = None,
    ) -> Deferred[None]:
        """Send messages, called m1, m2...; the last one's post is returned."""
        for _ in range(count):
            self.sent += 1
            name = f"m{self.sent}"
            draft = Draft(name, "topic" if topic else "said", Nick.parse("bob"), "s", name)
            posted = run(self.out.post(room, draft, receipt))
        return posted

    def stored(self, room: RoomName = TEA) -> list[str]:
        """What the log has."""
        return [message.id for message in self.stream.messages(room)]

    def see(self) -> None:
        """Let what the log has come back."""
        for id_ in (*self.stored(TEA), *self.stored(POT)):
            self.out.turned_up(id_, 1)

    def wait(self, seconds: float) -> None:
        """Let time go by."""
        self.runtime.time += seconds
        self.out.tick(self.runtime.time)


@pytest.fixture
def sender() -> Iterator[Sender]:
    """A user who has sent nothing yet."""
    one = Sender()
    yield one
    assert not one.runtime.failures


def test_messages_are_stored_in_the_order_of_sending(sender: Sender) -> None:
    """One message is under way at a time, so none can overtake another."""
    sender.gate.hold("append")
    sender.send(3)
    assert sender.gate.waiting("append") == 1
    sender.gate.release()
    assert sender.stored() == ["m1", "m2", "m3"]
    sender.see()
    outcome(sender.out.emptied())
    assert not sender.told


def test_messages_to_several_rooms_keep_their_order(sender: Sender) -> None:
    """A user who talks in two rooms is heard in each when it is its turn."""
    sender.gate.hold("append answer")
    sender.send(room=TEA)
    sender.send(room=POT)
    sender.send(room=TEA)
    assert (sender.stored(TEA), sender.stored(POT)) == (["m1"], [])
    sender.gate.release()
    assert (sender.stored(TEA), sender.stored(POT)) == (["m1", "m3"], ["m2"])


def test_a_topic_keeps_its_place_among_messages(sender: Sender) -> None:
    """A topic is set after what was said before it, and before what is said after it."""
    sender.gate.hold("append")
    sender.send()
    sender.send(topic=True)
    sender.send()
    sender.gate.release()
    assert sender.stored() == ["m1", "m2", "m3"]
    topic = sender.stream.topic(TEA)
    assert topic is not None
    assert topic.text == "m2"


def test_what_waits_for_one_room_is_given_to_the_log_together(sender: Sender) -> None:
    """While the log has some, all that comes waits, and then goes as far as it is for one room."""
    sender.gate.hold("append")
    sender.send()
    sender.send(2)
    sender.send(room=POT)
    sender.gate.release()
    sender.send()
    assert sender.log.given == [["m1"], ["m2", "m3"], ["m4"], ["m5"]]
    assert (sender.stored(TEA), sender.stored(POT)) == (["m1", "m2", "m3", "m5"], ["m4"])


def test_a_topic_is_given_to_the_log_with_messages(sender: Sender) -> None:
    """It is a message of the room like any other."""
    with sender.gathering:
        sender.send(2)
        sender.send(topic=True)
        sender.send()
    assert sender.log.given == [["m1", "m2", "m3", "m4"]]
    assert sender.stored() == ["m1", "m2", "m3", "m4"]


def test_what_comes_in_one_piece_goes_in_one_piece(sender: Sender) -> None:
    """While a client's lines are being worked off, those sent wait for those that follow."""
    with sender.gathering:
        sender.send(3)
        assert not sender.log.given
    assert sender.log.given == [["m1", "m2", "m3"]]
    sender.send()
    assert sender.log.given[1:] == [["m4"]]


def test_more_in_one_piece_than_may_wait_goes_in_several(sender: Sender) -> None:
    """Who sends more than the queue takes does not wait for what waits for him."""
    with sender.gathering:
        assert sender.send(4).called
        fifth = sender.send()
        assert not fifth.called
    assert fifth.called
    assert sender.log.given == [["m1", "m2", "m3", "m4"], ["m5"]]


def test_a_log_that_answers_at_once_is_given_a_long_queue() -> None:
    """However much waits, and however often the room changes in it, all of it is stored."""
    sender = Sender(most=3000)
    with sender.gathering:
        for _ in range(1000):
            sender.send(room=TEA)
            sender.send(room=POT)
    assert len(sender.stored(TEA)) == len(sender.stored(POT)) == 1000
    assert not sender.told


def test_of_several_at_once_each_is_told_what_became_of_it(sender: Sender) -> None:
    """A failure in the middle is that message's, and what the user has seen is none."""
    told: list[int | ChatError] = []
    refused = TextTooLong(10)
    sender.gate.hold("append")
    sender.gate.fail("append", NotStored(), refused, NotStored())
    with sender.gathering:
        sender.send(3, receipt=told.append)
    sender.out.turned_up("m1", 7)
    sender.out.turned_up("m3", 9)
    sender.gate.release()
    assert told == [7, refused, 9]


def test_closing_drops_nothing_of_what_the_log_has(sender: Sender) -> None:
    """What was given to the log together runs its course together."""
    sender.gate.hold("append")
    with sender.gathering:
        sender.send(2)
    sender.send()
    sender.out.close()
    sender.gate.release()
    assert sender.stored() == ["m1", "m2"]


def test_who_sends_faster_than_the_log_stores_waits(sender: Sender) -> None:
    """At most so many messages wait; the next is taken when there is room again."""
    sender.gate.hold("append")
    assert sender.send(4).called
    fifth = sender.send()
    assert not fifth.called
    sender.gate.release_one("append")
    assert fifth.called
    sixth = sender.send()
    assert not sixth.called
    sender.gate.release()
    assert sixth.called
    assert sender.stored() == ["m1", "m2", "m3", "m4", "m5", "m6"]


def test_a_message_that_fails_is_told_of_and_the_next_is_tried(sender: Sender) -> None:
    """What is refused is answered with the reason; what was sent after it is stored in order."""
    refused = TextTooLong(10)
    sender.gate.fail("append", refused, NotStored())
    sender.gate.hold("append")
    sender.send(4)
    sender.gate.release()
    assert sender.stored() == ["m3", "m4"]
    assert sender.told[0] == Failed(refused)
    assert [event.error.code for event in sender.told if isinstance(event, Failed)] == [
        *("text-too-long", "not-stored")
    ]


def test_waiting_for_what_was_sent_ends_when_all_has_been_tried(sender: Sender) -> None:
    """``exit`` and ``nick`` wait for every message, also for those that fail."""
    outcome(sender.out.emptied())
    sender.gate.hold("append")
    sender.gate.fail("append", NotStored(), NotStored())
    sender.send(2)
    waits = [run(sender.out.emptied()) for _ in range(2)]
    sender.gate.release_one("append")
    assert not waits[0].called
    sender.gate.release()
    assert all(wait.called for wait in waits)
    sender.send()
    sender.see()
    outcome(sender.out.emptied())


def test_waiting_for_what_was_sent_ends_when_it_has_come_back(sender: Sender) -> None:
    """``exit`` says goodbye after the last message was shown, a second later if it never is."""
    sender.send(2)
    waits = run(sender.out.emptied())
    sender.out.turned_up("m1", 1)
    assert not waits.called
    sender.out.turned_up("m2", 1)
    assert waits.called
    sender.send()
    waits = run(sender.out.emptied())
    sender.wait(SHOWN_SECONDS - 0.1)
    assert not waits.called
    sender.wait(0.2)
    assert waits.called


def test_nobody_waits_for_what_will_not_be_shown_any_more(sender: Sender) -> None:
    """What waits for a message to come back does not wait for ever when the client is gone."""
    sender.send()
    waits = run(sender.out.emptied())
    assert not waits.called
    sender.out.close()
    assert waits.called


def test_a_log_that_is_away_costs_its_time_once(sender: Sender) -> None:
    """What waits behind a message that failed after 15 s fails with it, not 15 s later each."""
    sender.gate.hold("append")
    sender.gate.fail("append", NotStored())
    sender.send(3)
    sender.wait(10)
    sender.send()
    sender.wait(5.1)
    sender.gate.release_one("append")
    assert [type(event) for event in sender.told] == [Delayed, Failed, Failed, Failed]
    assert sender.gate.waiting("append") == 1
    sender.gate.release()
    assert sender.stored() == ["m4"]


def test_a_slow_log_that_goes_on_storing_loses_nothing(sender: Sender) -> None:
    """Messages that waited long are stored all the same, unless the one before them failed."""
    sender.gate.hold("append")
    sender.gate.fail("append", NotStored())
    sender.send(4)
    for _ in range(4):
        sender.gate.release_one("append")
        sender.wait(16)
    assert sender.stored() == ["m2", "m3", "m4"]


def test_a_delay_is_told_once_for_each_message_that_is_held_up(sender: Sender) -> None:
    """After a second without an answer the user is told that it is still being tried."""
    sender.gate.hold("append")
    sender.send(2)
    sender.wait(DELAYED_SECONDS / 2)
    assert not sender.told
    sender.wait(DELAYED_SECONDS / 2)
    sender.wait(10)
    assert sender.told == [Delayed(TEA, "m1")]
    sender.gate.release()
    sender.wait(10)
    assert sender.told == [Delayed(TEA, "m1")]


def test_a_message_that_turns_up_after_all_is_known(sender: Sender) -> None:
    """Who was told of a failure learns, once, when the message is in the room after all."""
    sender.gate.fail("append answer", NotStored())
    sender.send()
    assert sender.out.turned_up("m1", 1)
    assert not sender.out.turned_up("m1", 1)
    assert not sender.out.turned_up("m2", 1)


def test_failures_are_not_remembered_for_ever(sender: Sender) -> None:
    """After ten minutes a failed message is forgotten when the next one fails."""
    sender.gate.fail("append", NotStored(), NotStored(), NotStored())
    sender.send()
    sender.wait(FAILED_SECONDS - 1)
    sender.send()
    sender.wait(2)
    sender.send()
    assert [sender.out.turned_up(name, 1) for name in ("m1", "m2", "m3")] == [False, True, True]


@pytest.mark.parametrize("topic", [False, True])
@pytest.mark.parametrize("error", [NotStored(), StoreUnavailable()])
def test_who_has_seen_a_message_is_not_told_that_it_failed(
    sender: Sender, topic: bool, error: ChatError
) -> None:
    """A message that came back from the log is stored, whatever is said of it afterwards."""
    receipts: list[int | ChatError] = []
    sender.gate.hold("append answer")
    sender.gate.fail("append answer", error)
    sender.send(topic=topic, receipt=receipts.append)
    assert not sender.out.turned_up("m1", 7)
    sender.wait(5)
    sender.gate.release()
    assert receipts == [7]
    assert not sender.told
    assert not sender.out.turned_up("m1", 1)


def test_closing_drops_what_waits_and_says_nothing_more(sender: Sender) -> None:
    """A client that is gone is told nothing; of its messages only the one under way is stored."""
    sender.gate.hold("append")
    sender.send(4)
    fifth = sender.send()
    sender.out.close()
    sender.wait(5)
    emptied = run(sender.out.emptied())
    sender.gate.fail("append answer", NotStored())
    sender.gate.release()
    assert fifth.called
    assert emptied.called
    sender.send()
    assert sender.stored() == ["m1"]
    assert not sender.told


def test_a_long_paste_is_stored_whole_while_the_log_is_slow(sender: Sender) -> None:
    """Who sends far more than may wait, line after line, has it stored when the log goes on."""

    async def paste() -> None:
        for number in range(20):
            name = f"m{number}"
            await sender.out.post(TEA, Draft(name, "said", Nick.parse("bob"), "s", name))

    sender.gate.hold("append")
    pasted = run(paste())
    assert sender.gate.waiting("append") == 1
    sender.gate.release()
    outcome(pasted)
    sender.see()
    outcome(sender.out.emptied())
    assert sender.stored() == [f"m{number}" for number in range(20)]


def test_a_receipt_tells_the_seq_or_the_error_in_place_of_an_event(sender: Sender) -> None:
    """A program that asked for a receipt learns what became of each message, once."""
    receipts: list[int | ChatError] = []
    refused = TextTooLong(10)
    sender.gate.fail("append", refused)
    sender.send(2, receipt=receipts.append)
    assert receipts == [refused, 1]
    assert not sender.told


def test_a_receipt_comes_for_a_message_that_was_seen_though_its_acknowledgement_was_lost(
    sender: Sender,
) -> None:
    """What the user sees in the room is not reported as not stored."""
    receipts: list[int | ChatError] = []
    sender.gate.hold("append answer")
    sender.gate.fail("append answer", NotStored())
    sender.send(receipt=receipts.append)
    sender.out.turned_up("m1", 7)
    sender.gate.release()
    assert receipts == [7]


def test_no_receipt_comes_after_the_end(sender: Sender) -> None:
    """The connection that would take it is gone."""
    receipts: list[int | ChatError] = []
    sender.gate.hold("append")
    sender.send(2, receipt=receipts.append)
    sender.out.close()
    sender.gate.release()
    assert sender.stored() == ["m1"]
    assert not receipts


def test_a_message_that_is_tried_again_under_its_id_is_no_longer_one_that_failed(
    sender: Sender,
) -> None:
    """It does not turn up after all: it was sent again."""
    sender.gate.fail("append", NotStored())
    sender.send()
    sender.sent -= 1
    sender.send()
    assert sender.stored() == ["m1"]
    assert not sender.out.turned_up("m1", 1)
