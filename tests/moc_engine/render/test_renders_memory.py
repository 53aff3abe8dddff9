"""What renders keep of takes between them, and how much."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from moc_engine.render.prepare import PreparedRender, PreparedTake
from moc_engine.render.renderer import ShotRenderer
from tests.fakes.short_shots import latents_of
from tests.fakes.tiny_renders import finish, rendered_story, request


def test_a_take_that_changed_under_its_id_is_read_anew(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 1)
    before = latents_of(finish(renderer, request(tmp_path / "new", context))[0])
    assert context[0].latents is not None
    with context[0].latents.local() as file:
        save_file({"latents": load_file(file)["latents"] + 1}, file)
    after = latents_of(finish(renderer, request(tmp_path / "new", context))[0])
    assert not torch.equal(before, after)


def test_takes_of_one_render_do_not_push_each_other_out(renderer: ShotRenderer, tmp_path: Path) -> None:
    context = rendered_story(renderer, tmp_path / "story", 2)
    for first, second in (("t0:x", "t0"), ("t0", "t0:x"), ("t0", "t0")):
        takes = replace(context[0], id=first), replace(context[1], id=second)
        finish(renderer, request(tmp_path / "new", takes))


@pytest.mark.parametrize("budget", [0, 20_000, 200_000, 1 << 26])
def test_memories_and_buffers_keep_to_the_budget_together(model: Path, tmp_path: Path, budget: int) -> None:
    renderer = ShotRenderer(model, device="cpu", memory_budget=budget)
    rendered_story(renderer, tmp_path / "story", 4)
    assert renderer.memory_bytes + renderer.buffer_bytes <= budget
    assert (renderer.buffer_bytes > 0) == (budget > 100_000)


def test_a_render_leaves_nothing_but_memories(renderer: ShotRenderer, tmp_path: Path) -> None:
    before = _alive()
    rendered_story(renderer, tmp_path / "story", 4)
    kept = _added(before)
    assert not [thing for thing in kept if type(thing) is PreparedRender]
    assert sum(type(thing) is PreparedTake for thing in kept) <= 3


def test_a_take_that_is_neither_held_nor_in_sight_is_forgotten(model: Path, tmp_path: Path) -> None:
    before = _alive()
    renderer = ShotRenderer(model, device="cpu", memory_budget=0)
    context = rendered_story(renderer, tmp_path / "story", 3)
    finish(renderer, request(tmp_path / "new", context[:1]))
    assert sum(type(thing) is PreparedTake for thing in _added(before)) <= 1


def _alive() -> list[object]:
    """The prepared renders and takes there are; other tests of this process may have left some."""
    gc.collect()
    return [thing for thing in gc.get_objects() if type(thing) in (PreparedRender, PreparedTake)]


def _added(before: list[object]) -> list[object]:
    """Those there are now besides."""
    return [thing for thing in _alive() if all(thing is not earlier for earlier in before)]
