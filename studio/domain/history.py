"""Undo and redo: the difference between two documents, which can be applied in both directions.

A document is flattened to one value per path: "title", "settings", "order", "shots/ID", "chosen/ID", …
A change holds only the paths whose values differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]
"""A project as JSON: a mapping of parts, of which those in `_BY_ID` are mappings by id."""

Values = Mapping[str, Any]

_BY_ID = ("shots", "chosen", "drafts", "discarded")


@dataclass(frozen=True, kw_only=True)
class Change:
    """The paths an edit changed, with their values before and after it; None for no value."""

    before: Values
    after: Values

    def __bool__(self) -> bool:
        return bool(self.after)

    @property
    def inverse(self) -> Change:
        return Change(before=self.after, after=self.before)

    def apply(self, document: Document) -> Document:
        """The document with the values of `after`, whatever its values were."""
        return _nested({**_flat(document), **self.after})


def difference(old: Document, new: Document) -> Change:
    """The change that leads from one document to another."""
    before, after = _flat(old), _flat(new)
    paths = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    return Change(
        before={path: before.get(path) for path in paths},
        after={path: after.get(path) for path in paths},
    )


def _flat(document: Document) -> dict[str, Any]:
    flat = {part: value for part, value in document.items() if part not in _BY_ID}
    for part in _BY_ID:
        flat |= {f"{part}/{name}": value for name, value in document.get(part, {}).items()}
    return flat


def _nested(flat: Values) -> Document:
    document: dict[str, Any] = {part: {} for part in _BY_ID}
    for path, value in flat.items():
        part, slash, name = path.partition("/")
        if slash and value is not None:
            document[part][name] = value
        elif not slash:
            document[part] = value
    return document
