"""Where a Redis is, or the Sentinels that know it, and how to prove oneself to them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import (
    Certificate,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)

DEFAULT_PORT = 6379
SENTINEL_PORT = 26379

SENTINEL_SCHEMES = ("sentinel", "redis+sentinel")
"""Both are in use; they mean the same."""

_SENTINEL_URL = re.compile(
    r"[a-z+]+://(?:(?P<user>[^:@/]*):(?P<password>[^@/]*)@)?(?P<hosts>[^@/?]*)"
    r"(?:/(?P<name>[A-Za-z0-9._-]+))?(?:/(?P<database>[0-9]{1,9})?)?"
)
_SENTINEL = re.compile(
    r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?"
)

_PEM_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.S)


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis on TCP, with or without TLS, or on a unix socket.

    Attributes:
        host: Empty where ``path`` is set.
        path: Of the unix socket, empty where ``host`` is set.
        ca_file: Certificates (PEM) to trust in place of the machine's.
        cert_file: The client's own certificate (PEM), where the server asks for one, and those
            between it and the authority's.
        key_file: Its key (PEM); None where that is in the same file.
    """

    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        ca_file: Path | None = None,
        cert_file: Path | None = None,
        key_file: Path | None = None,
    ) -> RedisAddress:
        """Read ``redis[s]://[[USER]:PASSWORD@]HOST[:PORT][/DB]`` or ``unix://PATH``.

        ``?db=N`` chooses the database in either. Credentials given apart win over the URL's.

        Raises:
            ValueError: It is none of these; the message is for people and holds no password.
        """
        parts = urlsplit(url)
        # Of a password with a `/`, `?` or `#` only a part stands before the host to `urlsplit`.
        credentials, _, rest = url.rpartition("@")
        shown = (f"{parts.scheme}://{rest}" if credentials else url).partition("?")[0]
        try:
            port = parts.port or DEFAULT_PORT
        except ValueError:
            raise ValueError(f"{shown}: the port must be a number up to 65535") from None
        query = parse_qs(parts.query, keep_blank_values=True)
        path = parts.path
        if parts.scheme in ("redis", "rediss"):
            if not parts.hostname:
                raise ValueError(f"{shown}: a host is missing")
            numbers = query.pop("db", [path.removeprefix("/") or "0"])
            path = ""
        elif parts.scheme == "unix":
            if parts.hostname or not path.startswith("/"):
                raise ValueError(f"{shown}: an absolute path is missing, as in unix:///run/redis")
            numbers = query.pop("db", ["0"])
        else:
            raise ValueError(f"{shown}: not a redis://, rediss://, unix:// or sentinel:// URL")
        if parts.fragment:
            raise ValueError(f"{shown}: a # is written %23")
        if query:
            raise ValueError(f"{shown}: unknown option {', '.join(sorted(query))}")
        if not re.fullmatch(r"[0-9]{1,9}", numbers[-1]):
            raise ValueError(f"{shown}: the database must be a number")
        return cls(
            host=parts.hostname or "",
            port=port,
            path=unquote(path),
            database=int(numbers[-1]),
            username=username or (unquote(parts.username) if parts.username else None),
            password=password or (unquote(parts.password) if parts.password else None),
            tls=parts.scheme == "rediss",
            ca_file=ca_file,
            cert_file=cert_file,
            key_file=key_file,
        )

    def __str__(self) -> str:
        """The URL without credentials."""
        if self.path:
            return f"unix://{self.path}" + (f"?db={self.database}" if self.database else "")
        host = f"[{self.host}]" if ":" in self.host else self.host
        suffix = f"/{self.database}" if self.database else ""
        return f"redis{'s' if self.tls else ''}://{host}:{self.port}{suffix}"

    def endpoint(self, reactor: Any, timeout: float) -> IStreamClientEndpoint:
        """The endpoint to connect to; with TLS the server must prove its name.

        Raises:
            OSError: A certificate file cannot be read.
            ValueError: A certificate file does not hold what it should.
        """
        if self.path:
            endpoint: IStreamClientEndpoint = UNIXClientEndpoint(reactor, self.path, timeout)
            return endpoint
        options = self._tls_options() if self.tls else None
        endpoint = HostnameEndpoint(reactor, self.host, self.port, timeout)
        return endpoint if options is None else wrapClientTLS(options, endpoint)

    def _tls_options(self) -> Any:
        # Twisted's and pyOpenSSL's errors about a file are of any kind, and do not name it.
        with _naming(self.ca_file):
            context = ssl.create_default_context(cafile=self.ca_file)
        trusted, own, between = None, None, []
        if self.ca_file is not None:
            trusted = trustRootFromCertificates(_certificates(self.ca_file))
        if self.cert_file is not None:
            with _naming(self.cert_file):
                context.load_cert_chain(self.cert_file, self.key_file)
            between = [each.original for each in _certificates(self.cert_file)[1:]]
            key = self.key_file or self.cert_file
            own = PrivateCertificate.loadPEM(self.cert_file.read_bytes() + key.read_bytes())
        extra = {"extraCertChain": between} if between else {}
        return optionsForClientTLS(self.host, trusted, own, extraCertificateOptions=extra)


@contextmanager
def _naming(file: Path | None) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise ValueError(f"TLS: cannot use {file}: {error.strerror or error}") from None
    except OSError as error:  # it has no name where the key's file is meant
        name = error.filename or file
        raise OSError(error.errno, f"TLS: cannot use {name}: {error.strerror}") from None


def _certificates(file: Path) -> list[Certificate]:
    found = _PEM_CERTIFICATE.findall(file.read_bytes())
    if not found:
        raise ValueError(f"{file} holds no certificate")
    return [Certificate.loadPEM(pem) for pem in found]


@dataclass(frozen=True, slots=True)
class RedisSentinels:
    """The Sentinels that watch over a Redis.

    Attributes:
        addresses: Of the Sentinels, each with what proves us to it.
        name: What they call the master.
        master: The database there, and what proves us to it; where it is they say.
    """

    addresses: tuple[RedisAddress, ...]
    name: str
    master: RedisAddress

    @classmethod
    def parse(
        cls,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        sentinel_username: str | None = None,
        sentinel_password: str | None = None,
    ) -> RedisSentinels:
        """Read ``sentinel://[[USER]:PASSWORD@]HOST[:PORT],HOST[:PORT].../NAME[/DB]``.

        The URL's credentials are for the master; those given apart win. ``redis+sentinel`` is the
        same.

        Raises:
            ValueError: It is none; the message is for people and holds no password.
        """
        scheme, _, rest = url.partition("://")
        shown = f"{scheme}://{rest.rpartition('@')[2]}"
        if scheme in ("rediss+sentinel", "sentinels"):
            raise ValueError(f"{shown}: TLS is not supported with Sentinel")
        parts = _SENTINEL_URL.fullmatch(url)
        if parts is None or scheme not in SENTINEL_SCHEMES:
            raise ValueError(
                f"{shown}: not a Sentinel URL, as in sentinel://host-1:26379,host-2:26379/mymaster"
            )
        if not parts["name"]:
            raise ValueError(
                f"{shown}: the master's name is missing, as in sentinel://host/mymaster"
            )
        addresses = []
        for text in parts["hosts"].split(","):
            found = _SENTINEL.fullmatch(text)
            if found is None or int(found["port"] or 0) > 65535:
                raise ValueError(f"{shown}: {text!r} is not the HOST or HOST:PORT of a Sentinel")
            addresses.append(
                RedisAddress(
                    host=found["v6"] or found["host"],
                    port=int(found["port"] or SENTINEL_PORT),
                    username=sentinel_username,
                    password=sentinel_password,
                )
            )
        master = RedisAddress(
            database=int(parts["database"] or 0),
            username=username or unquote(parts["user"] or "") or None,
            password=password or unquote(parts["password"] or "") or None,
        )
        return cls(tuple(addresses), parts["name"], master)

    def __str__(self) -> str:
        """The URL without credentials."""
        hosts = ",".join(str(address).partition("://")[2] for address in self.addresses)
        suffix = f"/{self.master.database}" if self.master.database else ""
        return f"sentinel://{hosts}/{self.name}{suffix}"


RedisPlace = RedisAddress | RedisSentinels


def is_sentinel_url(url: str) -> bool:
    """Whether a URL is for `RedisSentinels`, also one with TLS, which they refuse."""
    return url.partition("://")[0] in (*SENTINEL_SCHEMES, "rediss+sentinel", "sentinels")
