"""Who of those here is told what."""

from disroom.chat.audience import Audience
from disroom.chat.events import Joined, Message, RoomEvent
from disroom.chat.names import Nick, RoomName
from tests.chat.test_room import Seat, person

TEA = RoomName.parse("tea")


class Ear:
    """An occupant that notes what of it is its own."""

    def __init__(self, id_: str) -> None:
        self.id = id_
        self.own: list[bool] = []

    def receive(self, event: RoomEvent, own: bool = False) -> None:
        """Take an event."""
        self.own.append(own)


def message(session: str) -> Message:
    """Something said by a session."""
    return Message(
        room=TEA,
        seq=1,
        at=0.0,
        id="m1",
        kind="said",
        nick=Nick.parse(session),
        session=session,
        text="hi",
    )


def joined(*sessions: str) -> Joined:
    """The event that shows people coming in."""
    return Joined(TEA, 0.0, tuple(person(session) for session in sessions))


def test_whose_message_it_is_is_told_that_it_is_its_own() -> None:
    """A message is the receipt of who sent it, and of nobody else."""
    audience, ann, bob = Audience(), Ear("ann"), Ear("bob")
    audience.enter(ann)
    audience.enter(bob)
    for session in ("ann", "bob", "cat"):
        audience.tell(message(session))
    assert ann.own == [True, False, False]
    assert bob.own == [False, True, False]


def test_of_many_who_came_each_is_told_of_the_others() -> None:
    """Nobody is shown coming to itself."""
    audience, ann, bob, cat = Audience(), Seat("ann"), Seat("bob"), Seat("cat")
    for seat in (ann, bob, cat):
        audience.enter(seat)
    audience.tell_moved(joined("ann", "dan", "bob"))
    assert ann.take() == [joined("dan", "bob")]
    assert bob.take() == [joined("ann", "dan")]
    assert cat.take() == [joined("ann", "dan", "bob")]
    audience.tell_moved(joined("cat"))
    assert not cat.take()


def test_who_has_gone_is_told_nothing_more() -> None:
    """Also not of what concerns it alone; and one who comes later is told of what follows."""
    audience, ann, bob = Audience(), Seat("ann"), Seat("bob")
    audience.enter(ann)
    audience.tell(message("bob"))
    assert ann.take() == [message("bob")]
    audience.leave(ann)
    audience.leave(ann)
    assert not len(audience)
    audience.tell(message("bob"))
    audience.enter(bob)
    audience.tell(message("ann"))
    audience.tell_moved(joined("cat"))
    for session in ("ann", "bob"):
        audience.tell_one(session, message(session))
    assert not ann.shown
    assert bob.shown == [message("ann"), joined("cat"), message("bob")]
