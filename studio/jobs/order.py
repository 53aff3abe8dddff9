"""What jobs are to do: one class for each kind of job, and how it is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final, Literal

from pydantic import TypeAdapter, ValidationError

from studio.domain.project import Lane

Kind = Literal["render", "analysis", "download"]
"""The kinds of jobs that a worker can carry out."""

KINDS: Final[tuple[Kind, ...]] = ("render", "analysis", "download")


@dataclass(frozen=True, kw_only=True)
class RenderOrder:
    """Render one shot: which, why, and the expected seconds of work.

    `seed` replaces the shot's own. `keep_context` renders with the context of the chosen take instead of the
    present one. Without `replace` the new take does not become the chosen one. `again` renders even if a take
    with the same inputs exists, whose files are then replaced. `lane` is that of the take.
    `model` is what the model is called that a worker renders it with, once it began.
    """

    kind: ClassVar[Kind] = "render"
    shot: str
    reason: str
    seconds: float
    seed: int | None = None
    keep_context: bool = False
    replace: bool = True
    again: bool = False
    lane: Lane = "final"
    model: str | None = None

    @property
    def wish(self) -> tuple[object, ...]:
        """Equal for orders of which one is enough in the queue."""
        return self.kind, self.shot, self.seed, self.keep_context, self.again, self.lane


@dataclass(frozen=True, kw_only=True)
class _ModelOrder:
    """An order about a model, which is no shot's; one for each model is enough in the queue."""

    kind: ClassVar[Kind]
    model: str
    reason: str = ""
    seconds: float = 0.0

    @property
    def shot(self) -> None:
        return None

    @property
    def wish(self) -> tuple[object, ...]:
        return self.kind, self.model


@dataclass(frozen=True, kw_only=True)
class AnalysisOrder(_ModelOrder):
    """Read the files of a model for its identity: takes made with other weights are outdated."""

    kind: ClassVar[Kind] = "analysis"
    reason: str = "the model's files have not been read yet"


@dataclass(frozen=True, kw_only=True)
class FootageOrder:
    """Read a video of footage: write its preview film and find its cuts. One for each is enough in the queue.

    `name` is what the footage is called. `threshold` is that of the detector of cuts; None for the usual one.
    """

    kind: ClassVar[Kind] = "analysis"
    footage: str
    name: str
    threshold: float | None = None
    reason: str = ""
    seconds: float = 0.0

    @property
    def shot(self) -> None:
        return None

    @property
    def wish(self) -> tuple[object, ...]:
        return self.kind, "footage", self.footage


@dataclass(frozen=True, kw_only=True)
class DownloadOrder(_ModelOrder):
    """Download a model or LoRA of the hub; projects that name it without a commit get its commit."""

    kind: ClassVar[Kind] = "download"


@dataclass(frozen=True, kw_only=True)
class UnknownOrder:
    """An order that this version of the program cannot read, with the kind that is stored."""

    kind: str
    shot: str | None = None
    reason: str = ""
    seconds: float = 0.0

    @property
    def wish(self) -> tuple[object, ...]:
        return self.kind, self.shot


KnownOrder = RenderOrder | AnalysisOrder | FootageOrder | DownloadOrder
Order = KnownOrder | UnknownOrder

_STORED: Final[Mapping[str, TypeAdapter[Any]]] = {
    "render": TypeAdapter(RenderOrder),
    "analysis": TypeAdapter(AnalysisOrder | FootageOrder),
    "download": TypeAdapter(DownloadOrder),
}


def order_to_json(order: KnownOrder) -> dict[str, Any]:
    """The fields of an order that have no column of their own."""
    return {name: value for name, value in asdict(order).items() if name not in ("shot", "reason", "seconds")}


def order_from_json(
    kind: str, fields: Mapping[str, Any], *, shot: str | None, reason: str, seconds: float
) -> Order:
    """The order of a stored job; `UnknownOrder` where the kind or its fields are of another version."""
    unknown = UnknownOrder(kind=kind, shot=shot, reason=reason, seconds=seconds)
    if kind not in _STORED:
        return unknown
    try:
        order: Order = _STORED[kind].validate_python(
            {**fields, "shot": shot, "reason": reason, "seconds": seconds}
        )
    except ValidationError:
        return unknown
    return order
