"""What goes wrong with NATS, in words."""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit

from nats.errors import Error


class NatsError(Exception):
    """NATS did not do what it was asked to; the text is one line, without secrets."""


class NotConnected(NatsError):
    """There is no connection to any server just now."""


class NoAnswer(NatsError):
    """Nothing came back in time, though the connection is up."""


class NobodyListens(NatsError):
    """The server knows of nobody who listens to the subject."""


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


class StoreStartError(Exception):
    """The message store cannot be used; the text is one line for the operator."""


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
