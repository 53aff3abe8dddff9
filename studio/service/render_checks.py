"""What keeps a render from succeeding, told before anything runs: nothing is loaded but headers of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from moc_engine.config import check_render_router, render_router_names
from moc_engine.model_abilities import needs_first_frame
from moc_engine.model_defaults import model_defaults
from moc_engine.model_location import is_missing_hub_model
from studio.domain.errors import StudioError
from studio.domain.inputs import RenderingModel, TakeInputs, loras_of
from studio.domain.messages import Message, message
from studio.domain.settings import Lora
from studio.domain.storyboard import Storyboard
from studio.service.library import ModelLibrary
from studio.service.models import lora_problem


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What keeps shots from being rendered; `shots` are their indices, none where it is about the film."""

    text: Message
    shots: tuple[int, ...] = ()


def problems_of(
    board: Storyboard, rendered: Mapping[int, TakeInputs], model: RenderingModel, library: ModelLibrary
) -> tuple[Problem, ...]:
    """The problems of shots that would be rendered with the storyboard's model, by index."""
    if not rendered:
        return ()
    found = [*_of_model(board.settings.model, library)]
    if not found:
        found += _of_steps(board)
        found += _of_router(board, rendered)
        found += _of_first_frames(board, rendered)
        found += _of_loras(board, rendered, model)
    return tuple(found)


def _of_model(name: str | None, library: ModelLibrary) -> Iterator[Problem]:
    if name is None:
        return
    try:
        if is_missing_hub_model(name):
            library.look_up(name)  # the render downloads it
        else:
            library.check(name)
    except StudioError as error:
        yield Problem(text=error.message)


def _of_steps(board: Storyboard) -> Iterator[Problem]:
    own, steps = model_defaults(board.settings.model), board.settings.steps
    if own is not None and own.fixed_steps is not None and steps not in (None, own.fixed_steps):
        yield Problem(text=message("steps-fixed", steps=own.fixed_steps, asked=str(steps)))


def _of_router(board: Storyboard, rendered: Mapping[int, TakeInputs]) -> Iterator[Problem]:
    """A router that renders cannot use, and boosts that it would ignore."""
    name = board.settings.router
    if name is None:
        return
    try:
        check_render_router(name)
    except ValueError:
        usable = ", ".join(render_router_names())
        yield Problem(text=message("router-unusable", router=name, usable=usable))
        return
    boosted = tuple(index for index in rendered if board.shots[index].boosts)
    if boosted and name != "moc":
        yield Problem(text=message("router-boosts", router=name), shots=boosted)


def _of_first_frames(board: Storyboard, rendered: Mapping[int, TakeInputs]) -> Iterator[Problem]:
    without = []
    for index, inputs in rendered.items():
        kind, _, name = (inputs.first_frame or "").partition(":")
        if not kind:
            without.append(index)
        elif kind == "shot":
            other = next(at for at, earlier in enumerate(board.shots) if earlier.id == name)
            if other not in rendered:
                yield Problem(text=message("first-frame-needs-take", other=other + 1), shots=(index,))
    if without and needs_first_frame(board.settings.model):
        yield Problem(text=message("first-frame-needed"), shots=tuple(without))


def _of_loras(board: Storyboard, indices: Iterable[int], model: RenderingModel) -> Iterator[Problem]:
    users: dict[Lora, list[int]] = {}
    for index in indices:
        for lora in loras_of(board, index, model, board.settings):
            users.setdefault(lora, []).append(index)
    for lora, shots in users.items():
        problem = lora_problem(lora, board.settings.model, model)
        if problem is not None:
            yield Problem(text=problem, shots=tuple(shots))
