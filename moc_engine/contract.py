"""The contract between the studio and a renderer: requests, events, results. No torch.

    request ─► Renderer.render ─► StageEvent | StepEvent … ─► RenderResult

A renderer yields events and returns the result as the generator's value. A caller cancels by
setting the `CancelToken` it passed; the render then raises `RenderCancelled` within one step (while
a model loads, within a fraction of a second) and leaves no files behind.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal, Protocol

from moc_engine.config import MemoryChoice, PartSteering, RoutingChoice, SamplerChoice, Steering
from moc_engine.stored_file import StoredFile

Stage = Literal["load", "memory", "denoise", "decode", "write"]
Expert = Literal["both", "high", "low"]
"""The transformers of a model that has two: one for high and one for low noise."""
StepCache = Literal["first-block", "mag", "taylor"]
"""How steps reuse what an earlier one computed: first-block cache, MagCache, or TaylorSeer."""

LARGEST_LORA_WEIGHT: Final = 10.0
LARGEST_CONTROL_SCALE: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class ContextTake:
    """A finished take that the render may attend to: its id, its shot, and its latents.

    `caption`, `global_caption` and `cast` are the ones it was rendered with; `seconds` its length. `latents`
    are None for a take that is not finished yet: its shot must be banned, and only its length matters.
    """

    id: str
    shot: int
    latents: StoredFile | None
    caption: str
    global_caption: str
    cast: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class FilmstripFormat:
    """Evenly spaced frames of a clip side by side: so many, each `height` pixels high."""

    count: int
    height: int

    def numbers(self, frames: int) -> list[int]:
        """Which frames of a clip with so many are shown, from 0: the middles of equal parts."""
        return [int((nth + 0.5) * frames / self.count) for nth in range(self.count)]

    def width(self, size: tuple[int, int]) -> int:
        """The width of one frame of a strip, for clips of `size` (width, height)."""
        width, height = size
        return max(2, round(self.height * width / height))


@dataclass(frozen=True, kw_only=True)
class Lora:
    """A LoRA over the model's weights: the path of a file, or a hub id with the file's name behind it.

    `weight` multiplies it; 0 leaves it out. `expert` says into which transformer of two it goes.
    """

    source: str
    weight: float = 1.0
    expert: Expert = "both"

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise ValueError("source: a LoRA needs the path of a file or a hub id")
        if not abs(self.weight) <= LARGEST_LORA_WEIGHT:  # NaN too
            raise ValueError(f"weight: must lie within ±{LARGEST_LORA_WEIGHT:g}, got {self.weight}")
        if self.expert not in ("both", "high", "low"):
            raise ValueError(f"expert: 'both', 'high' or 'low', got {self.expert!r}")


@dataclass(frozen=True, kw_only=True)
class Guide:
    """A clip that the shot starts from (video-to-video): `strength` 1 ignores it, small ones keep it."""

    clip: StoredFile
    strength: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.strength) and 0.0 < self.strength <= 1.0):
            raise ValueError(f"strength: must be above 0 and at most 1, got {self.strength}")


@dataclass(frozen=True, kw_only=True)
class Control:
    """A clip that the shot's frames follow throughout: `scale` says how closely, 1 as in training."""

    clip: StoredFile
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and 0.0 < self.scale <= LARGEST_CONTROL_SCALE):
            raise ValueError(
                f"scale: must be above 0 and at most {LARGEST_CONTROL_SCALE:g}, got {self.scale}"
            )


@dataclass(frozen=True, kw_only=True)
class RenderRequest:
    """One shot to render: everything that decides its pixels.

    `shot` counts from 0 and only says which context shots are earlier; noise is drawn from `seed`. `cast`
    lists the names in order: a name's index is its cast token. `fps` is a fraction, or a number that
    `frame_rate.exact_rate` reads. `size` is (width, height) in pixels. `steering` speaks of whole shots,
    `parts` of single chunks by name. `negative_prompt` is the model's own where None; `first_frame` is a
    picture that the shot starts with. `references` are pictures of whom the shot shows, in the order of the
    cast. What a model cannot do (`abilities`) is an `EngineError`. `output` is the folder that receives clip,
    latents and trace. It is a path because it is scratch of the machine that renders; files stored elsewhere
    are `StoredFile`s.
    """

    shot: int
    caption: str
    global_caption: str
    cast: tuple[str, ...]
    seconds: float
    fps: Fraction | float
    size: tuple[int, int]
    seed: int
    output: Path
    context: tuple[ContextTake, ...] = ()
    steering: Steering = field(default_factory=Steering)
    parts: PartSteering = field(default_factory=PartSteering)
    routing: RoutingChoice = field(default_factory=RoutingChoice)
    sampler: SamplerChoice = field(default_factory=SamplerChoice)
    memory: MemoryChoice = field(default_factory=MemoryChoice)
    negative_prompt: str | None = None
    loras: tuple[Lora, ...] = ()
    first_frame: StoredFile | None = None
    guide: Guide | None = None
    control: Control | None = None
    references: tuple[StoredFile, ...] = ()
    step_cache: StepCache | None = None
    recipe: Mapping[str, object] = field(default_factory=dict)  # written into the clip's comment
    filmstrip: FilmstripFormat | None = None  # written as a JPEG file beside the clip
    previews: int = 4  # pictures of the shot that are reported while it is denoised; 0 where nobody sees them


@dataclass(frozen=True, kw_only=True)
class StageEvent:
    """A stage begins. With two experts, memory and denoising come once for each where there is a context."""

    stage: Stage


@dataclass(frozen=True, kw_only=True)
class StepEvent:
    """`step` of `steps` steps of a stage are done; `preview` is a PNG when there is a new one.

    The steps are parts of the model loaded, context takes read, denoising steps, and frames decoded.
    `seconds_left` is None where it is not known yet.
    """

    stage: Stage
    step: int
    steps: int
    seconds_left: float | None
    preview: bytes | None = None


RenderEvent = StageEvent | StepEvent


@dataclass(frozen=True, kw_only=True)
class RenderResult:
    """The files of a finished take in the output folder, what rendered it, and the seconds each stage took.

    `filmstrip` is None where none was asked for, or the renderer makes none.
    `device` is its kind, such as "cuda", and `dtype` that of the weights, such as "bfloat16": frames are
    equal between workers that agree on both, on `backend`, and on whether the model is compiled, which the
    trace says.
    """

    clip: Path
    latents: Path
    trace: Path
    frames: int
    backend: str
    device: str
    dtype: str
    timings: Mapping[Stage, float]
    filmstrip: Path | None = None


class CancelToken(Protocol):
    """Anything with `is_set`, such as a `threading.Event` or a `multiprocessing.Event`."""

    def is_set(self) -> bool: ...


class Renderer(Protocol):
    """Renders one shot at a time."""

    def render(
        self, request: RenderRequest, cancel: CancelToken | None = None
    ) -> Generator[RenderEvent, None, RenderResult]: ...


def finish(renderer: Renderer, request: RenderRequest) -> RenderResult:
    """Renders to the end and ignores the events."""
    rendering = renderer.render(request)
    while True:
        try:
            next(rendering)
        except StopIteration as stop:
            result: RenderResult = stop.value
            return result
