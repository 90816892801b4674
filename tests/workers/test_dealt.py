"""A worker's connections, which its parent counts."""

from __future__ import annotations

import pytest

from disroom.wire.errors import ServerFull, TooManyConnections
from disroom.workers.dealing import Deal
from disroom.workers.dealt import DealtConnections
from disroom.workers.messages import Came, Gone, Located, Refuse, Report, Took
from disroom.workers.tally import Verdict
from tests.transports.member import Client

WELCOME, FULL, CROWDED = Verdict


class Worker:
    """Connections, and what the parent was told of them."""

    def __init__(self, most: int = 10) -> None:
        self.told: list[Report] = []
        self.took: list[int] = []
        self.connections = DealtConnections(most, 3, self._tell)

    def _tell(self, report: Report) -> None:
        if isinstance(report, Took):
            self.took.append(report.key)
        else:
            self.told.append(report)

    def dealt(self, key: int, verdict: Verdict = WELCOME) -> Client:
        """Take a connection as a listener without a proxy does."""
        client = Client()
        with self.connections.dealt(Deal(0, verdict, key)):
            self.connections.admit(client)
            self.connections.locate(client, "192.0.2.1")
        return client


def test_each_that_was_dealt_is_gone_once() -> None:
    """However it ends, and however often that is said."""
    worker = Worker()
    client = worker.dealt(7)
    assert worker.told == []
    worker.connections.forget(client)
    worker.connections.forget(client)
    assert worker.told == [Gone(7)]
    with worker.connections.dealt(Deal(0, WELCOME, 8)):
        pass  # it could not be adopted
    assert worker.told == [Gone(7), Gone(8)]
    assert worker.took == [7, 8]


def test_the_parents_word_counts() -> None:
    """Those that it finds too many are refused here, in words, and are gone."""
    worker = Worker()
    with pytest.raises(ServerFull):
        worker.dealt(1, FULL)
    assert worker.told == [Gone(1)]
    with pytest.raises(TooManyConnections, match="3"):
        worker.dealt(2, CROWDED)
    assert worker.told == [Gone(1)], "it is closed like any other"


def test_this_process_can_be_full_before_the_port() -> None:
    """There are only so many descriptors."""
    worker = Worker(1)
    client = worker.dealt(1)
    with pytest.raises(ServerFull):
        worker.dealt(2)
    assert worker.told == [Gone(2)]
    worker.connections.forget(client)
    worker.dealt(3)


def test_what_a_proxy_told() -> None:
    """The parent is asked, and may answer when the connection is gone."""
    worker = Worker()
    first, second = Client(), Client()
    for key, client in enumerate((first, second), 1):
        with worker.connections.dealt(Deal(0, WELCOME, key)):
            worker.connections.admit(client)
        worker.connections.locate(client, "192.0.2.1")
    worker.connections.locate(first, "127.0.0.1")
    worker.connections.locate(first, None)
    assert worker.told == [Located(1, "192.0.2.1"), Located(2, "192.0.2.1")]
    worker.connections.refuse(Refuse(2, full=False))
    assert isinstance(second.closed, TooManyConnections) and first.closed is None
    worker.connections.forget(first)
    worker.connections.refuse(Refuse(1, full=False))
    assert first.closed is None


def test_a_client_that_comes_later() -> None:
    """By a connection that begins as HTTP; it is told when it comes, and refused in words."""
    worker = Worker()
    with worker.connections.dealt(Deal(0, FULL, 9)):
        pass  # HTTP, which nobody counts
    first, second = Client(), Client()
    for client in (first, second):
        worker.connections.admit(client)
    worker.connections.locate(first, "192.0.2.1")
    assert worker.told == [Gone(9), Came(-1), Came(-2), Located(-1, "192.0.2.1")]
    worker.connections.refuse(Refuse(-2, full=True))
    assert isinstance(second.closed, ServerFull) and first.closed is None
    worker.connections.forget(second)
    assert worker.told[-1] == Gone(-2)
