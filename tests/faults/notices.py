"""What senders were told while their messages waited, message by message.

Notices and errors name no message. They can be told apart all the same: a sender's messages are
decided one after the other, so the n-th error is for the n-th message that did not come back, or
came back only after all; and a notice is for one that had waited for a second when it came.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.faults.talker import AFTER_ALL, DELAYED, NOT_STORED, Talker

DELAYED_SECONDS = 1.0
"""A message that waits for longer is delayed, and its sender is told."""

TOLD_SECONDS = 1.5
"""After these, at the latest: the server looks every 0.5 s, and may itself be late by a second."""


@dataclass
class Fate:
    """What became of one message; times as `time.monotonic` has them.

    Attributes:
        said: When it went to the socket.
        ended: When its sender had its line, or else the error; infinity: neither has come.
        failed: Whether there was an error.
        after_all: Whether it was said to have turned up.
        told: When its sender was told that it is delayed; 0: was not.
    """

    id: str
    said: float
    ended: float = math.inf
    failed: bool = False
    after_all: bool = False
    told: float = 0.0

    @property
    def overdue(self) -> float:
        """From when on it is delayed, if it is."""
        return self.said + DELAYED_SECONDS


@dataclass
class Notices:
    """Counts over all senders, and in words what is wrong.

    Attributes:
        senders: Those who waited so long that they had to be told.
        told: Notices.
        wrongs: A wait that was not told of in time, a notice without a wait, an error for no
            message, a told message without an end, a failed one that came back without a word.
    """

    senders: int = 0
    told: int = 0
    wrongs: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The counts, for the report."""
        return f"{self.senders} senders waited and were told {self.told} times"

    def check(self) -> None:
        """Pass if nothing is wrong.

        Raises:
            AssertionError: Otherwise, with what is wrong.
        """
        assert not self.wrongs, "\n".join(self.wrongs[:20])


def judge_notices(talkers: Iterable[Talker]) -> Notices:
    """Compare what senders were told with what became of their messages, once all is decided."""
    notices = Notices()
    for talker in talkers:
        told = [line.at for line in talker.others if line.text.startswith(DELAYED)]
        fates = _fates(talker, notices.wrongs)
        notices.told += len(told)
        _attribute(talker.nick, told, fates, notices.wrongs)
        waits = [wait for wait in _waits(fates) if wait[1] - wait[0] > TOLD_SECONDS]
        notices.senders += bool(waits)
        for start, end in waits:
            if not any(start <= at <= start + TOLD_SECONDS for at in told):
                notices.wrongs.append(
                    f"{talker.nick} waited {end - start + DELAYED_SECONDS:.1f} s and was not told"
                )
    return notices


def _fates(talker: Talker, wrongs: list[str]) -> list[Fate]:
    after_all = set(talker.after_all_ids)
    errors = [line.at for line in talker.others if line.text.endswith(NOT_STORED)]
    fates = []
    for id_, said in talker.said.items():
        fate = Fate(id_, said)
        if id_ in talker.heard and id_ not in after_all:
            fate.ended = talker.heard[id_]
        elif errors:
            fate.ended, fate.failed, fate.after_all = errors.pop(0), True, id_ in after_all
        else:
            wrongs.append(f"{id_}: neither its line nor an error")
        fates.append(fate)
    if errors:
        wrongs.append(f"{talker.nick}: {len(errors)} errors for no message")
    named = sum(line.text.startswith(AFTER_ALL) for line in talker.others)
    if named != len(after_all):
        wrongs.append(f"{talker.nick}: {named} notices of {len(after_all)} that turned up")
    return fates


def _attribute(nick: str, told: Sequence[float], fates: Sequence[Fate], wrongs: list[str]) -> None:
    """Find for each notice the message that it is for, which is the first that waits."""
    for at in told:
        waiting = (f for f in fates if not f.told and f.overdue <= at <= f.ended)
        fate = next(waiting, None)
        if fate is None:
            wrongs.append(f"{nick} was told of a delay that there was not")
        else:
            fate.told = at


def _waits(fates: Iterable[Fate]) -> list[tuple[float, float]]:
    """The times in which a sender had some delayed message, from the first to the last."""
    waits: list[tuple[float, float]] = []
    for fate in fates:
        if fate.ended <= fate.overdue:
            continue
        if waits and fate.overdue <= waits[-1][1]:
            waits[-1] = (waits[-1][0], max(waits[-1][1], fate.ended))
        else:
            waits.append((fate.overdue, fate.ended))
    return waits
