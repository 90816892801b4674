"""The one way in which tests wait."""

import time

import pytest
import pytest_twisted
from twisted.internet import defer

from tests.eventually import eventually, eventually_blocking


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator] # it has no annotations
async def test_the_first_true_value_is_returned() -> None:
    """A test goes on as soon as what it waits for is there, and gets it."""
    values = iter([0, None, "", "there", "later"])
    assert await eventually(lambda: next(values)) == "there"


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator] # it has no annotations
async def test_coroutines_and_deferreds_are_awaited() -> None:
    """A condition may ask a service, asynchronously."""
    answers = iter([0, 0, 7])

    async def ask() -> int:
        return next(answers)

    assert await eventually(ask) == 7
    assert await eventually(lambda: defer.succeed("now")) == "now"


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator] # it has no annotations
async def test_the_deadline_says_what_was_missing() -> None:
    """A test that waits in vain fails in time, with the reason and the last value."""
    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"no users after 0.05 s; the last value: \[\]"):
        await eventually(lambda: [], timeout=0.05, message="no users")
    assert time.monotonic() - began < 2


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator] # it has no annotations
async def test_an_answer_that_never_comes_does_not_hang_the_suite() -> None:
    """The deadline holds for what is awaited as well, and cancels it."""
    silent: defer.Deferred[bool] = defer.Deferred()
    with pytest.raises(AssertionError, match="no answer"):
        await eventually(lambda: silent, timeout=0.05)
    assert silent.called


def test_the_blocking_twin_keeps_the_same_promises() -> None:
    """Tests without a reactor wait in the same way."""
    values = iter([0, 0, 3])
    assert eventually_blocking(lambda: next(values)) == 3
    with pytest.raises(AssertionError, match=r"gone after 0.05 s; the last value: None"):
        eventually_blocking(lambda: None, timeout=0.05, message=lambda: "gone")
