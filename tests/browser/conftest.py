"""Fixtures of the browser tests: a chat with a web page, and people who look at it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.chromium import Chromium, Page
from tests.cluster.chat import Chat
from tests.processes.disroom import DisroomProcess
from tests.processes.nats import NatsServer
from tests.processes.ports import ReservedPort
from tests.processes.redis import RedisServer


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """The worker's browser."""
    browser = Chromium()
    yield browser
    browser.close()


@pytest.fixture
def chat(
    nats: NatsServer, redis: RedisServer, new_disroom: Callable[..., DisroomProcess], unique: str
) -> Chat:
    """A chat of the test's own on the worker's brokers; it starts with no instance."""
    return Chat(new_disroom, nats.url, redis.url, unique)


@pytest.fixture
def web_port() -> Iterator[ReservedPort]:
    """Where the page is, also after a restart."""
    port = ReservedPort()
    yield port
    port.release()


@pytest.fixture
def server(chat: Chat, web_port: ReservedPort) -> DisroomProcess:
    """An instance with a web page."""
    return chat.instance(options=[f"--web=127.0.0.1:{web_port.number}"])


@pytest.fixture
def visit(chromium: Chromium) -> Iterator[Callable[..., Page]]:
    """Open an instance's page: `visit(server)`, with options of playwright's `new_context`.

    At the end each page must have broken no policy and said nothing wrong in its console.
    """
    with contextlib.ExitStack() as opened:
        pages: list[Page] = []

        def open_page(server: DisroomProcess, **options: Any) -> Page:
            address = server.listening[-1]
            assert isinstance(address, tuple)
            page = chromium.open(f"http://{address[0]}:{address[1]}", **options)
            opened.callback(page.close)
            pages.append(page)
            return page

        yield open_page
        for page in pages:
            page.check()
