"""What the domain is given of the event loop and the system."""

import re

from twisted.internet.task import Clock

from disroom.adapters.runtime import IDS_AT_ONCE, TwistedRuntime


def test_an_id_occurs_once_and_tells_nothing_of_the_next() -> None:
    """Nobody can guess another one's session; every character but the same few is free."""
    ids = [TwistedRuntime(Clock()).fresh_id() for _ in range(3)]
    runtime = TwistedRuntime(Clock())
    ids += [runtime.fresh_id() for _ in range(3 * IDS_AT_ONCE)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{22}", id_) for id_ in ids)
    for column in zip(*ids, strict=True):
        assert len(set(column)) > 32


def test_something_is_called_later_once() -> None:
    """What is put off is done at its time, and not before."""
    clock, done = Clock(), []
    TwistedRuntime(clock).after(2.0, lambda: done.append(clock.seconds()))
    clock.advance(1.9)
    assert not done
    clock.pump([0.1, 5.0])
    assert done == [2.0]
