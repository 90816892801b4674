"""Where the NATS servers are and what to show them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from disroom.adapters.nats.errors import LinkError


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
