"""An instance that has nothing but embedded brokers; a program, run by the tests.

    python instance_program.py STATE_DIR GUARD READY_TIMEOUT [NATS_SERVER]

Prints its log, and its status as a line of JSON whenever that has changed. On SIGTERM it stops the
brokers and ends; where they cannot be started, it prints `BrokerError: ...` and exits with 1.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any, cast

from twisted.internet import asyncioreactor

asyncioreactor.install()

from twisted.internet import reactor as installed_reactor  # noqa: E402 - ours, from the line above
from twisted.internet.defer import CancelledError, Deferred  # noqa: E402
from twisted.internet.task import LoopingCall  # noqa: E402
from twisted.logger import globalLogBeginner, textFileLogObserver  # noqa: E402

from disroom.brokers import (  # noqa: E402
    BrokerError,
    EmbeddedBrokers,
    find_nats_server,
    find_redis_server,
)
from disroom.children import Guard  # noqa: E402

STATUS_SECONDS = 0.01

reactor = cast(Any, installed_reactor)  # a module to mypy


class Status:
    """Prints what has changed."""

    def __init__(self, brokers: EmbeddedBrokers) -> None:
        self._brokers = brokers
        self._printed = ""

    def show(self) -> None:
        """Print the status if it is another one."""
        addresses = self._brokers.addresses()
        status = {
            "alone": self._brokers.alone,
            "holding": self._brokers.holding,
            "nats_url": addresses.nats_url,
            "nats_token": addresses.nats_token,
            "redis_socket": str(addresses.redis_socket),
        }
        line = json.dumps(status)
        if line != self._printed:
            self._printed = line
            print(line, flush=True)


async def run(brokers: EmbeddedBrokers) -> None:
    """Start the brokers, and see to it that they are stopped."""
    reactor.addSystemEventTrigger(
        "before", "shutdown", lambda: Deferred.fromCoroutine(brokers.stop())
    )
    try:
        await brokers.start()
    except CancelledError:
        return
    except BrokerError as error:
        print(f"BrokerError: {error}", flush=True)
        reactor.fireSystemEvent("shutdown")
        os._exit(1)
    LoopingCall(Status(brokers).show).start(STATUS_SECONDS)


def main(state_dir: str, guard: str, ready_timeout: str, nats_server: str | None = None) -> None:
    """Run until a signal comes."""
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stdout)], redirectStandardIO=False)
    brokers = EmbeddedBrokers(
        reactor,
        Path(state_dir),
        nats_server=find_nats_server(nats_server),
        redis_server=find_redis_server(),
        guard=cast(Guard, guard),
        ready_timeout=float(ready_timeout),
    )
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(run(brokers)))
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
