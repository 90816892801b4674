"""Finding a NATS server that can be connected to."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from twisted.internet.interfaces import IReactorTime

from disroom.adapters.nats.credentials import Credentials
from disroom.adapters.nats.errors import CredentialsError, LinkError, NotConnected, redacted
from disroom.adapters.nats.link import NatsLink
from disroom.adapters.nats.settings import NatsSettings


class NatsDialer:
    """Tries the servers in turn.

    Args:
        settings: Where they are and what to show there; asked each time.
        name: What the servers list this client as.
        clock: The reactor.
    """

    def __init__(
        self,
        settings: Callable[[], NatsSettings],
        *,
        name: str,
        clock: IReactorTime,
    ) -> None:
        self._settings = settings
        self._name = name
        self._clock = clock
        self._discovered: list[str] = []

    def learn(self, discovered: Iterable[str]) -> None:
        """Take the URLs of servers that a cluster has told of; tried after those given."""
        self._discovered = list(discovered) or self._discovered

    async def dial(
        self, ended: Callable[[NatsLink], None], adopt: Callable[[NatsLink], Awaitable[None]]
    ) -> str:
        """Connect to one server.

        Args:
            ended: As `NatsLink` takes it.
            adopt: Takes the link into use; where it raises `NotConnected`, the next is tried.

        Returns:
            Its URL, without credentials.

        Raises:
            LinkError: None could be connected to; why each could not.
        """
        settings = self._current_settings()
        tls = settings.tls_context()
        failures: list[LinkError] = []
        for url, tls_hostname in self._candidates(settings.urls):
            link = NatsLink(
                settings,
                tls,
                _credentials(settings, url),
                name=self._name,
                clock=self._clock,
                ended=ended,
            )
            try:
                await link.open(url, tls_hostname)
                await adopt(link)
                return redacted(url)
            except LinkError as error:
                failures.append(error)
            except NotConnected as error:
                failures.append(LinkError(f"{redacted(url)}: {error}"))
        raise LinkError(
            "; ".join(map(str, failures)) or "no address is known",
            permanent=bool(failures) and all(failure.permanent for failure in failures),
        )

    def _current_settings(self) -> NatsSettings:
        try:
            return self._settings()
        except Exception as error:  # the caller's own; it may know better the next time
            raise LinkError(str(error)) from error

    def _candidates(self, urls: tuple[str, ...]) -> list[tuple[str, str | None]]:
        """The URLs, each with the host that its certificate must name instead of the URL's.

        A cluster tells its clients where its nodes are, mostly by addresses, while certificates
        have names; and nothing of credentials: those in a URL given are for all of its nodes.
        """
        given = list(urls)
        random.shuffle(given)
        known = set(map(redacted, given))
        hostname = urlsplit(given[0]).hostname if given else None
        logins = (urlsplit(url).netloc.rpartition("@")[0] for url in urls)
        login = next(filter(None, logins), "")
        told = [
            (url.replace("://", f"://{login}@", 1) if login else url, _certified(url, hostname))
            for url in self._discovered
            if url not in known
        ]
        return [*((url, None) for url in given), *told]


def _certified(url: str, hostname: str | None) -> str | None:
    """The host that a certificate must name for this URL, None for the URL's own."""
    try:
        ip_address(urlsplit(url).hostname or "")
    except ValueError:
        return None
    return hostname


def _credentials(settings: NatsSettings, url: str) -> Credentials:
    try:
        return Credentials.read(settings, url)
    except CredentialsError as error:
        raise LinkError(str(error), permanent=True) from error
    except ImportError as error:
        text = f"these credentials need the package {error.name}: pip install 'disroom[tls]'"
        raise LinkError(text, permanent=True) from error
