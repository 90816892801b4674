"""An operator of NATS with one account, and its users' credentials (NATS ADR-14)."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import Any

import nkeys  # type: ignore[import-untyped]  # it has no annotations

_UNLIMITED = -1


def new_key(kind: int) -> Any:
    """A key pair, of the kind that a prefix byte of `nkeys` says."""
    return nkeys.from_seed(bytearray(nkeys.encode_seed(secrets.token_bytes(32), kind)))


def user_key() -> Any:
    """A user's key pair."""
    return new_key(nkeys.PREFIX_BYTE_USER)


class Operator:
    """Signs for an account, in which JetStream is enabled, and for a system account."""

    def __init__(self) -> None:
        self._operator = new_key(nkeys.PREFIX_BYTE_OPERATOR)
        self._account = new_key(nkeys.PREFIX_BYTE_ACCOUNT)
        self._system = new_key(nkeys.PREFIX_BYTE_ACCOUNT)

    def config(self) -> str:
        """The server's configuration for it, with a resolver in memory."""
        storage = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), _UNLIMITED)
        accounts = {"ACCOUNT": (self._account, storage), "SYSTEM": (self._system, {})}
        preloaded = [
            f"{_public(key)}: {self._account_jwt(name, key, limits)}"
            for name, (key, limits) in accounts.items()
        ]
        operator = _jwt(self._operator, _public(self._operator), "operator", {"type": "operator"})
        return "\n".join(
            [
                f"operator: {operator}",
                f"system_account: {_public(self._system)}",
                "resolver: MEMORY",
                f"resolver_preload: {{ {', '.join(preloaded)} }}",
            ]
        )

    def credentials(self, expires: float | None = None) -> str:
        """A new user of the account, as the text of a ``.creds`` file.

        Args:
            expires: Unix seconds; None for never.
        """
        user = user_key()
        nats = {
            "type": "user",
            "pub": {},
            "sub": {},
            **dict.fromkeys(("subs", "data", "payload"), _UNLIMITED),
        }
        jwt = _jwt(self._account, _public(user), "disroom", nats, expires)
        return (
            f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
            "************************* IMPORTANT *************************\n"
            "NKEY Seed printed below can be used to sign and prove identity.\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{bytes(user.seed).decode()}\n"
            "------END USER NKEY SEED------\n"
        )

    def _account_jwt(self, name: str, key: Any, storage: dict[str, int]) -> str:
        unlimited = ("subs", "conn", "leaf", "imports", "exports", "data", "payload")
        limits = {**dict.fromkeys(unlimited, _UNLIMITED), "wildcards": True, **storage}
        nats = {"type": "account", "limits": limits}
        return _jwt(self._operator, _public(key), name, nats)


def _public(key: Any) -> str:
    return bytes(key.public_key).decode()


def _jwt(
    issuer: Any, subject: str, name: str, nats: dict[str, Any], expires: float | None = None
) -> str:
    claims = {
        "jti": secrets.token_hex(16),
        "iat": int(time.time()),
        "iss": _public(issuer),
        "sub": subject,
        "name": name,
        "nats": {"version": 2, **nats},
    }
    if expires is not None:
        claims["exp"] = int(expires)
    signed = f"{_encoded({'typ': 'JWT', 'alg': 'ed25519-nkey'})}.{_encoded(claims)}"
    return f"{signed}.{_base64(issuer.sign(signed.encode()))}"


def _encoded(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
