"""Where the servers are, and when to try the next one."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

DEFAULT_PORT = 8080
FIRST_PAUSE = 0.1
WELCOMED_PAUSE = 1.0
LONGEST_PAUSE = 5.0
"""Seconds between two attempts; the pause doubles from the first to the longest, of which several
lie within the half a minute for which a server keeps a session that has lost its client."""

_ADDRESS = re.compile(
    r"(?:(?P<tls>tls://)|tcp://)?(?:\[(?P<v6>[^]]+)\]|(?P<host>[^:\[\]/]+))(?::(?P<port>\d+))?"
)


@dataclass(frozen=True, slots=True)
class Address:
    """One server, ``HOST``, ``HOST:PORT``, ``[IPV6]:PORT`` or ``tls://HOST:PORT``."""

    host: str
    port: int = DEFAULT_PORT
    tls: bool = False

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read one; raises ValueError where it is none."""
        parts = _ADDRESS.fullmatch(text.strip())
        port = int(parts["port"] or DEFAULT_PORT) if parts else 0
        if not parts or not 0 < port < 65536:
            raise ValueError(f"HOST:PORT or tls://HOST:PORT was expected, not {text!r}")
        return cls(parts["v6"] or parts["host"], port, bool(parts["tls"]))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls://' if self.tls else ''}{host}:{self.port}"


class Attempts:
    """Goes round the servers, in an order of its own, with longer and longer pauses.

    The first attempt at each server comes without a pause; from then on each pause is drawn at
    random from between half and all of its length, so that the clients of a server that died do not
    come back in step.

    Args:
        addresses: At least one.
        random_: Between 0 and 1.
    """

    def __init__(
        self, addresses: Iterable[str], random_: Callable[[], float] = random.random
    ) -> None:
        self._addresses = [Address.parse(text) for text in addresses]
        if not self._addresses:
            raise ValueError("an address is needed")
        start = int(random_() * len(self._addresses)) % len(self._addresses)
        self._addresses = self._addresses[start:] + self._addresses[:start]
        self._random = random_
        self._failed = 0
        self._next = 0
        self._why: dict[Address, str] = {}

    @property
    def tls(self) -> bool:
        """Whether one of them is to be spoken TLS with."""
        return any(address.tls for address in self._addresses)

    def next(self) -> tuple[float, Address]:
        """How many seconds to wait, and where to connect then."""
        address = self._addresses[self._next % len(self._addresses)]
        self._next += 1
        rounds = self._failed - len(self._addresses)
        self._failed += 1
        if rounds < 0:
            return 0.0, address
        pause = min(FIRST_PAUSE * 2.0 ** min(rounds, 20), LONGEST_PAUSE)
        return pause * (0.5 + self._random() / 2), address

    def failed(self, why: str) -> None:
        """Note why the last attempt failed, or how what came of it ended."""
        address = self._addresses[(self._next - 1) % len(self._addresses)]
        self._why[address] = why

    def welcomed(self) -> None:
        """Let in, if only for a moment: pause for WELCOMED_PAUSE at the most the next time.

        A session waits half a minute for its client, so one whose servers die one after the other
        must not be kept for long by what failed before.
        """
        most = int(math.log2(WELCOMED_PAUSE / FIRST_PAUSE))
        self._failed = min(self._failed, len(self._addresses) + most)

    def succeeded(self) -> None:
        """Begin without a pause the next time."""
        self._failed = 0

    def account(self) -> str:
        """Where no connection could be had, and why, for people."""
        untried = [address for address in self._addresses if address not in self._why]
        told = [f"{address}: {why}" for address, why in self._why.items()]
        return "; ".join([*told, *(f"{address}: no answer yet" for address in untried)])
