"""What other packages add by entry points: families of models, backends, routers and memory policies."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, TypeVar

Kind = TypeVar("Kind")


class BadPlugIn(ValueError):
    """An entry point whose value is of another kind than its group has."""


def find_plug_in(group: str, name: str, kind: type[Kind]) -> Kind | None:
    """The value of the entry point of a group; None where there is none.

    Raises `BadPlugIn` where it is not of this kind.
    """
    for point in entry_points(group=group, name=name):
        found: Any = point.load()
        if not isinstance(found, kind):
            article = "an" if kind.__name__[0] in "AEIOU" else "a"
            raise BadPlugIn(f"the plug-in {point.value} for {name!r} is not {article} {kind.__name__}")
        return found
    return None
