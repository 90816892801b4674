"""The count itself: it must not miss what it is there to find."""

from typing import cast

import pytest

from tests.faults.count import judge
from tests.faults.talker import Talker
from tests.processes.client import LineClient

IDS = [f"<r0.ann.{number}>" for number in range(4)]


class Line:
    """A client's connection, as far as the count looks at it."""

    ended = False


def talker(nick: str, seen: list[str], *, said: list[str] | None = None) -> Talker:
    """Somebody who was there from the start."""
    one = Talker(cast(LineClient, Line()), nick, "r0")
    one.from_start = True
    one.seen = seen
    one.said = dict.fromkeys(said or (), 0.0)
    one.heard = {id_: 1.0 for id_ in seen if id_ in one.said}
    return one


def test_a_flawless_conversation_passes() -> None:
    """All that was said was stored and seen by both, once and in order."""
    verdict = judge([talker("ann", IDS, said=IDS), talker("ben", IDS)], {"r0": IDS}, scheduled=4)
    verdict.check()
    assert (verdict.sent, verdict.acknowledged, verdict.delivered) == (4, 4, 8)


@pytest.mark.parametrize(
    ("kind", "seen", "stored"),
    [
        ("lost", [IDS[0], *IDS[2:]], IDS),
        ("lost", IDS[:3], IDS),
        ("lost", IDS, IDS[:3]),
        ("duplicated", [*IDS, IDS[1]], IDS),
        ("duplicated", IDS, [*IDS, IDS[3]]),
        ("disordered", [IDS[1], IDS[0], *IDS[2:]], IDS),
        ("disordered", [IDS[1], IDS[0], *IDS[2:]], [IDS[1], IDS[0], *IDS[2:]]),
    ],
)
def test_what_is_wrong_is_found(kind: str, seen: list[str], stored: list[str]) -> None:
    """A message that a member lacks, or the stream; one that is there twice, or too late."""
    talkers = [talker("ann", IDS, said=IDS), talker("ben", seen)]
    verdict = judge(talkers, {"r0": stored}, scheduled=4)
    assert getattr(verdict, kind) > 0
    with pytest.raises(AssertionError):
        verdict.check()


def test_silence_about_a_message_is_a_loss() -> None:
    """What was neither acknowledged nor reported as failed is counted."""
    verdict = judge([talker("ann", IDS[:3], said=IDS)], {"r0": IDS[:3]}, scheduled=4)
    assert verdict.lost == 1


def test_sending_less_than_scheduled_fails() -> None:
    """A fault that merely kept people from talking proves nothing."""
    verdict = judge([talker("ann", IDS, said=IDS)], {"r0": IDS}, scheduled=5)
    with pytest.raises(AssertionError, match="sent 4 of 5 scheduled"):
        verdict.check()
