from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from studio.cli.main import main
from studio.cli.models import parameters_in_words
from tests.fakes.models import save_tiny_video
from tests.fakes.wan_folders import wan_i2v_folder
from tests.fakes.weights_files import write_sparse


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOC_STUDIO_MODELS", str(tmp_path / "entries"))
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "ComfyUI"))
    return tmp_path


def test_a_folder_gets_a_name_with_which_films_render(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny_video(home / "video")
    assert main(["models", "add", "tiny", "--folder", str(home / "video")]) == 0
    assert capsys.readouterr().out == "tiny\n"
    assert main(["models", "list"]) == 0
    listed = capsys.readouterr().out
    assert "animatic  Animatic  " in listed
    assert "tiny  Wan  " in listed
    assert "FastVideo/FastWan2.2-TI2V-5B-FullAttn-Diffusers  Apache-2.0, 3 steps" in listed
    assert main(["models", "check", "tiny"]) == 0
    checked = capsys.readouterr().out
    assert re.search(r"\d k parameters, F32, ", checked)
    told = [float(size) for size in re.findall(r"--profile \w+: ([\d.]+) GB on the GPU", checked)]
    assert f"needs a GPU with {min(told):.1f} GB or more; without one" in checked or "fits under" in checked
    assert "\na shot of 4 s at 832x480, the first of a film, needs by prediction:\n" in checked
    assert "(weights in full precision)\n" in checked
    assert main(["models", "check", "tiny", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["origin"] == "added"
    story = "title: A\nsize: 64x64\nfps: 4\nshots: [{caption: a fox runs, seconds: 0.5}]\n"
    (home / "story.yaml").write_text(story)
    film = [
        "render",
        str(home / "story.yaml"),
        "--model",
        "tiny",
        "--steps",
        "1",
        "--out",
        str(home / "film"),
    ]
    assert main(film) == 0
    assert list((home / "film").glob("*.mp4"))
    assert main(["models", "remove", "tiny"]) == 0
    assert main(["models", "check", "tiny"]) == 2
    assert (home / "video" / "model_index.json").is_file()


def test_a_lora_is_told_with_the_models_that_it_fits(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = "diffusion_model.blocks.0.self_attn.q"
    shapes = {f"{key}.lora_A.weight": (8, 3072), f"{key}.lora_B.weight": (3072, 8)}
    file = write_sparse(home / "ink_high_noise.safetensors", shapes)
    assert main(["models", "check", str(file)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("ink_high_noise: a LoRA for Wan 2.2 TI2V 5B (rank 8, 98.6 kB, high noise); ")
    assert main(["models", "check", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"] == ["Wan 2.2 TI2V 5B"]
    file.write_bytes(file.read_bytes()[:-9])
    assert main(["models", "check", str(file)]) == 2
    assert "ink_high_noise.safetensors is cut off: " in capsys.readouterr().err


def test_a_broken_model_is_not_added(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny_video(home / "video")
    weights = home / "video" / "transformer" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:3000])
    adding = ["models", "add", "tiny", "--folder", str(home / "video")]
    assert main(adding) == 2
    assert "is cut off: 3,000 of " in capsys.readouterr().err
    assert not list((home / "entries").glob("*"))
    weights.write_bytes(whole)
    assert main(adding) == 0


def test_a_file_that_is_no_model_is_told_alike_by_check_and_render(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    (home / "story.yaml").write_text("title: A\nshots: [{caption: a fox runs, seconds: 0.5}]\n")
    key = "diffusion_model.blocks.0.self_attn.q"
    shapes = {f"{key}.lora_A.weight": (8, 3072), f"{key}.lora_B.weight": (3072, 8)}
    write_sparse(home / "ink.safetensors", shapes)
    cut = home / "cut.safetensors"
    cut.write_bytes((home / "ink.safetensors").read_bytes()[:-9])
    (home / "empty.safetensors").touch()
    for name in ("cut", "empty"):
        assert main(["models", "check", f"{name}.safetensors"]) == 2
        told = capsys.readouterr().err
        assert main(["render", "story.yaml", "--model", f"{name}.safetensors"]) == 1
        assert capsys.readouterr().err == told
    assert main(["render", "story.yaml", "--model", "ink.safetensors"]) == 1
    assert "ink.safetensors is a LoRA for Wan 2.2 TI2V 5B and no model" in capsys.readouterr().err


def test_a_model_that_starts_from_pictures_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wan_i2v_folder(home / "pictures")
    save_tiny_video(home / "video")
    assert main(["models", "check", str(home / "pictures")]) == 0
    assert "; every shot needs a first frame\n" in capsys.readouterr().out
    assert main(["models", "check", str(home / "video")]) == 0
    assert "first frame\n" not in capsys.readouterr().out


def test_swapped_files_are_not_added(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_tiny_video(home / "video")
    weights = "diffusion_pytorch_model.safetensors"
    files = {part: str(home / "video" / part / weights) for part in ("transformer", "vae")}
    swapped = ["--transformer", files["vae"], "--vae", files["transformer"], "--config", str(home / "video")]
    assert main(["models", "add", "fox", *swapped]) == 2
    told = capsys.readouterr().err
    assert "is no vae, but a transformer; name it by --transformer of moc-studio models add, and" in told
    assert not list((home / "entries").glob("*"))
    right = ["--transformer", files["transformer"], "--vae", files["vae"], "--config", str(home / "video")]
    assert main(["models", "add", "fox", *right]) == 0


@pytest.mark.parametrize(
    ("count", "words"),
    [(14_288_000_000, "14.3 B"), (5_400_000, "5.4 M"), (21_400, "21.4 k"), (12, "12")],
)
def test_parameters_are_counted_in_units_that_fit(count: int, words: str) -> None:
    assert parameters_in_words(count) == f"{words} parameters"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "/no/hub/id"], "'/no/hub/id' is no name of a model on the hub"),
        (["add", "fox", "--vae", "x"], "a model of files needs at least its transformer"),
        (["add", "KlingTeam/ShotStream"], "ShotStream cannot be used: it is published as pickles"),
        (["remove", "nothing"], "there is no model nothing"),
        (["check", "/nowhere"], "there is no folder /nowhere"),
        (["add", "some/model", "--offline"], "the hub is not asked for it (--offline or HF_HUB_OFFLINE)"),
    ],
)
def test_what_cannot_be_done_is_told(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["models", *arguments]) in (1, 2)
    assert words in capsys.readouterr().err
