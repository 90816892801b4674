"""What proves this instance to a NATS server, read from its files anew for each connection.

nats-py would read the files itself, but it looks for the JWT in one that has none for ever, and it
signs for whoever asks, also where TLS is demanded and the server goes on without.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from disroom.adapters.nats.errors import CredentialsError
from disroom.adapters.nats.settings import NatsSettings

_CREDS = re.compile(
    rb"-{3,}BEGIN NATS USER JWT-{3,}\s+(\S+)\s+-{3,}END .*?"
    rb"-{3,}BEGIN USER NKEY SEED-{3,}\s+(\S+)\s",
    re.S,
)


class _Claims(msgspec.Struct):
    """Of a user's JWT, as far as it matters here."""

    exp: int | None = None


_decode_claims = msgspec.json.Decoder(_Claims).decode


@dataclass(frozen=True, slots=True)
class Credentials:
    """For one attempt to connect.

    Attributes:
        source: The file with the JWT or the seed; None without one.
        jwt: Of the user, with the seed of its key.
        seed: The user's, which without a JWT is its name as well.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    source: Path | None = None
    jwt: bytes | None = field(default=None, repr=False)
    seed: bytes | None = field(default=None, repr=False)

    @classmethod
    def read(cls, settings: NatsSettings, url: str) -> Credentials:
        """Those that are configured; where there are none, the URL's.

        Raises:
            CredentialsError: A file cannot be read, or does not hold what it should.
        """
        jwt = seed = None
        source = settings.creds_file or settings.nkey_file
        if source is not None:
            try:
                seed = source.read_bytes().strip()
            except OSError as error:
                raise CredentialsError(f"cannot read {source}: {error.strerror}") from error
        if settings.creds_file is not None and seed is not None:
            found = _CREDS.search(seed + b"\n")
            if found is None:
                raise CredentialsError(f"{source} is no .creds file: a JWT and a seed are missing")
            jwt, seed = found.groups()
        if seed is not None:
            _key_pair(seed, source)
        if seed or settings.user or settings.password or settings.token:
            return cls(settings.user, settings.password, settings.token, source, jwt, seed)
        parts = urlsplit(url)
        user = None if parts.username is None else unquote(parts.username)
        if parts.password is None:
            return cls(token=user)
        return cls(user=user, password=unquote(parts.password))

    def options(self, sending: Callable[[], None]) -> dict[str, Any]:
        """What nats-py is to be given.

        Args:
            sending: Called when they are about to be sent; if it raises, they are not.
        """

        def told(secret: Any) -> Any:
            def tell() -> Any:
                sending()
                return secret

            return tell

        def sign(nonce: str) -> bytes:
            sending()
            return base64.b64encode(_key_pair(self.seed, self.source).sign(nonce.encode()))

        options: dict[str, Any] = {}
        if self.jwt is not None:
            options |= {"user_jwt_cb": told(self.jwt), "signature_cb": sign}
        elif self.seed is not None:
            options["nkeys_seed_str"] = self.seed.decode()
        elif self.user is not None and self.password is not None:
            options |= {"user": told(self.user), "password": told(self.password)}
        # A token may go with a signature; and nothing else is asked for before the signature of a
        # seed that has no JWT is sent.
        if self.token is not None or "nkeys_seed_str" in options:
            options["token"] = told(self.token)
        return options

    @property
    def refusal(self) -> str:
        """What to say where the server has refused them."""
        expires = self._expires()
        if expires is not None and expires <= time.time():
            when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(expires))
            return f"the credentials in {self.source} were refused: they expired at {when}"
        named = f"the credentials in {self.source}" if self.source else "the credentials"
        return f"{named} were refused (authorization violation)"

    def _expires(self) -> int | None:
        if self.jwt is None:
            return None
        try:
            claims = self.jwt.split(b".")[1]
            return _decode_claims(base64.urlsafe_b64decode(claims + b"==")).exp
        except (IndexError, ValueError):  # which the errors of base64 and msgspec are as well
            return None


def _key_pair(seed: bytes | None, source: Path | None) -> Any:
    import nkeys  # type: ignore[import-untyped]  # it has no annotations; of the tls extra

    try:
        pair = nkeys.from_seed(bytearray(seed or b""))
        pair.public_key.decode()
    except (nkeys.NkeysError, ValueError, TypeError) as error:
        raise CredentialsError(f"{source} holds no usable seed") from error
    return pair
