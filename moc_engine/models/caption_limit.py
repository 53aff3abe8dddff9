"""What of a shot's captions a model does not read. No torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """The tokens of the global caption (`style`) and of a shot's own that a model does not read."""

    style: int = 0
    own: int = 0

    def __bool__(self) -> bool:
        return bool(self.style or self.own)
