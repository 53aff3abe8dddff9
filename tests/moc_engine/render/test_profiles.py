"""Renders under profiles, and what happens when memory runs out."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan

from moc_engine.contract import RenderResult, finish
from moc_engine.errors import EngineError, ModelNotFound, OutOfMemory
from moc_engine.models.backbone import Backbone
from moc_engine.models.caption_cache import CachedTextEncoder
from moc_engine.models.finding import find_model
from moc_engine.models.fitting import FP8
from moc_engine.models.loading import load_parts
from moc_engine.models.part_loading import reading
from moc_engine.models.registry import LoadedParts
from moc_engine.profiles import PROFILES, Profile, profile_named
from moc_engine.render.renderer import ShotRenderer
from moc_engine.trace.trace_file import read_trace
from tests.fakes.models import save_tiny_video
from tests.fakes.short_shots import latents_of, short_shot, take_of

TOLERANCE = {"full": 1e-4, "fp8": 0.1, "int8": 0.1}
"""The largest error of latents, relative to their norm, by the form of the weights."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "video"
    save_tiny_video(folder)
    return folder


def two_shots(renderer: ShotRenderer, output: Path) -> list[RenderResult]:
    asked = short_shot(output / "0")
    first = finish(renderer, asked)
    second = short_shot(output / "1", shot=1, context=(take_of(asked, first),))
    return [first, finish(renderer, second)]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_shots_render_the_same_under_every_profile(folder: Path, tmp_path: Path) -> None:
    plain = two_shots(ShotRenderer(folder, device="cpu"), tmp_path / "plain")
    assert read_trace(plain[0].trace).routing["profile"] == {"name": "shared", "note": ""}
    for profile in (*PROFILES, profile_named("12gb+int8", "cpu", 0)):
        renderer = ShotRenderer(folder, device="cpu", profile=profile.name)
        for own, other in zip(two_shots(renderer, tmp_path / profile.name), plain, strict=True):
            error = (latents_of(own) - latents_of(other)).norm() / latents_of(other).norm()
            assert error <= TOLERANCE[profile.weights], profile.name
            assert own.frames == other.frames
            trace = read_trace(own.trace)
            assert trace.routing["profile"]["name"] == profile.name
            weights = "" if profile.weights == "full" else f", weights {profile.weights}"
            assert own.dtype == f"float32{weights}"


def within(holder: object, kind: type[Any]) -> Any:
    """The object of a kind that another one holds, directly or by what it holds."""
    waiting, seen = [holder], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, kind):
            return one
        if id(one) not in seen and type(one).__module__.startswith("moc_engine"):
            seen.add(id(one))
            waiting += vars(one).values()
    raise AssertionError(f"there is no {kind.__name__}")


def blocks_at_a_time(transformer: Any) -> int:
    """The most blocks that one group of offloading holds; 0 where none is offloaded."""
    hooks = [getattr(block, "_diffusers_hook", None) for block in transformer.blocks]
    groups = [hook.get_hook("group_offloading") for hook in hooks if hook is not None]
    return max((len(one.group.modules) for one in groups if one is not None), default=0)


@pytest.mark.parametrize("profile", [*PROFILES, profile_named("24gb+int8", "cpu", 0)], ids=lambda p: p.name)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_each_profile_does_what_it_says(profile: Profile, folder: Path, tmp_path: Path) -> None:
    """Also where all captions are known already; the model has two blocks."""
    loaded: list[Backbone] = []
    batches: set[int] = set()

    def load(
        source: str | Path | None, device: str | None, *, profile: str
    ) -> Generator[LoadedParts, None, Backbone]:
        loaded.append((yield from load_parts(source, device, profile=profile)))
        loaded[0].transformer.register_forward_pre_hook(lambda _, args: batches.add(len(args[0])))
        return loaded[0]

    for _ in range(2):
        loaded.clear()
        finish(ShotRenderer(folder, device="cpu", profile=profile.name, load=load), short_shot(tmp_path))
    said, transformer = str(profile), loaded[0].transformer
    weight = transformer.blocks[0].ffn.net[2].weight
    assert ("8-bit floats" in said) == (weight.dtype == FP8)
    assert ("8-bit integers" in said) == (type(weight) is not torch.nn.Parameter)
    vae, encoder = (within(loaded[0].family, kind) for kind in (AutoencoderKLWan, CachedTextEncoder))
    assert ("text encoder is freed" in said) == (not encoder.is_loaded)
    assert ("two passes" in said) == (batches == {1})
    assert (f"tiles of {vae.tile_sample_min_height} pixels" in said) == vae.use_tiling
    at_a_time = {0: "", 1: "one block at a time", 2: "4 blocks at a time"}[blocks_at_a_time(transformer)]
    assert at_a_time in said
    assert ("at a time" in said.replace("one at a time", "")) == bool(at_a_time)


class RunsOut:
    """Loads a model that runs out of memory under the profiles named."""

    def __init__(self, *profiles: str) -> None:
        self._profiles = profiles
        self.loaded: list[str] = []

    def __call__(
        self, source: str | Path | None, device: str | None, *, profile: str
    ) -> Generator[LoadedParts, None, Backbone]:
        backbone = yield from load_parts(source, device, profile=profile)
        self.loaded.append(backbone.profile.name)
        if backbone.profile.name in self._profiles:
            backbone.transformer.register_forward_pre_hook(self._fail)
        return backbone

    def _fail(self, *_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_out_of_memory_is_tried_again_with_the_next_lower_profile_if_agreed(
    folder: Path, tmp_path: Path
) -> None:
    load = RunsOut("48gb")
    renderer = ShotRenderer(folder, device="cpu", profile="48gb", retry_lower=True, load=load)

    result = finish(renderer, short_shot(tmp_path / "one"))

    assert load.loaded == ["48gb", "24gb"]
    told = read_trace(result.trace).routing["profile"]
    assert told["name"] == "24gb"
    assert str(told["note"]).startswith("out of memory in stage “denoise”")
    assert str(told["note"]).endswith("rendered again with the profile 24gb")
    finish(renderer, short_shot(tmp_path / "two"))
    assert load.loaded == ["48gb", "24gb"]  # the lower one stays


def test_it_is_tried_once(folder: Path, tmp_path: Path) -> None:
    load = RunsOut("48gb", "24gb")
    renderer = ShotRenderer(folder, device="cpu", profile="48gb", retry_lower=True, load=load)
    with pytest.raises(OutOfMemory, match="denoise"):
        finish(renderer, short_shot(tmp_path / "one"))
    assert load.loaded == ["48gb", "24gb"]


class RunsOutWhileLoading:
    """A loading that runs out of memory under the profiles named, once its first part is there."""

    def __init__(self, *profiles: str) -> None:
        self._profiles = profiles
        self.asked: list[str] = []
        self.part: weakref.ref[torch.Tensor] | None = None

    def __call__(
        self, source: str | Path | None, device: str | None, *, profile: str
    ) -> Generator[LoadedParts, None, Backbone]:
        assert self.part is None or self.part() is None, "what was loaded before is freed"
        self.asked.append(profile)
        if profile not in self._profiles:
            return (yield from load_parts(source, device, profile=profile))
        part = torch.empty(1000)
        self.part = weakref.ref(part)
        yield LoadedParts(done=1, parts=2, part="text_encoder")
        raise torch.OutOfMemoryError(f"CUDA out of memory: {part.nbytes} bytes are there")


def test_out_of_memory_while_loading_is_tried_again_with_the_next_lower_profile_if_agreed(
    folder: Path, tmp_path: Path
) -> None:
    load = RunsOutWhileLoading("24gb")
    renderer = ShotRenderer(folder, device="cpu", profile="24gb", retry_lower=True, load=load)

    result = finish(renderer, short_shot(tmp_path / "one"))

    assert load.asked == ["24gb", "12gb"]
    told = read_trace(result.trace).routing["profile"]
    assert (told["name"], str(told["note"]).split(":")[0]) == ("12gb", "out of memory in stage “load”")
    assert str(told["note"]).endswith("rendered again with the profile 12gb")


def test_a_loading_that_runs_out_twice_is_told(folder: Path, tmp_path: Path) -> None:
    load = RunsOutWhileLoading("24gb", "12gb")
    renderer = ShotRenderer(folder, device="cpu", profile="24gb", retry_lower=True, load=load)
    with pytest.raises(OutOfMemory, match="“load”: choose a smaller model"):
        finish(renderer, short_shot(tmp_path / "one"))
    assert load.asked == ["24gb", "12gb"]
    alone = ShotRenderer(folder, device="cpu", profile="24gb", load=RunsOutWhileLoading("24gb"))
    with pytest.raises(OutOfMemory, match=r"“load”: .*, or render with the profile 12gb"):
        finish(alone, short_shot(tmp_path / "one"))


def test_a_part_that_does_not_fit_the_memory_is_no_damaged_part(folder: Path) -> None:
    model = find_model(folder)
    with pytest.raises(torch.OutOfMemoryError), reading(model, "transformer"):
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(ModelNotFound), reading(model, "transformer"):
        raise RuntimeError("shapes differ")


def test_a_model_is_let_go_of_before_it_is_loaded_with_a_lower_profile(folder: Path, tmp_path: Path) -> None:
    models: list[weakref.ref[Any]] = []

    class Load(RunsOut):
        def __call__(
            self, source: str | Path | None, device: str | None, *, profile: str
        ) -> Generator[LoadedParts, None, Backbone]:
            assert [model() for model in models] == [None] * len(models)
            backbone = yield from super().__call__(source, device, profile=profile)
            models.append(weakref.ref(backbone.transformer))
            return backbone

    renderer = ShotRenderer(folder, device="cpu", profile="48gb", retry_lower=True, load=Load("48gb"))
    finish(renderer, short_shot(tmp_path / "one"))
    assert len(models) == 2


def test_without_agreement_the_lower_profile_is_named(folder: Path, tmp_path: Path) -> None:
    load = RunsOut("48gb", "8gb")
    renderer = ShotRenderer(folder, device="cpu", profile="48gb", load=load)
    with pytest.raises(OutOfMemory, match=r"or render with the profile 24gb \(--profile 24gb\)"):
        finish(renderer, short_shot(tmp_path / "one"))
    lowest = ShotRenderer(folder, device="cpu", profile="8gb", retry_lower=True, load=load)
    with pytest.raises(OutOfMemory, match=r"lower top-k$"):
        finish(lowest, short_shot(tmp_path / "one"))
    assert load.loaded == ["48gb", "8gb"]


def test_blocks_that_move_are_not_compiled(folder: Path, tmp_path: Path) -> None:
    renderer = ShotRenderer(folder, device="cpu", profile="8gb", compiled=True)
    with pytest.raises(EngineError, match="render without --compile"):
        finish(renderer, short_shot(tmp_path / "one"))
