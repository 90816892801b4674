"""Starting again what has ended, for as long as it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

FIRST_PAUSE = 0.1

STEADY_SECONDS = 10.0
"""What ran so long is not one that dies at every start: the next pause is short again."""

_log = Logger()


def keep(
    reactor: IReactorTime,
    *,
    ended: Callable[[], Awaitable[str]],
    again: Callable[[], Awaitable[None]],
    longest_pause: float,
    last_words: Callable[[], str] = lambda: "",
) -> Deferred[None]:
    """Start something each time that it has ended, until the Deferred is cancelled.

    The pause before a start doubles from one to the next. What `ended` or `again` raise is logged,
    and nothing is started any more.

    Args:
        reactor: Keeps the time.
        ended: Returns when it has ended, with what it is and how it ended, in words.
        again: Tries to start it; if that fails, `ended` returns at once.
        longest_pause: Seconds.
        last_words: What it has said that may explain its end, for the end of a line.
    """
    keeping = Deferred.fromCoroutine(_keep(reactor, ended, again, longest_pause, last_words))
    keeping.addErrback(_log_unless_cancelled)
    return keeping


async def _keep(
    reactor: IReactorTime,
    ended: Callable[[], Awaitable[str]],
    again: Callable[[], Awaitable[None]],
    longest_pause: float,
    last_words: Callable[[], str],
) -> None:
    pause = FIRST_PAUSE
    while True:
        since = reactor.seconds()
        how = await ended()
        if reactor.seconds() - since > STEADY_SECONDS:
            pause = FIRST_PAUSE
        _log.error(
            "{how}; starting it again in {pause:g} s{words}",
            how=how,
            pause=pause,
            words=last_words(),
        )
        await deferLater(reactor, pause)
        pause = min(2 * pause, longest_pause)
        await again()


def _log_unless_cancelled(failure: Failure) -> None:
    if not failure.check(CancelledError):
        _log.failure("a child is not looked after any more", failure=failure)
