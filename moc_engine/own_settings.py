"""The settings that a model brings with it, known before it is loaded. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from moc_engine.config import MemoryConfig, SamplerConfig, Scheduler


@dataclass(frozen=True, kw_only=True)
class OwnSettings:
    """What a model is rendered with where nothing else is chosen.

    `fixed_steps` are the only ones that a distilled model renders in; None where steps can be chosen.
    `scheduler` and `shift` are those of the scheduler it ships, None where the engine has no name for it.
    `fps`, `frames` and `size` (width, height) are those of the longest shots it was trained on; frames come
    in steps of `frame_step` from one on. None where a model has no such limits.
    """

    sampler: SamplerConfig
    fixed_steps: int | None = None
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    scheduler: Scheduler | None = None
    shift: float | None = None
    negative_prompt: str = ""
    fps: float | None = None
    frames: int | None = None
    frame_step: int = 1
    size: tuple[int, int] | None = None

    @property
    def seconds(self) -> float | None:
        """The length of the longest shots that the model was trained on."""
        return None if self.fps is None or self.frames is None else self.frames / self.fps
