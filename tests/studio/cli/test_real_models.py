"""What `moc-studio render` tells of films with real models before anything is rendered, and its options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from diffusers import WanTransformer3DModel

from studio.cli.film_settings import parse_loras
from studio.cli.main import main
from studio.domain.settings import Lora
from tests.fakes.loras import diffusers_keys, factors, save_lora
from tests.fakes.models import tiny_transformer
from tests.fakes.renderer import FakeRenderer
from tests.fakes.wan_folders import fastwan_folder, wan_a14b_folder, wan_i2v_folder, wan_t2v_folder

STORY = """\
title: fox
size: 64x64
fps: 16
settings: {steps: 2}
shots:
  - {caption: a fox runs, seconds: 0.5}
  - {caption: a fox runs at dawn, seconds: 0.5, first_frame: previous}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    wan_t2v_folder(folder / "t2v")
    wan_i2v_folder(folder / "i2v")
    wan_a14b_folder(folder / "a14b")
    transformer = WanTransformer3DModel.from_pretrained(folder / "t2v" / "transformer")
    save_lora(folder / "ink.safetensors", diffusers_keys(factors(transformer)))
    save_lora(folder / "other.safetensors", diffusers_keys(factors(tiny_transformer(ffn_dim=48))))
    (folder / "cut.safetensors").write_bytes((folder / "ink.safetensors").read_bytes()[:-9])
    (folder / "old.pt").write_bytes(b"PK")
    return folder


@pytest.fixture
def renderer() -> FakeRenderer:
    return FakeRenderer()


@pytest.fixture
def run(tmp_path: Path, models: Path, capsys: pytest.CaptureFixture[str], renderer: FakeRenderer) -> Run:
    """Renders a storyboard with a model of the folder: the exit code, stdout, stderr."""

    def _run(model: str | None, *more: str, text: str = STORY) -> tuple[int, str, str]:
        (tmp_path / "story.yaml").write_text(text)
        arguments = ["render", str(tmp_path / "story.yaml"), "--out", str(tmp_path / "film"), *more]
        if model is not None:
            arguments += ["--model", str(models / model)]
        code = main(arguments, make_renderer=lambda name: renderer)
        told = capsys.readouterr()
        return code, told.out, told.err

    return _run


def test_a_plan_tells_what_is_needed_and_no_time_before_one_is_known(run: Run) -> None:
    code, out, err = run("t2v", "--dry-run")
    assert code == 0
    assert "2 of 2 shots to render\nno estimate yet: no shot was rendered with this model here\n" in out
    assert "the longest shot needs about " in out
    assert " GB of main memory" in out
    assert "first_frame of shot 2, as the model " in err
    code, out, _ = run("t2v", "--dry-run", "--json")
    plan = json.loads(out)
    assert (code, plan["estimated_seconds"], plan["problems"]) == (0, None, [])
    assert plan["memory"]["host"] > 0
    assert run("t2v")[0] == 0
    assert "2 of 2 shots to render, in about " in run("t2v", "--dry-run")[1]


def test_a_shot_that_needs_a_first_frame_is_named_before_anything_runs(
    run: Run, renderer: FakeRenderer
) -> None:
    words = "shot 1: the model starts every shot from a picture: give it a first frame"
    code, out, _ = run("i2v", "--dry-run")
    assert (code, f"problem: {words}" in out) == (1, True)
    code, out, err = run("i2v")
    assert (code, out, f"moc-studio: {words}" in err) == (1, "", True)
    code, out, _ = run("i2v", "--dry-run", "--json", "--shots", "2")
    (problem,) = json.loads(out)["problems"]
    assert problem == {
        "text": "it starts with the last frame of shot 1, which has no take",
        "shots": [2],
    }
    assert code == 1
    assert renderer.requests == []


def test_a_model_of_fixed_steps_is_told_in_a_plan(run: Run, tmp_path: Path) -> None:
    fastwan_folder(tmp_path / "fast")
    fast = ["--dry-run", "--model", str(tmp_path / "fast")]
    code, out, _ = run(None, *fast)
    assert (code, "problem: steps: the model renders in its 3 steps, got 2\n" in out) == (1, True)
    assert run(None, *fast, "--steps", "3")[0] == 0


@pytest.mark.parametrize(
    ("lora", "words"),
    [
        ("none.safetensors", "shots 1 and 2: there is no LoRA file "),
        ("cut.safetensors", "cut.safetensors is cut off: "),
        ("old.pt", "old.pt may hold code (a pickle) and is never read"),
        ("other.safetensors", "other.safetensors was made for another model: its layer blocks.0."),
    ],
)
def test_a_lora_that_cannot_be_used_is_told_before_anything_runs(
    run: Run, models: Path, renderer: FakeRenderer, lora: str, words: str
) -> None:
    code, out, err = run("t2v", "--lora", f"{models / lora}:0.5")
    assert (code, out, words in err) == (1, "", True), err
    code, out, _ = run("t2v", "--dry-run", "--lora", f"{models / lora}:0.5")
    assert (code, words in out) == (1, True)
    assert "a fox runs  (not rendered yet)\n" in out  # it is told once, for both shots
    assert renderer.requests == []


def test_a_model_with_a_damaged_file_is_told_in_a_plan(run: Run, models: Path, tmp_path: Path) -> None:
    wan_t2v_folder(tmp_path / "damaged")
    (weights,) = (tmp_path / "damaged" / "vae").glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-9])
    code, out, _ = run(None, "--dry-run", "--model", str(tmp_path / "damaged"))
    assert (code, "diffusion_pytorch_model.safetensors is cut off: " in out) == (1, True)


def test_settings_that_the_model_cannot_use_are_told_with_their_shots(run: Run, models: Path) -> None:
    lora = f"loras: [{models / 'ink.safetensors'}]"
    text = STORY.replace("steps: 2", f"steps: 2, scheduler: euler, guide_strength: 0.5, {lora}")
    text = text.replace("first_frame: previous", "first_frame: previous, negative_prompt: blurred")
    code, _, err = run(None, "--dry-run", text=text)
    assert code == 0
    assert [line for line in err.splitlines() if line.startswith("not used")] == [
        "not used: negative_prompt of shot 2, as the embedded model takes no negative prompt",
        "not used: scheduler of the film, as the embedded model has no choice of scheduler or flow shift",
        "not used: loras of the film, as the embedded model takes no LoRAs",
        "not used: first_frame of shot 2, as the embedded model takes no first frame",
        "not used: guide_strength, as a file is rendered without drafts; import it as a project to have them",
    ]


def test_options_stand_in_place_of_the_films_settings(run: Run, models: Path, renderer: FakeRenderer) -> None:
    options = ["--negative-prompt", "blurred", "--scheduler", "unipc", "--shift", "4", "--guidance", "3"]
    options += [
        "--step-cache",
        "mag",
        "--memory-policy",
        "spread",
        "--keyframes",
        "3",
        "--positions",
        "clamp",
    ]
    options += ["--memory-storage", "full", "--lora", f"{models / 'ink.safetensors'}:0.5"]
    assert run("t2v", *options)[0] == 0
    _, second = renderer.requests
    assert (second.negative_prompt, second.step_cache) == ("blurred", "mag")
    assert (second.sampler.scheduler, second.sampler.shift, second.sampler.guidance) == ("unipc", 4.0, 3.0)
    assert (second.memory.policy, second.memory.keyframes) == ("spread", 3)
    assert (second.memory.storage, second.memory.positions) == ("full", "clamp")
    (lora,) = second.loras
    assert (lora.source, lora.weight) == (str(models / "ink.safetensors"), 0.5)


def test_a_lora_of_few_steps_names_the_options_that_it_needs(run: Run, models: Path, tmp_path: Path) -> None:
    fast = tmp_path / "lightning_4steps.safetensors"
    fast.write_bytes((models / "ink.safetensors").read_bytes())
    words = "is a Lightning LoRA, which is made for --steps 4 --guidance 1.0 --scheduler euler --shift 5.0"
    assert words in run("t2v", "--dry-run", "--lora", str(fast))[2]
    options = ["--steps", "4", "--guidance", "1", "--scheduler", "euler", "--shift", "5"]
    assert "Lightning" not in run("t2v", "--dry-run", "--lora", str(fast), *options)[2]


def test_a_lora_option_is_a_file_with_a_weight(models: Path) -> None:
    assert parse_loras(["ink.safetensors:0.8", r"C:\ink.safetensors", "a/b/c.safetensors@main:-1"], None) == (
        Lora(file="ink.safetensors", weight=0.8),
        Lora(file=r"C:\ink.safetensors"),
        Lora(file="a/b/c.safetensors@main", weight=-1.0),
    )
    two = str(models / "a14b")
    assert [lora.expert for lora in parse_loras(["x_high_noise.safetensors", "x.safetensors"], two)] == [
        "high",
        "both",
    ]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lora", "ink.safetensors:11"], "--lora: "),
        (["--lora", "ink.safetensors:abc"], 'ink.safetensors:abc: the weight "abc" is no number'),
        (["--shift", "0"], "--shift: must lie within"),
        (["--guidance-2", "99"], "--guidance-2: must lie within"),
        (["--keyframes", "0"], "--keyframes: must lie within"),
    ],
)
def test_options_out_of_range_are_named(run: Run, options: list[str], words: str) -> None:
    code, _, err = run("t2v", *options)
    assert (code, words in err) == (2, True), err
