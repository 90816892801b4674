"""Why there is no connection, as people want to read it."""

from __future__ import annotations

import os
import re
import ssl


def plain_reason(error: Exception) -> str:
    """What is wrong, without the numbers; asyncio joins the errors of several addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    numbers = {int(number) for number in re.findall(r"\[Errno (\d+)\]", str(error))}
    if numbers:
        return "; ".join(sorted(os.strerror(number) for number in numbers))
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
