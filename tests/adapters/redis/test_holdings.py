"""What an instance vouches for, as it is sent to the store."""

import msgspec

from disroom.adapters.redis.holdings import BATCH_ROOMS, BATCH_SESSIONS, Held, Holdings
from disroom.chat.names import Nick, RoomName


def holding(sessions: int, rooms: int) -> Holdings:
    """So many sessions, each in so many rooms."""
    holdings = Holdings()
    for number in range(sessions):
        held = Held(Nick.parse(f"user{number}"), since=number)
        held.rooms = {RoomName.parse(f"room{room}"): room for room in range(rooms)}
        holdings.sessions[f"s{number}"] = held
    return holdings


def test_no_batch_keeps_the_store_from_others_for_long() -> None:
    """While a big server comes back, the users of the others are served."""
    for sessions, rooms in ((250, 1), (60, 20)):
        batches = [msgspec.msgpack.decode(b) for b in holding(sessions, rooms).batches(0.0)]
        assert [entry[0] for batch in batches for entry in batch] == [
            f"s{number}" for number in range(sessions)
        ]
        assert len(batches) == 3
        for batch in batches:
            assert len(batch) <= BATCH_SESSIONS
            assert sum(len(entry[5]) for entry in batch) < BATCH_ROOMS + rooms


def test_who_leaves_meanwhile_is_not_brought_back() -> None:
    """A user who hangs up while the server asserts its sessions is not shown afterwards."""
    holdings = holding(150, 0)
    batches = holdings.batches(0.0)
    next(batches)
    holdings.owe("s120", "connection lost")
    assert "s120" not in [entry[0] for entry in msgspec.msgpack.decode(next(batches))]
    assert holdings.owed == {"s120": "connection lost"}
