"""What became of every message: the verdict over what clients saw and what the stream holds."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.faults.talker import Talker

SHOWN = 5


@dataclass
class Verdict:
    """Counts over all rooms, and in words what is wrong.

    Attributes:
        scheduled: Messages that were to be sent.
        sent: Messages that went to a socket.
        acknowledged: Of those, how many their sender read back.
        failed: How many were reported as not stored.
        after_all: How many of these were said to have turned up.
        delivered: Lines with a message that members read, of all members.
        lost: Acknowledged and not in the stream, or in the stream and not seen by a member who was
            there, or neither acknowledged nor reported as failed.
        duplicated: In the stream twice, or seen twice by a member.
        disordered: Seen by a member in another order than the stream's, or stored in another order
            than said.
    """

    scheduled: int = 0
    sent: int = 0
    acknowledged: int = 0
    failed: int = 0
    after_all: int = 0
    delivered: int = 0
    lost: int = 0
    duplicated: int = 0
    disordered: int = 0
    wrongs: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The counts, for the report."""
        failed = (
            f", failed {self.failed} ({self.after_all} stored after all)" if self.failed else ""
        )
        return (
            f"sent {self.sent}, acknowledged {self.acknowledged}{failed}, "
            f"delivered {self.delivered}, lost {self.lost}, duplicated {self.duplicated}, "
            f"out of order {self.disordered}"
        )

    def check(self) -> None:
        """Pass if all that was scheduled was sent, and nothing is lost, twice or out of order.

        Raises:
            AssertionError: Otherwise, with what is wrong.
        """
        assert self.sent >= self.scheduled, f"sent {self.sent} of {self.scheduled} scheduled"
        assert not self.wrongs, "\n".join([str(self), *self.wrongs[: 4 * SHOWN]])


def judge(
    talkers: Sequence[Talker], truth: Mapping[str, Sequence[str]], *, scheduled: int
) -> Verdict:
    """Compare what the talkers saw with what the stream holds.

    A talker whose connection stands must have seen all of its room from its coming on, and one
    whose connection ended all up to some point: in either case once, and in the stream's order.

    Args:
        talkers: All who ever talked.
        truth: The ids in the stream, in its order, by room.
        scheduled: How many messages were to be sent.
    """
    verdict = Verdict(scheduled=scheduled)
    places: dict[str, dict[str, int]] = {}
    for room, stored in truth.items():
        _judge_stream(verdict, room, stored)
        places[room] = {id_: place for place, id_ in enumerate(stored)}
    for talker in talkers:
        stored, known = truth.get(talker.room, ()), places.get(talker.room, {})
        verdict.sent += len(talker.said)
        verdict.acknowledged += len(talker.heard)
        verdict.failed += talker.failed
        verdict.after_all += talker.after_all
        verdict.delivered += len(talker.seen)
        lost = [id_ for id_ in talker.heard if id_ not in known]
        _wrong(verdict, "lost", len(lost), f"{talker.nick}: acknowledged, not stored", lost)
        if talker.here:
            _wrong(verdict, "lost", abs(talker.open), f"{talker.nick}: no word about messages")
        _judge_member(verdict, talker, stored, known)
    return verdict


def _judge_stream(verdict: Verdict, room: str, stored: Sequence[str]) -> None:
    twice = [id_ for id_, times in Counter(stored).items() if times > 1]
    _wrong(verdict, "duplicated", len(twice), f"#{room}: in the stream twice", twice)
    numbers: dict[str, int] = {}
    late = []
    for id_ in dict.fromkeys(stored):
        sender, _, number = id_.strip("<>").rpartition(".")
        if int(number) < numbers.get(sender, -1):
            late.append(id_)
        numbers[sender] = int(number)
    _wrong(verdict, "disordered", len(late), f"#{room}: stored later than said", late)


def _judge_member(
    verdict: Verdict, talker: Talker, stored: Sequence[str], places: Mapping[str, int]
) -> None:
    seen = talker.seen
    twice = [id_ for id_, times in Counter(seen).items() if times > 1]
    _wrong(verdict, "duplicated", len(twice), f"{talker.nick} saw twice", twice)
    unknown = [id_ for id_ in seen if id_ not in places]
    _wrong(verdict, "lost", len(unknown), f"{talker.nick} saw, not in the stream", unknown)
    run = [places[id_] for id_ in dict.fromkeys(seen) if id_ in places]
    back = [stored[now] for before, now in pairwise(run) if now < before]
    _wrong(verdict, "disordered", len(back), f"{talker.nick} saw late", back)
    first = min(run) if run else len(stored)
    if talker.from_start:
        first = 0
    last = len(stored) if talker.here else max(run, default=-1) + 1
    found = set(run)
    missed = [stored[place] for place in range(first, last) if place not in found]
    _wrong(verdict, "lost", len(missed), f"{talker.nick} did not see", missed)


def _wrong(verdict: Verdict, kind: str, count: int, what: str, ids: Iterable[str] = ()) -> None:
    if count:
        setattr(verdict, kind, getattr(verdict, kind) + count)
        some = list(ids)[:SHOWN]
        verdict.wrongs.append(f"{what}: {count} {' '.join(some)}")
