"""The judging of notices: it must not pass what it is there to find."""

from __future__ import annotations

import pytest

from tests.faults.notices import judge_notices
from tests.faults.talker import AFTER_ALL, DELAYED, NOT_STORED
from tests.faults.test_count import IDS, talker
from tests.processes.text_client import Received

SAID = [0.0, 0.5, 1.0, 20.0]
HEARD = [5.0, 5.1, 5.2, 20.1]

Line = tuple[str, float]


def wrongs(*lines: Line, heard: list[float] | None = None, turned_up: tuple[int, ...] = ()) -> str:
    """What is wrong if a sender reads these lines, and its messages at these times (0: never)."""
    ann = talker("ann", [])
    ann.said = dict(zip(IDS, SAID, strict=True))
    ann.heard = {id_: at for id_, at in zip(IDS, heard or HEARD, strict=True) if at}
    ann.after_all_ids = [IDS[number] for number in turned_up]
    ann.others = [Received(text, at) for text, at in lines]
    return "; ".join(judge_notices([ann]).wrongs)


@pytest.mark.parametrize("at", [1.0, 1.4, 2.4])
def test_a_wait_that_is_told_of_in_time_is_right(at: float) -> None:
    """A second after the first message that waits, and up to one and a half more."""
    assert wrongs((DELAYED, at)) == ""


@pytest.mark.parametrize("at", [2.6, 4.9])
def test_late_is_not_told(at: float) -> None:
    """A notice that comes when it is nearly over does not do."""
    assert wrongs((DELAYED, at)) == "ann waited 5.2 s and was not told"
    assert wrongs() == "ann waited 5.2 s and was not told"


def test_a_short_wait_may_pass_in_silence() -> None:
    """The server looks twice a second."""
    assert wrongs(heard=[1.4, 1.5, 2.4, 20.1]) == ""


@pytest.mark.parametrize("at", [0.9, 6.0, 20.05])
def test_a_notice_without_a_wait_is_found(at: float) -> None:
    """Too soon, after the line, or while nothing waits for long enough."""
    assert wrongs((DELAYED, 1.2), (DELAYED, at)) == "ann was told of a delay that there was not"


def test_a_message_is_told_of_once() -> None:
    """Three may wait, so there may be three notices and not a fourth."""
    told = [(DELAYED, 1.2), (DELAYED, 5.05), (DELAYED, 5.15)]
    assert wrongs(*told) == ""
    assert wrongs(*told, (DELAYED, 5.2)) == "ann was told of a delay that there was not"


def test_a_told_message_has_an_end() -> None:
    """Its line, or an error; the others' lines do not stand for it."""
    silent = [0.0, *HEARD[1:]]
    assert f"{IDS[0]}: neither its line nor an error" in wrongs((DELAYED, 1.2), heard=silent)
    assert wrongs((DELAYED, 1.2), (NOT_STORED, 4.0), heard=silent) == ""
    assert "1 errors for no message" in wrongs((DELAYED, 1.2), (NOT_STORED, 4.0))


def test_what_failed_and_came_back_was_announced() -> None:
    """A message that has an error and its line needs the words that it is there after all."""
    lines = ((DELAYED, 1.2), (NOT_STORED, 4.0))
    assert wrongs(*lines, (AFTER_ALL, 5.0), turned_up=(0,)) == ""
    assert "1 notices of 0 that turned up" in wrongs(*lines, (AFTER_ALL, 5.0))
