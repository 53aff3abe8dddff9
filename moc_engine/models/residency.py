"""Moves the parts of a model to the device while they work, and back into main memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from diffusers.hooks import HookRegistry, ModelHook
from torch import nn

_HOOK: Final = "moc_residency"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Visitor:
    """A part that is on the device only while it works; `release` takes it away."""

    name: str
    bring: Callable[[], None]
    release: Callable[[], None]


class Residency:
    """The parts of one model that visit its device, one at a time."""

    def __init__(self, device: torch.device, home: torch.device | None = None) -> None:
        self.device = device
        self._home = torch.device("cpu") if home is None else home
        self._present: _Visitor | None = None

    @property
    def present(self) -> str | None:
        """The part that is on the device; None before any worked."""
        return None if self._present is None else self._present.name

    def add(self, name: str, module: nn.Module, entries: Sequence[nn.Module] = ()) -> None:
        """Lets a module visit when it, or one of its `entries`, is run."""
        visitor = _Visitor(
            name=name,
            bring=lambda: _move(module, self.device),
            release=lambda: _move(module, self._home),
        )
        module.to(self._home)
        for entry in entries or (module,):
            _register(entry, self, visitor)

    def add_releasable(self, name: str, release: Callable[[], None]) -> Callable[[], None]:
        """A part that comes by itself: call what is returned when it does; `release` when another works."""
        visitor = _Visitor(name=name, bring=lambda: None, release=release)
        return lambda: self.admit(visitor)

    def announce(self, name: str, module: nn.Module) -> None:
        """Lets a module that is on the device send the others away when it is run."""
        _register(module, self, _Visitor(name=name, bring=lambda: None, release=lambda: None))

    def admit(self, visitor: _Visitor) -> None:
        """Brings one part, once the one before it has left; none is there where that fails."""
        if self._present is visitor:
            return
        if self._present is not None:
            leaving, self._present = self._present, None
            leaving.release()
        try:
            visitor.bring()
        except BaseException:
            visitor.release()  # what had come already would keep the room that the next one needs
            raise
        self._present = visitor


class _VisitHook(ModelHook):  # type: ignore[misc]
    """Brings the part before it runs, and its inputs to the same device."""

    def __init__(self, residency: Residency, visitor: _Visitor) -> None:
        super().__init__()
        self._residency = residency
        self._visitor = visitor

    def pre_forward(self, module: nn.Module, *args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self._residency.admit(self._visitor)
        device = self._residency.device
        return tuple(_on(arg, device) for arg in args), {key: _on(arg, device) for key, arg in kwargs.items()}


def _register(module: nn.Module, residency: Residency, visitor: _Visitor) -> None:
    HookRegistry.check_if_exists_or_initialize(module).register_hook(_VisitHook(residency, visitor), _HOOK)


def _on(value: Any, device: torch.device) -> Any:
    return value.to(device) if isinstance(value, torch.Tensor) else value


def _move(module: nn.Module, device: torch.device) -> None:
    module.to(device)
    if device.type == "cpu" and torch.cuda.is_available():
        torch.cuda.empty_cache()  # for what comes next, which may need all of it in one piece
