"""A film's folder of version 0.1: its takes are kept by a render, and its routing is shown."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from studio.cli.main import main
from studio.store.upgrade import open_database
from tests.fakes.renderer import FakeRenderer

OLD = Path(__file__).parents[2] / "data" / "version-0.1" / "film"
STORY = OLD / "storyboard.yaml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "film"))


def render(folder: Path, story: Path, *more: str) -> tuple[int, FakeRenderer]:
    renderer = FakeRenderer()
    arguments = ["render", str(story), "--out", str(folder), "--resume", *more]
    return main(arguments, make_renderer=lambda model: renderer), renderer


def test_resuming_renders_nothing_that_is_there(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, renderer = render(folder, STORY, "--json")
    assert (code, renderer.requests) == (0, [])
    shots = json.loads(capsys.readouterr().out)["shots"]
    assert [shot["rendered"] for shot in shots] == [False, False, False]
    old = {path.read_bytes() for path in OLD.glob("takes/*/clip.mp4")}
    assert {Path(shot["clip"]).read_bytes() for shot in shots} == old


def test_an_import_that_was_interrupted_is_repeated(folder: Path) -> None:
    open_database(folder / ".studio").close()
    code, renderer = render(folder, STORY)
    assert (code, renderer.requests) == (0, [])


def test_an_edited_shot_is_rendered_with_the_takes_before_it(folder: Path, tmp_path: Path) -> None:
    story = tmp_path / "story.yaml"
    story.write_text(STORY.read_text().replace("Mira and Otto dance", "Mira and Otto run"))
    code, renderer = render(folder, story)
    assert (code, [request.shot for request in renderer.requests]) == (0, [2])
    assert [take.shot for take in renderer.requests[0].context] == [0, 1]


def test_a_cut_take_is_rendered_again(folder: Path) -> None:
    (clip,) = folder.glob("takes/03-*/clip.mp4")
    clip.write_bytes(clip.read_bytes()[:-1])
    code, renderer = render(folder, STORY)
    assert (code, [request.shot for request in renderer.requests]) == (0, [2])


def test_a_dry_run_and_routing_leave_the_folder_as_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    code, renderer = render(folder, STORY, "--dry-run")
    assert (code, renderer.requests) == (0, [])
    assert "0 of 3 shots to render" in capsys.readouterr().out
    assert main(["routing", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "Shot 3: Mira and Otto dance on the beach" in told
    assert "went to shot 1: Mira walks right on the beach" in told
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "3",
        "[" * 100_000,
        '{"format": 99, "shots": []}',
        '{"format": 1, "title": "x", "film": null}',
        '{"format": 1, "title": "x", "film": null, "shots": 3}',
        '{"format": 1, "title": "x", "film": null, "shots": [3]}',
        '{"format": 1, "title": "x", "film": null, "shots": [{"caption": "x", "take": ["y"]}]}',
    ],
)
def test_a_damaged_record_is_refused(folder: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "film.json").write_text(content)
    assert render(folder, STORY)[0] == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"moc-studio: {folder / 'film.json'} ")
    assert not (folder / ".studio").exists()


@pytest.mark.parametrize(
    "damage", [{"frames": "many"}, {"timings": None}, {"context": [[1]]}, {"inputs": {}}, {"bytes": {}}]
)
def test_a_take_with_a_damaged_record_is_rendered_again(folder: Path, damage: dict[str, object]) -> None:
    (record,) = folder.glob("takes/03-*/take.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), **damage}))
    code, renderer = render(folder, STORY)
    assert (code, [request.shot for request in renderer.requests]) == (0, [2])
