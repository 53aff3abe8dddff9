"""The request to the engine, from the inputs of a take and its context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from moc_engine.config import MemoryChoice, PartSteering, RoutingChoice, SamplerChoice, Steering
from moc_engine.contract import ContextTake, Control, Guide, Lora, RenderRequest
from moc_engine.stored_file import StoredFile
from studio import __version__
from studio.domain.finished_take import FinishedTake
from studio.domain.inputs import TakeInputs
from studio.domain.storyboard import target
from studio.store.documents import inputs_to_json
from studio.store.filmstrip import FILMSTRIP


def context_take(index: int, take: FinishedTake, latents: StoredFile | None) -> ContextTake:
    """A take of the shot at `index`, as context of a later shot; without latents one that is yet to come."""
    return ContextTake(
        id=take.id,
        shot=index,
        latents=latents,
        caption=take.inputs.caption,
        global_caption=take.inputs.global_caption,
        cast=take.inputs.cast,
        seconds=take.inputs.seconds,
    )


def request_for(
    inputs: TakeInputs,
    *,
    index: int,
    context: tuple[ContextTake, ...],
    output: Path,
    loras: Sequence[str] = (),
    first_frame: StoredFile | None = None,
    guide: StoredFile | None = None,
    control: StoredFile | None = None,
    references: tuple[StoredFile, ...] = (),
) -> RenderRequest:
    """The request for the shot at `index`, which must be later than all of its context.

    The rest are the files that the inputs name: `loras`, the pictures `first_frame` and `references`, and the
    clips `guide` and `control`.
    """
    index_of = {take.id: take.shot for take in context}
    return RenderRequest(
        shot=index,
        caption=inputs.caption,
        global_caption=inputs.global_caption,
        cast=inputs.cast,
        seconds=inputs.seconds,
        fps=inputs.fps,
        size=inputs.size,
        seed=inputs.seed,
        output=output,
        context=context,
        steering=Steering(
            pins=tuple(index_of[take] for take in inputs.pins if take in index_of),
            bans=tuple(index_of[take] for take in inputs.bans if take in index_of),
            boosts={index_of[take]: boost for take, boost in inputs.boosts.items() if take in index_of},
        ),
        parts=PartSteering(
            pins=tuple(_parts(inputs.pins, index_of).values()),
            bans=tuple(_parts(inputs.bans, index_of).values()),
            boosts={part: inputs.boosts[name] for name, part in _parts(inputs.boosts, index_of).items()},
        ),
        routing=RoutingChoice(top_k=inputs.top_k, full_below=inputs.full_below, router=inputs.router),
        sampler=SamplerChoice(
            steps=inputs.steps,
            guidance=inputs.guidance,
            scheduler=inputs.scheduler,
            shift=inputs.shift,
            guidance_2=inputs.guidance_2,
        ),
        memory=MemoryChoice(
            policy=inputs.memory_policy,
            keyframes=inputs.keyframes,
            storage=inputs.memory_storage,
            positions=inputs.positions,
        ),
        negative_prompt=inputs.negative_prompt,
        loras=tuple(
            Lora(source=file, weight=weight, expert=expert)
            for file, (_, weight, expert) in zip(loras, inputs.loras, strict=True)
        ),
        first_frame=first_frame,
        guide=_guide(guide, inputs.guide_strength),
        control=_control(control, inputs.control_scale),
        references=references,
        step_cache=inputs.step_cache,
        recipe={"program": f"moc-studio {__version__}", "take": inputs.take_id, **inputs_to_json(inputs)},
        filmstrip=FILMSTRIP,
    )


def _guide(clip: StoredFile | None, strength: float | None) -> Guide | None:
    return None if clip is None or strength is None else Guide(clip=clip, strength=strength)


def _control(clip: StoredFile | None, scale: float | None) -> Control | None:
    return None if clip is None or scale is None else Control(clip=clip, scale=scale)


def _parts(names: Iterable[str], index_of: Mapping[str, int]) -> dict[str, tuple[int, str]]:
    """The parts among names of takes and of their parts, as (index of the shot, part)."""
    found: dict[str, tuple[int, str]] = {}
    for name in names:
        take, part = target(name)
        if part is not None and take in index_of:
            found[name] = index_of[take], part
    return found
