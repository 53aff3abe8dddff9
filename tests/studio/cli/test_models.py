from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.cli.main import main
from tests.fakes.models import save_tiny_video


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
