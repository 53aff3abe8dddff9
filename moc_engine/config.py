"""Settings of routing, steering, sampling and memory: frozen dataclasses, validated when made. No torch."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from typing import Any, Final, Literal

Pooling = Literal["before", "after"]
Captions = Literal["own", "all"]
Chunking = Literal["track", "frame"]
FullBelow = int | Literal["auto"]
Backend = str
"""The name of an attention backend, or "auto"."""
Scheduler = Literal["euler", "unipc", "dpm++"]
"""A solver of the flow: Euler, UniPC, or DPM-Solver++ (both of second order)."""
Policy = str
"""The name of a memory policy: which chunks of finished takes are remembered at all."""
Router = str
"""The name of a router: the rule by which queries choose chunks of earlier shots."""
Storage = Literal["full", "int8"]
Positions = Literal["continue", "clamp", "restart"]

BACKEND_ENTRY_POINTS: Final = "moc_studio.backends"
BACKENDS: Final = ("auto", "naive", "grouped", "gathered", "masked", "triton")

POLICY_ENTRY_POINTS: Final = "moc_studio.memory_policies"
POLICIES: Final = ("all", "first-last", "spread", "change", "cast")

ROUTER_ENTRY_POINTS: Final = "moc_studio.routers"
ROUTERS: Final = ("moc", "window", "radial", "random", "moba", "adaspa", "moga", "vorta")

RENDER_ROUTERS: Final = ("moc", "window", "radial")
"""Those of the built-in routers that renders can use; they need no more than mean keys and positions."""

GREATEST_BOOST: Final = 1e6
"""A larger boost would drown the scores in float32."""

SAME_LEVEL: Final = 1e-6
"""Noise levels that differ by less are the same but for rounding."""


@dataclass(frozen=True, kw_only=True)
class RoutingConfig:
    """How a query selects its context (MoC, arXiv 2508.21058, section 3).

    `router` chooses the chunks of a render: MoC's rule, or another one of the registry. `top_k` chunks are
    routed per query token, head and layer, beside the mandatory own shot and captions. `pooling` takes chunk
    means of keys before or after rotary embedding. `captions` attends to the global and the shot's own
    captions, or to all. `outer_shots` first narrows the candidates to the M best shots by their mean keys. A
    shot that could attend to fewer than `full_below` tokens, its own included, attends to all of them but
    banned ones; 0 is never, "auto" where routing would be slower on the device, and never with a `top_k` of
    0. `drop_off` (the largest share of its choice that a query loses, drawn uniformly and rounded down to
    whole chunks) and `drop_in` (the mean of a Poisson draw) perturb the choice in training only.
    """

    top_k: int = 3
    chunking: Chunking = "track"
    pooling: Pooling = "after"
    captions: Captions = "own"
    outer_shots: int | None = None
    full_below: FullBelow = 0
    drop_off: float = 0.0
    drop_in: float = 0.0
    backend: Backend = "auto"
    router: Router = "moc"

    def __post_init__(self) -> None:
        object.__setattr__(self, "top_k", _whole("top_k", self.top_k))
        if self.outer_shots is not None:
            object.__setattr__(self, "outer_shots", _whole("outer_shots", self.outer_shots))
        if self.full_below != "auto":
            if isinstance(self.full_below, str):
                raise ValueError(f"full_below: a number of tokens or 'auto', got {self.full_below!r}")
            object.__setattr__(self, "full_below", _whole("full_below", self.full_below))
            if self.full_below < 0:
                raise ValueError(f"full_below: must be 0 or more, got {self.full_below}")
        if self.top_k < 0:
            raise ValueError(f"top_k: must be 0 or more, got {self.top_k}")
        if self.chunking not in ("track", "frame"):
            raise ValueError(f"chunking: 'track' or 'frame', got {self.chunking!r}")
        if self.pooling not in ("before", "after"):
            raise ValueError(f"pooling: 'before' or 'after', got {self.pooling!r}")
        if self.captions not in ("own", "all"):
            raise ValueError(f"captions: 'own' or 'all', got {self.captions!r}")
        if self.outer_shots is not None and self.outer_shots < 1:
            raise ValueError(f"outer_shots: must be 1 or more, got {self.outer_shots}")
        if not 0.0 <= self.drop_off <= 1.0:
            raise ValueError(f"drop_off: a share within 0–1, got {self.drop_off}")
        if not (self.drop_in >= 0.0 and math.isfinite(self.drop_in)):
            raise ValueError(f"drop_in: a mean of 0 or more, got {self.drop_in}")
        check_backend(self.backend)
        check_render_router(self.router)


@dataclass(frozen=True, kw_only=True)
class Steering:
    """What a person prescribes about the attention of one query shot.

    `pins` and `bans` are shots, `pin_chunks` and `ban_chunks` single chunks of the layout; `boosts` adds to
    the router's scores of a shot, `boost_chunks` to those of a chunk. A pin is mandatory and outside the
    budget; a ban takes a shot's chunks out of the candidates.
    """

    pins: tuple[int, ...] = ()
    bans: tuple[int, ...] = ()
    boosts: Mapping[int, float] = field(default_factory=dict)
    pin_chunks: tuple[int, ...] = ()
    ban_chunks: tuple[int, ...] = ()
    boost_chunks: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("pins", "bans", "pin_chunks", "ban_chunks"):
            object.__setattr__(self, name, _whole_numbers(name, getattr(self, name)))
        object.__setattr__(self, "boosts", _boosts("boosts", "shot", self.boosts))
        object.__setattr__(self, "boost_chunks", _boosts("boost_chunks", "chunk", self.boost_chunks))
        both = sorted(set(self.pins) & set(self.bans))
        if both:
            raise ValueError(f"pins: shot {both[0]} is both pinned and banned")
        both = sorted(set(self.pin_chunks) & set(self.ban_chunks))
        if both:
            raise ValueError(f"pin_chunks: chunk {both[0]} is both pinned and banned")

    def __bool__(self) -> bool:
        chunks = self.pin_chunks or self.ban_chunks or self.boost_chunks
        return bool(self.pins or self.bans or self.boosts or chunks)


@dataclass(frozen=True, kw_only=True)
class PartSteering:
    """Steering of single parts of earlier shots: (shot, name of its chunks), such as (2, "Mira").

    Steering of a part overrides that of its shot, except that boosts add up. A part that a take does not have
    is ignored.
    """

    pins: tuple[tuple[int, str], ...] = ()
    bans: tuple[tuple[int, str], ...] = ()
    boosts: Mapping[tuple[int, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        both = sorted(set(self.pins) & set(self.bans))
        if both:
            shot, name = both[0]
            raise ValueError(f"pins: {name} of shot {shot} is both pinned and banned")

    def __bool__(self) -> bool:
        return bool(self.pins or self.bans or self.boosts)


@dataclass(frozen=True, kw_only=True)
class SamplerConfig:
    """The denoising loop: `steps` of flow matching, classifier-free `guidance` (1 is none).

    Steps at noise levels (0–1) below `guidance_floor` are not guided: by then the content is settled, and
    guidance only roughens it (Kynkäänniemi et al., "Applying Guidance in a Limited Interval", 2024).
    `memory_noise` is the noise level (0–1) at which finished takes are read into memory. `scheduler` and
    `shift`, the shift of noise levels towards the noisy end, are the model's own where None; `guidance_2` is
    the guidance of the expert for low noise, the same as `guidance` where None.
    """

    steps: int = 16
    guidance: float = 1.5
    guidance_floor: float = 0.0
    memory_noise: float = 0.0
    scheduler: Scheduler | None = None
    shift: float | None = None
    guidance_2: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", _whole("steps", self.steps))
        if not 1 <= self.steps <= 1000:
            raise ValueError(f"steps: must be within 1–1000, got {self.steps}")
        if not (0.0 <= self.guidance <= 30.0):
            raise ValueError(f"guidance: must be within 0–30, got {self.guidance}")
        if not 0.0 <= self.guidance_floor <= 1.0:
            raise ValueError(f"guidance_floor: must be within 0–1, got {self.guidance_floor}")
        if not 0.0 <= self.memory_noise < 1.0:
            raise ValueError(f"memory_noise: must be within 0–1, got {self.memory_noise}")
        if self.scheduler not in (None, "euler", "unipc", "dpm++"):
            raise ValueError(f"scheduler: 'euler', 'unipc' or 'dpm++', got {self.scheduler!r}")
        if self.shift is not None and not 0.0 < self.shift <= 100.0:
            raise ValueError(f"shift: must be above 0 and at most 100, got {self.shift}")
        if self.guidance_2 is not None and not 0.0 <= self.guidance_2 <= 30.0:
            raise ValueError(f"guidance_2: must be within 0–30, got {self.guidance_2}")

    def guidance_at(self, noise_level: float, boundary: float = 0.0) -> float:
        """The guidance of a step at this noise level; 1 is none. Low noise begins below `boundary`."""
        if noise_level <= self.guidance_floor - SAME_LEVEL:
            return 1.0
        return self.guidance if noise_level >= boundary or self.guidance_2 is None else self.guidance_2


@dataclass(frozen=True, kw_only=True)
class MemoryConfig:
    """What is remembered of finished takes, and how.

    `policy` names the chunks that are remembered: all; those of the first and the last latent frame; those of
    `keyframes` frames of each take, evenly spread or where the picture changes most; those that show cast
    members. `storage` is the weights' dtype or 8 bits. `positions` are the positions in time of remembered
    tokens: continued before the shot's own, clamped to the length the model was trained on, or restarted for
    every take.
    """

    policy: Policy = "all"
    keyframes: int = 8
    storage: Storage = "full"
    positions: Positions = "continue"

    def __post_init__(self) -> None:
        object.__setattr__(self, "keyframes", _whole("keyframes", self.keyframes))
        check_policy(self.policy)
        if not 1 <= self.keyframes <= 10_000:
            raise ValueError(f"keyframes: must be within 1–10000, got {self.keyframes}")
        if self.storage not in ("full", "int8"):
            raise ValueError(f"storage: 'full' or 'int8', got {self.storage!r}")
        if self.positions not in ("continue", "clamp", "restart"):
            raise ValueError(f"positions: 'continue', 'clamp' or 'restart', got {self.positions!r}")


@dataclass(frozen=True, kw_only=True)
class RoutingChoice:
    """The fields of a `RoutingConfig` that a person chose; None leaves a field to the model."""

    top_k: int | None = None
    chunking: Chunking | None = None
    pooling: Pooling | None = None
    outer_shots: int | None = None
    full_below: FullBelow | None = None
    backend: Backend | None = None
    router: Router | None = None

    def __post_init__(self) -> None:
        if self.backend is not None:
            check_backend(self.backend)
        if self.router is not None:
            check_render_router(self.router)

    def over(self, own: RoutingConfig) -> RoutingConfig:
        """The model's own settings with the choice over them; `ValueError` as `RoutingConfig` raises it."""
        return replace(own, **_chosen(self))


@dataclass(frozen=True, kw_only=True)
class SamplerChoice:
    """The fields of a `SamplerConfig` that a person chose; None leaves a field to the model."""

    steps: int | None = None
    guidance: float | None = None
    guidance_floor: float | None = None
    memory_noise: float | None = None
    scheduler: Scheduler | None = None
    shift: float | None = None
    guidance_2: float | None = None

    def over(self, own: SamplerConfig) -> SamplerConfig:
        """The model's own settings with the choice over them; `ValueError` as `SamplerConfig` raises it.

        A chosen guidance holds for both experts unless `guidance_2` is chosen too.
        """
        chosen = _chosen(self)
        if "guidance" in chosen:
            chosen = {"guidance_2": None, **chosen}
        return replace(own, **chosen)


@dataclass(frozen=True, kw_only=True)
class MemoryChoice:
    """The fields of a `MemoryConfig` that a person chose; None leaves a field to the model."""

    policy: Policy | None = None
    keyframes: int | None = None
    storage: Storage | None = None
    positions: Positions | None = None

    def __post_init__(self) -> None:
        if self.policy is not None:
            check_policy(self.policy)

    def over(self, own: MemoryConfig) -> MemoryConfig:
        """The model's own settings with the choice over them; `ValueError` as `MemoryConfig` raises it."""
        return replace(own, **_chosen(self))


def check_backend(name: Backend) -> None:
    """Raises `ValueError` for a backend that is unknown, and says which there are."""
    if name not in BACKENDS and name not in backend_names():
        raise ValueError(f"backend: unknown backend {name!r}; there are {', '.join(backend_names())}")


def backend_names() -> tuple[str, ...]:
    """The names of the built-in attention backends and of those that plug-ins add."""
    return (*BACKENDS, *sorted(entry_points(group=BACKEND_ENTRY_POINTS).names))


def check_policy(name: Policy) -> None:
    """Raises `ValueError` for a memory policy that is unknown, and says which there are."""
    if name not in POLICIES and name not in policy_names():
        raise ValueError(f"policy: unknown memory policy {name!r}; there are {', '.join(policy_names())}")


def policy_names() -> tuple[str, ...]:
    """The names of the built-in memory policies and of those that plug-ins add."""
    return (*POLICIES, *sorted(entry_points(group=POLICY_ENTRY_POINTS).names))


def check_render_router(name: Router) -> None:
    """Raises `ValueError` for a router that is unknown or that renders cannot use; it says which they can."""
    usable = render_router_names()
    if name in usable:
        return
    what = f"{name!r} is for evaluations alone" if name in ROUTERS else f"unknown router {name!r}"
    raise ValueError(f"router: {what}; renders can use {', '.join(usable)}")


def render_router_names() -> tuple[str, ...]:
    """The names of the routers that renders can use: built-in ones, and those that plug-ins add."""
    return (*RENDER_ROUTERS, *(name for name in router_names() if name not in ROUTERS))


def router_names() -> tuple[str, ...]:
    """The names of the built-in routers and of those that plug-ins add."""
    return (*ROUTERS, *sorted(entry_points(group=ROUTER_ENTRY_POINTS).names))


def _chosen(choice: RoutingChoice | SamplerChoice | MemoryChoice) -> dict[str, Any]:
    return {name: value for name, value in vars(choice).items() if value is not None}


def _whole(name: str, value: object) -> int:
    """Any integer, including numpy's, as an int."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{name}: must be a whole number, got {value!r}") from None


def _whole_numbers(name: str, values: object) -> tuple[int, ...]:
    if not isinstance(values, Iterable):
        raise ValueError(f"{name}: must be several whole numbers, got {values!r}")
    return tuple(_whole(name, value) for value in values)


def _boosts(name: str, what: str, boosts: object) -> dict[int, float]:
    if not isinstance(boosts, Mapping):
        raise ValueError(f"{name}: must map {what}s to numbers, got {boosts!r}")
    plain: dict[int, float] = {}
    for key, boost in boosts.items():
        try:
            plain[_whole(name, key)] = float(boost)
        except (TypeError, ValueError):
            raise ValueError(f"{name}: must map {what}s to numbers, got {key!r}: {boost!r}") from None
    for key, boost in plain.items():
        if not abs(boost) <= GREATEST_BOOST:  # NaN too
            raise ValueError(f"{name}: must lie within ±{GREATEST_BOOST:g}, {what} {key} has {boost}")
    return plain
