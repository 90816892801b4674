"""Connections to NATS for a test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from twisted.internet import reactor

from disroom.adapters.nats.connection import NatsConnection
from disroom.adapters.nats.errors import StoreStartError
from disroom.adapters.nats.message import Incoming
from disroom.adapters.nats.settings import NatsSettings
from tests.eventually import eventually


@dataclass(slots=True)
class Connections:
    """Makes connections and stops them."""

    made: list[NatsConnection] = field(default_factory=list)

    def make(
        self, *urls: str, addresses: Callable[[], list[str]] | None = None, **settings: Any
    ) -> NatsConnection:
        """Make a connection without starting it; a setting may be a function that tells it."""

        def current() -> NatsSettings:
            told = {key: each() if callable(each) else each for key, each in settings.items()}
            return NatsSettings(tuple(addresses()) if addresses else urls, **told)

        connection = NatsConnection(current, clock=reactor, instance_name="test")
        self.made.append(connection)
        return connection

    async def start(self, *urls: str, **settings: Any) -> NatsConnection:
        """Start a connection."""
        connection = self.make(*urls, **settings)
        await connection.start()
        return connection

    async def refused(self, *urls: str, **settings: Any) -> str:
        """Why a connection cannot be started; it takes less than 11 s, and no word of a secret."""
        began = time.monotonic()
        with pytest.raises(StoreStartError) as error:
            await self.start(*urls, **settings)
        assert time.monotonic() - began < 11
        text = str(error.value)
        assert "\n" not in text and "secret" not in text
        return text

    async def stop(self) -> None:
        """Stop every connection."""
        for connection in self.made:
            await connection.stop()


class Messages:
    """What a subscription brought."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []

    def receive(self, message: Incoming) -> None:
        """Record a message."""
        self.payloads.append(message.data)

    async def heard(self, count: int) -> None:
        """Wait until so many have come."""
        await eventually(lambda: len(self.payloads) == count, message=lambda: f"{self.payloads}")


async def answers(connection: NatsConnection, subject: str) -> bool:
    """Whether what is published to a subject comes back, within two seconds."""
    heard = Messages()
    subscription = connection.subscribe(subject, heard.receive)
    await connection.flush(2.0)
    await connection.publish(subject, b"ping")
    await eventually(lambda: heard.payloads == [b"ping"], 2.0)
    subscription.cancel()
    return True
