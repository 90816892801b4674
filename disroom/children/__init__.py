"""Child processes: they end with this one, however it ends, and are started again as need be."""

from disroom.children.child import (
    Child,
    Guard,
    IChildReactor,
    default_guard,
    inherited_environment,
    spawn,
)
from disroom.children.keeping import keep

__all__ = [
    "Child",
    "Guard",
    "IChildReactor",
    "default_guard",
    "inherited_environment",
    "keep",
    "spawn",
]
