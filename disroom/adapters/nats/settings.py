"""Where the NATS servers are and what to show them; and what goes wrong with them, in words."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from nats.errors import Error


class NatsError(Exception):
    """NATS did not do what it was asked to; the text is one line, without secrets."""


class NotConnected(NatsError):
    """There is no connection to any server just now."""


class CredentialsError(Exception):
    """What is to be shown to the servers cannot be had; the text is one line, without secrets."""


class LinkError(NatsError):
    """A server could not be connected to.

    Attributes:
        permanent: Trying again will not help: credentials or TLS are wrong.
    """

    def __init__(self, text: str, *, permanent: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """Where the servers are and what to show them.

    Attributes:
        urls: ``nats://`` or ``tls://``, any of a cluster; credentials in them work, though `ps`
            may show them where they come from a command line.
        creds_file: A JWT and its seed, as `nsc` writes them.
        nkey_file: A seed.
        ca_file: Demands TLS, as a ``tls://`` URL does, and verifies the server by this authority
            in place of the system's.
        cert_file: Shown to a server that verifies its clients; with `key_file`.
    """

    urls: tuple[str, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    creds_file: Path | None = None
    nkey_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    def tls_context(self) -> ssl.SSLContext:
        """What servers are verified by.

        Raises:
            LinkError: A file cannot be read or used.
        """
        named = self.ca_file
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.cert_file is not None:
                named = self.cert_file
                context.load_cert_chain(self.cert_file, self.key_file)
        except OSError as error:  # ssl.SSLError is one
            text = f"TLS: cannot use {named}: {error.strerror or error}"
            raise LinkError(text, permanent=True) from error
        return context


def redacted(url: str) -> str:
    """The URL without what precedes its host."""
    parts = urlsplit(url if "//" in url else f"nats://{url}")
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def explained(url: str, error: Exception, refusal: str) -> LinkError:
    """Say in the operator's words why a server could not be connected to.

    Args:
        url: Of the server.
        error: What nats-py, ssl or the system raised.
        refusal: What to say where it is that the server refused the credentials.
    """
    permanent = True
    text = str(error).removeprefix("nats: ").strip("'") or type(error).__name__
    if "authorization violation" in text.lower():
        text = refusal
    elif isinstance(error, ssl.SSLCertVerificationError):
        text = f"TLS: its certificate is not trusted: {error.verify_message}"
    elif isinstance(error, ssl.SSLError):
        text = f"TLS: {error.reason or error}"
    elif isinstance(error, TimeoutError):
        text, permanent = "it does not answer", False
    elif isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        text, permanent = os.strerror(error.errno).lower(), False
    elif isinstance(error, (OSError, Error)):
        permanent = False
    return LinkError(f"{redacted(url)}: {text}", permanent=permanent)
