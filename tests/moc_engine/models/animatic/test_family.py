from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from moc_engine.models.animatic.scene import PROPS, SETS, SLOT_NAMES, Scene
from moc_engine.models.base import CaptionStates, NamesSlots
from tests.fakes.models import tiny_backbone


def latents_of(scene: Scene) -> Tensor:
    return torch.tensor(scene.to_latents()).permute(2, 0, 1)[..., None]


def a_scene() -> Scene:
    """The third cast member on a beach, with a kite."""
    scene = Scene.empty(6)
    scene.set["kind"] = np.eye(len(SETS))[0]
    actor, prop = scene.characters[1], scene.props[2]
    actor["presence"] = prop["presence"] = 1.0
    actor["cast"] = np.eye(8)[2]
    prop["kind"] = np.eye(len(PROPS))[2]
    return scene


def test_slots_are_named_after_what_they_show() -> None:
    family = tiny_backbone().family
    assert isinstance(family, NamesSlots)
    names = family.slot_names(latents_of(a_scene()), ("Mira", "Otto", "Bo"))
    assert names[:3] == ["camera", "beach", "character 1 (empty)"]
    assert names[3:] == ["Bo", "character 3 (empty)", "prop 1 (empty)", "prop 2 (empty)", "kite"]
    assert family.slot_names(latents_of(a_scene()), ("Mira",))[3] == SLOT_NAMES[3]


def test_frames_have_the_requested_size_and_count() -> None:
    family = tiny_backbone().family
    frames = list(family.frames(latents_of(a_scene()), seconds=0.75, fps=8, size=(96, 54)))
    assert [frame.shape for frame in frames] == [(54, 96, 3)] * 6
    assert frames[0].dtype == np.uint8


def test_a_preview_is_small_with_the_same_aspect_ratio() -> None:
    family = tiny_backbone().family
    latents = latents_of(a_scene())
    assert family.picture(latents, seconds=1.0, size=(1280, 720)).shape == (180, 320, 3)
    assert family.picture(latents, seconds=1.0, size=(64, 48)).shape == (48, 64, 3)


def test_caption_states_do_not_depend_on_the_other_caption() -> None:
    """The global and the shot caption are encoded separately; only their padding can differ."""
    family = tiny_backbone().family
    one = family.captions("night", "Mira waves", ("Mira",))
    other = family.captions("night", "Mira waves in the forest", ("Mira",))
    spoken, more = counted(one), counted(other)
    torch.testing.assert_close(spoken[:2], more[:2])
    assert len(spoken) == 2 + 3
    assert len(more) == 2 + 4


def test_empty_captions_have_at_least_one_token() -> None:
    assert len(counted(tiny_backbone().family.captions("", "", ()))) == 2


def counted(captions: CaptionStates) -> Tensor:
    """The states (S, E) that are not padding."""
    assert captions.mask_BS is not None
    return captions.states_BSE[0][captions.mask_BS[0]]
