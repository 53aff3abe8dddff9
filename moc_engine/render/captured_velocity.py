"""Replays the work of a denoising step as a CUDA graph, which costs the host one launch instead of thousands.

    first call of a shape    runs as it is, and fills what is computed once a render
    second                   captured, which computes nothing, then replayed
    from then on             latents and timesteps are copied into the captured buffers, and replayed

What is recorded in a step is captured with it: the recorder's sums and its place in them lie on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from moc_engine.errors import EngineError
from moc_engine.models.memory_errors import is_out_of_memory
from moc_engine.render.denoise import Velocity

Replay = Callable[[], None]

Capture = Callable[[Callable[[], Tensor]], tuple[Tensor, Replay]]
"""Captures work without doing it: the tensor that will hold its result, and what does the work."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Captured:
    latents: Tensor
    timesteps: Tensor
    out: Tensor
    replay: Replay


class CapturedVelocity:
    """The velocity of one render, captured for each shape of latents.

    What `velocity` reads besides its arguments must stay where it is from call to call. Raises `EngineError`
    for what cannot be captured.
    """

    def __init__(self, velocity: Velocity, capture: Capture) -> None:
        self._velocity = velocity
        self._capture = capture
        self._seen: set[torch.Size] = set()
        self._captured: dict[torch.Size, _Captured] = {}

    def __call__(self, latents: Tensor, timesteps: Tensor) -> Tensor:
        shape = latents.shape
        if shape not in self._seen:
            self._seen.add(shape)
            return self._velocity(latents, timesteps)
        if shape not in self._captured:
            self._captured[shape] = self._capturing(latents.clone(), timesteps.clone())
        captured = self._captured[shape]
        captured.latents.copy_(latents)
        captured.timesteps.copy_(timesteps)
        captured.replay()
        return captured.out.clone()  # the next replay overwrites it

    def _capturing(self, latents: Tensor, timesteps: Tensor) -> _Captured:
        try:
            out, replay = self._capture(lambda: self._velocity(latents, timesteps))
        except (RuntimeError, NotImplementedError) as error:
            if is_out_of_memory(error):
                raise
            cause = " ".join(str(error).strip().partition("\n")[0].split())
            raise EngineError(
                f"a step cannot be captured as a CUDA graph, render without them: {cause}"
            ) from error
        return _Captured(latents=latents, timesteps=timesteps, out=out, replay=replay)


def capture_cuda_graph(work: Callable[[], Tensor]) -> tuple[Tensor, Replay]:
    """Captures work on the current CUDA device, whose buffers are kept as long as the replay is."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = work()
    return out, graph.replay
