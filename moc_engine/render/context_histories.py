"""Gathers what a shot remembers of its context takes, for one expert of the model at a time.

expert ─► memories of the takes that are not kept are computed ─► History | PagedHistory
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial

import torch

from moc_engine.contract import CancelToken, StepEvent
from moc_engine.memory.budget import most_copied
from moc_engine.memory.history import History
from moc_engine.memory.paged_history import PagedHistory
from moc_engine.models.backbone import Backbone, ExpertName
from moc_engine.render.denoise import stop_if_cancelled
from moc_engine.render.kept_model import LoadedModel
from moc_engine.render.pace import Pace, WorkLeft
from moc_engine.render.prepare import PreparedRender, PreparedTake, take_memory, timing_of


class ContextHistories:
    """The histories of one render, of which one is there at a time.

    Memories of takes that the render does not need are forgotten, or give way. `rows` are the entries of the
    batch; `page_bytes` and `copied_bytes` those of `ShotRenderer`.
    """

    def __init__(
        self,
        prepared: PreparedRender,
        model: LoadedModel,
        *,
        rows: int,
        page_bytes: int,
        copied_bytes: int | None,
    ) -> None:
        self._prepared = prepared
        self._model = model
        if copied_bytes is None:
            on_cpu = model.backbone.device.type == "cpu"
            copied_bytes = most_copied(on_cpu=on_cpu, rows=rows, page_bytes=page_bytes)
        self._copied_bytes = copied_bytes
        self._gathered: dict[ExpertName, History | PagedHistory] = {}
        self._done = 0
        self._forget()

    def pop(self, expert: ExpertName) -> History | PagedHistory | None:
        """The history that was gathered for an expert, which is handed over; None without context."""
        return self._gathered.pop(expert, None)

    def gather(
        self, expert: Backbone, left: WorkLeft, pace: Pace, cancel: CancelToken | None
    ) -> Generator[StepEvent, None, None]:
        """Gathers the history that an expert reads; memories that are not kept are computed, take by take.

        The one that was gathered before must not be used any more. Raises `RenderCancelled` before the next
        take once `cancel` is set.
        """
        prepared, memory = self._prepared, self._model.memory
        keys = [take.memory_of(expert.expert) for take in prepared.context]
        for take, key in zip(prepared.context, keys, strict=True):
            if key not in memory.takes:
                compute = partial(
                    take_memory,
                    take,
                    prepared.routing,
                    prepared.sampler,
                    expert,
                    prepared.memory.storage,
                    self._memory_device(take, expert),
                )
                memory.add(key, take.extent, compute)
        gathering = memory.gather(
            keys,
            [take.source.shot for take in prepared.context],
            self._model.buffer,
            timing=timing_of(prepared, expert.family),
            most_bytes=self._copied_bytes,
        )
        while True:
            stop_if_cancelled(cancel)
            try:
                with pace.measured("memory"):
                    next(gathering)
            except StopIteration as stop:
                if stop.value is not None:
                    self._gathered[expert.expert] = stop.value
                return
            self._done += 1
            yield left.step("memory", self._done, len(keys) * len(prepared.experts))

    def _forget(self) -> None:
        """Forgets memories that are not held, and those of context takes that have changed."""
        context, memory = self._prepared.context, self._model.memory
        keys = {take.memory_of(expert.expert) for expert in self._model.backbone.experts for take in context}
        memory.forget_absent(keys)
        ids = {take.source.id for take in context}
        for known in memory.takes:
            if known not in keys and known.rpartition(":")[0] in ids:
                memory.drop(known)

    def _memory_device(self, take: PreparedTake, expert: Backbone) -> torch.device | None:
        """Where a take's memory is computed to: main memory where the device's budget could not hold it."""
        if expert.device.type != "cuda":
            return None
        config = expert.transformer.config
        width = config.num_layers * expert.own_heads * config.attention_head_dim
        itemsize = 1 if self._prepared.memory.storage == "int8" else 2
        size = 2 * width * take.extent.tokens * itemsize
        return torch.device("cpu") if size > self._model.budget else None
