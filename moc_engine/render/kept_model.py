"""The model that a renderer keeps from render to render, with the memories of takes and buffers beside it.

first render, or a lower profile ─► ModelLoading ─► checks of options ─► LoadedModel
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch

from moc_engine.abilities import LACKS
from moc_engine.contract import CancelToken, StepEvent
from moc_engine.errors import EngineError
from moc_engine.machine import best_device, memory_bytes
from moc_engine.memory.budget import memory_shares
from moc_engine.memory.context import ContextMemory
from moc_engine.memory.history_buffer import HistoryBuffer
from moc_engine.models.backbone import Backbone
from moc_engine.ops.head_split import HeadSplit
from moc_engine.ops.workspace import Workspace
from moc_engine.profiles import Profile, next_lower, profile_named
from moc_engine.render.model_loading import ModelLoading


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How a renderer has its model: the options of `ShotRenderer` of the same names."""

    device: str | None = None
    profile: str = "auto"
    memory_budget: int | None = None
    host_memory_budget: int | None = None
    spill: Path | None = None
    compiled: bool = False
    cuda_graphs: bool = False
    split: HeadSplit | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedModel:
    """A loaded model, the memories of takes that it made, and the buffers that it computes in.

    Memories have at most `budget` bytes on the model's device.
    """

    backbone: Backbone
    memory: ContextMemory
    workspace: Workspace
    buffer: HistoryBuffer
    budget: int


class KeptModel:
    """Loads a model when it is first asked for, and keeps it; at most one is there at a time."""

    def __init__(self, loading: ModelLoading, options: ModelOptions) -> None:
        self._loading = loading
        self._options = options
        self._profile = options.profile
        self._note = ""
        self.loaded: LoadedModel | None = None

    def load(self, cancel: CancelToken | None) -> Generator[StepEvent, None, LoadedModel]:
        """The model, loaded now unless it is there. Raises `EngineError` for options that it cannot have."""
        if self.loaded is None:
            backbone = yield from self._loading.events(cancel, self._profile)
            self._check_options(backbone)
            backbone = replace(backbone, profile_note=self._note).split_by(self._options.split)
            self.loaded = self._with_memory(
                backbone.with_compiled_blocks() if self._options.compiled else backbone
            )
        return self.loaded

    @property
    def lower_profile(self) -> Profile | None:
        """The profile that needs less by one step than the one that is used; None where there is none."""
        if self.loaded is not None:
            return next_lower(self.loaded.backbone.profile)
        device = torch.device(self._options.device or best_device())
        return next_lower(profile_named(self._profile, device.type, memory_bytes(str(device))))

    def lower_to(self, profile: Profile, note: str) -> None:
        """Lets go of the model, which is loaded with another profile from now on; `note` says why.

        Nothing else must hold it any more.
        """
        self.loaded = None
        self._profile, self._note = profile.name, note
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _check_options(self, backbone: Backbone) -> None:
        options = self._options
        if options.cuda_graphs and backbone.device.type != "cuda":
            raise EngineError(
                f"CUDA graphs (--cuda-graphs) need a CUDA device; the model is on {backbone.device.type}"
            )
        if options.split is not None:
            _check_processes(backbone, options)
        if backbone.profile.transformer == "groups" and (options.compiled or options.cuda_graphs):
            raise EngineError(
                f"the profile {backbone.profile.name} moves blocks to the device one after the other: "
                "render without --compile and --cuda-graphs"
            )

    def _with_memory(self, backbone: Backbone) -> LoadedModel:
        options, device = self._options, backbone.device
        budget, host = options.memory_budget, options.host_memory_budget
        if budget is None:
            budget = memory_bytes(str(device)) // 4
        host = psutil.virtual_memory().total // 2 if host is None else host
        if options.split is not None:  # the budgets are those of the machine; each GPU is one process's own
            host //= options.split.processes
            budget = budget if device.type == "cuda" else budget // options.split.processes
        shares = memory_shares(budget, on_cpu=device.type == "cpu")
        return LoadedModel(
            backbone=backbone,
            memory=ContextMemory(
                budget=shares.memories,
                host_budget=host,
                spill=options.spill,
                device=device,
            ),
            workspace=Workspace(shares.workspace),
            buffer=HistoryBuffer(shares.history),
            budget=budget,
        )


def _check_processes(backbone: Backbone, options: ModelOptions) -> None:
    """Raises `EngineError` where several processes cannot compute a model together."""
    if "processes" not in backbone.family.abilities:
        raise EngineError(f"the model {backbone.name} {LACKS['processes']}: render with one process")
    if options.compiled or options.cuda_graphs:
        raise EngineError("several processes render without --compile and --cuda-graphs")
    if backbone.profile.transformer == "groups":
        raise EngineError(
            f"the profile {backbone.profile.name} moves blocks to the device one after the other: "
            "render with one process, or with a larger profile"
        )
