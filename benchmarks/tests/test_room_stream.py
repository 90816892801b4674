"""A run whose deliveries are wrong does not count, however fast it was."""

import pytest

from benchmarks.dialects import DISROOM, NATS, Dialect, text
from benchmarks.room_stream import KEPT_BYTES, LooseStream, RoomStream, WrongDelivery


def line(sender: int, seq: int, dialect: Dialect = DISROOM) -> bytes:
    """A message as each member receives it."""
    if dialect is NATS:
        return b"MSG tea 1 64\r\n%b\r\n" % text(sender, seq)
    return b"[15:04:05] #tea u%d: %b\r\n" % (sender, text(sender, seq))


def stream(members: int = 2, senders: int = 2) -> RoomStream:
    """A room in which everybody must receive the same."""
    return RoomStream("tea", members, senders, DISROOM.message("tea"))


def loose(members: int = 2, senders: int = 2) -> LooseStream:
    """A room in which each sender's messages must keep their order."""
    return LooseStream("tea", members, senders, NATS.message("tea"))


def test_everything_delivered_once_and_in_order_is_right() -> None:
    """Wherever the bytes are cut, a message counts for each member that has all of it."""
    room = stream()
    said = line(0, 0) + line(1, 0) + line(0, 1)
    for at in range(len(said)):
        room.take(0, said[at : at + 1])
    assert room.completed() == []
    assert room.deliveries == 3
    assert not room.check_end([2, 1])
    room.take(1, said[:-1])
    assert room.completed() == [(0, 0), (1, 0)]
    room.take(1, said[-1:])
    assert room.completed() == [(0, 1)]
    assert room.deliveries == 6
    assert room.check_end([2, 1])


@pytest.mark.parametrize(
    "received",
    [
        pytest.param([line(0, 1)], id="lost"),
        pytest.param([line(0, 0), line(0, 0)], id="doubled"),
        pytest.param([line(0, 0), line(0, 2), line(0, 1)], id="out of order"),
        pytest.param([b"-- something else that nobody expected here " * 5 + b"\r\n"], id="foreign"),
    ],
)
def test_who_is_ahead_is_read(received: list[bytes]) -> None:
    """What is wrong for everybody is found as well."""
    room = stream()
    with pytest.raises(WrongDelivery):
        for piece in received:
            room.take(0, piece)


@pytest.mark.parametrize(
    "received",
    [
        pytest.param(line(1, 0), id="lost"),
        pytest.param(line(0, 0) * 2, id="doubled"),
        pytest.param(line(1, 0) + line(0, 0), id="another order"),
        pytest.param(line(0, 0)[:-3] + b"y\r\n", id="changed"),
    ],
)
def test_everybody_else_is_compared(received: bytes) -> None:
    """No member receives anything else than the others."""
    room = stream()
    room.take(0, line(0, 0) + line(1, 0))
    with pytest.raises(WrongDelivery):
        room.take(1, received)


def test_what_is_missing_or_too_much_at_the_end_is_seen() -> None:
    """A run ends well only if all that was sent has come to all, and nothing besides."""
    room = stream()
    room.take(0, line(0, 0))
    assert not room.check_end([1, 0])
    room.take(1, line(0, 0))
    assert room.check_end([1, 0])
    assert not room.check_end([2, 0])
    room.take(1, b"-- too much\r\n")
    assert not room.check_end([1, 0])


def test_a_long_run_does_not_need_ever_more_memory() -> None:
    """What everybody has is forgotten, and counted all the same."""
    room = stream(senders=1)
    count = 3 * KEPT_BYTES // len(line(0, 0))
    for seq in range(count):
        for member in range(2):
            room.take(member, line(0, seq))
        assert room.completed() == [(0, seq)]
    assert room.deliveries == 2 * count
    assert room.check_end([count])
    assert len(room._known) <= KEPT_BYTES + 1000


def test_members_may_disagree_where_the_server_promises_no_common_order() -> None:
    """Another order of different senders is right on core NATS; cut anywhere."""
    one = b"".join(line(*m, NATS) for m in [(0, 0), (1, 0), (0, 1), (1, 1)])
    other = b"".join(line(*m, NATS) for m in [(1, 0), (0, 0), (1, 1), (0, 1)])
    for at in range(len(other)):
        room = loose()
        room.take(0, one)
        room.take(1, other[:at])
        room.take(1, other[at:])
        assert room.completed() == [(0, 0), (1, 0), (0, 1), (1, 1)]
        assert room.check_end([2, 2])


@pytest.mark.parametrize(
    "received",
    [
        pytest.param([(0, 1), (0, 0), (1, 0)], id="out of order"),
        pytest.param([(1, 0), (1, 0), (0, 0)], id="doubled"),
        pytest.param([(1, 0), (0, 1)], id="lost"),
    ],
)
def test_a_senders_order_counts_everywhere(received: list[tuple[int, int]]) -> None:
    """Also where members may disagree, nothing is lost, doubled or out of a sender's order."""
    room = loose()
    for message in [(0, 0), (0, 1), (1, 0)]:
        room.take(0, line(*message, NATS))
    try:
        for message in received:
            room.take(1, line(*message, NATS))
    except WrongDelivery:
        return
    assert not room.check_end([2, 1])
