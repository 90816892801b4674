"""conf/disroom.toml: every key, with its default."""

import re
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path

from disroom.config import Config, load

FILE = Path(__file__).parents[2] / "conf" / "disroom.toml"

SETTING = re.compile(r"^# (?=[a-z_]+ = )", re.M)
"""A default; prose does not look like one, and examples are set further to the right."""

WITHOUT_DEFAULT = {"server.telnet"}
"""TOML cannot say None: the value shown is an example, and the comment says so."""


def uncommented() -> str:
    """Return the file with every default written out."""
    return SETTING.sub("", FILE.read_text(encoding="utf-8"))


def keys(config: Config) -> Iterator[tuple[str, object]]:
    """Yield every key, as `section.key`, with its value."""
    for section in typing.get_type_hints(Config):
        table = getattr(config, section)
        if not hasattr(table, "__struct_fields__"):
            yield section, table
            continue
        for key in table.__struct_fields__:
            yield f"{section}.{key}", getattr(table, key)


def test_the_file_as_shipped_changes_nothing() -> None:
    """An operator may start from the file without reading it first."""
    assert load(file=FILE) == Config()


def test_every_key_is_documented() -> None:
    """Every setting there is can be found in the file, and nothing else."""
    documented = {
        f"{section}.{key}" if isinstance(table, dict) else section
        for section, table in tomllib.loads(uncommented()).items()
        for key in (table if isinstance(table, dict) else [""])
    }
    assert documented == {key for key, _ in keys(Config())}


def test_the_documented_defaults_are_the_defaults(tmp_path: Path) -> None:
    """What the file calls a default is what one gets by leaving the key out."""
    file = tmp_path / "disroom.toml"
    file.write_text(uncommented(), encoding="utf-8")
    documented, real = dict(keys(load(file=file))), dict(keys(Config()))
    # None stands for 8080 unless there is another listener.
    assert documented.pop("server.port") == Config().port
    assert real.pop("server.port") is None
    for key in WITHOUT_DEFAULT:
        documented.pop(key)
        assert real.pop(key) is None
    assert documented == real
