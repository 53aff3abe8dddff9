"""A studio from the command line alone: from a storyboard to the film, and everything on the way."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from moc_engine.errors import OutOfMemory
from studio.cli.main import main
from studio.service.studio import Service
from studio.store.upgrade import open_database
from tests.fakes.renderer import FakeRenderer, write_clip
from tests.fakes.s3 import S3
from tests.fakes.unknown_model import UNKNOWN_MODEL
from tests.fakes.wan_folders import wan_i2v_folder

STORY = """\
title: A test
size: 96x64
fps: 8
cast: [{name: Mira}, {name: Otto}]
shots:
  - {caption: Mira waves on the beach, seconds: 1}
  - {caption: Otto runs on the beach, seconds: 1, trim: 0.5}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on a studio of its own, with a renderer that draws flat colours."""

    def _run(*arguments: str, renderer: FakeRenderer | None = None) -> tuple[int, str, str]:
        code = main(
            [*arguments, "--root", str(tmp_path / "studio")],
            make_renderer=lambda model: renderer or FakeRenderer(),
        )
        told = capsys.readouterr()
        return code, told.out, told.err

    return _run


@pytest.fixture
def project(run: Run, tmp_path: Path) -> str:
    (tmp_path / "story.yaml").write_text(STORY)
    code, out, _ = run("import", str(tmp_path / "story.yaml"))
    assert code == 0
    return out.strip()


def test_an_import_tells_which_loras_cannot_be_used(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "ink.yaml"
    file.write_text(STORY + "settings: {loras: [nowhere.safetensors, maker/ink/ink.safetensors]}\n")
    code, out, err = run("import", str(file))
    assert (code, len(out.split())) == (0, 1)
    assert err == "there is no LoRA file nowhere.safetensors\n"  # one of the hub is downloaded by a render


def test_projects_are_listed(run: Run, project: str) -> None:
    assert run("new", "Another")[0] == 0
    listed = json.loads(run("projects", "--json")[1])
    assert [(p["title"], p["shots"]) for p in listed] == [("Another", 0), ("A test", 2)]
    assert f"{project}  " in run("projects")[1]


def test_where_there_is_no_studio_none_is_made(run: Run, tmp_path: Path) -> None:
    for command in ("projects", "backup", "gc"):
        code, out, err = run(command)
        assert (code, out) == (2, "")
        assert "there is no studio in" in err
    assert not (tmp_path / "studio").exists()


def test_from_a_storyboard_to_the_film(run: Run, project: str, tmp_path: Path) -> None:
    code, out, _ = run("render", "--project", "A test")
    assert code == 0
    assert [line.split("\t")[:2] for line in out.splitlines()] == [["1", "done"], ["2", "done"]]
    film = tmp_path / "film.mp4"
    assert run("export", project, str(film)) == (0, f"{film}\n", "")
    with av.open(film) as container:
        assert sum(1 for _ in container.decode(video=0)) == 16
    for ending in (".srt", ".vtt", ".png", ".yaml", ".mocz"):
        assert run("export", project, str(tmp_path / f"x{ending}"))[0] == 0
    code, out, _ = run("import", str(tmp_path / "x.mocz"))
    assert code == 0
    again = tmp_path / "again.mocz"
    run("export", out.strip(), str(again))
    assert again.read_bytes() == (tmp_path / "x.mocz").read_bytes()


def test_a_film_is_imported_as_its_project(run: Run, project: str, tmp_path: Path) -> None:
    run("render", "--project", project)
    film = tmp_path / "Film.MP4"
    assert run("export", project, str(film))[0] == 0
    code, out, _ = run("import", str(film))
    assert code == 0
    written = [tmp_path / name for name in ("before.yaml", "after.yaml")]
    for name, path in zip((project, out.strip()), written, strict=True):
        assert run("export", name, str(path))[0] == 0
    assert written[0].read_text() == written[1].read_text()


def test_a_film_without_a_recipe_is_refused(run: Run, project: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "foreign.mp4", (9, 9, 9), seconds=0.5, fps=4.0, size=(64, 64))
    code, out, err = run("import", str(tmp_path / "foreign.mp4"))
    assert (code, out) == (2, "")
    assert "carries no recipe" in err


def test_only_what_is_asked_for_is_rendered(run: Run, project: str) -> None:
    renderer = FakeRenderer()
    assert run("render", "--project", project, "--shots", "2", renderer=renderer)[0] == 0
    assert [request.shot for request in renderer.requests] == [1]
    planned = json.loads(run("render", "--project", project, "--dry-run", "--json")[1])
    assert [shot["index"] for shot in planned] == [0]
    assert len(renderer.requests) == 1


def test_a_dry_run_of_a_project_tells_what_would_go_wrong(run: Run, tmp_path: Path) -> None:
    wan_i2v_folder(tmp_path / "i2v")
    story = tmp_path / "i2v.yaml"
    shots = STORY.replace("seconds: 1, trim: 0.5", "seconds: 1, first_frame: previous")
    story.write_text(f"{shots}settings: {{model: {tmp_path / 'i2v'}}}\n")
    project = run("import", str(story))[1].strip()
    words = "problem: shot 1: the model starts every shot from a picture"
    for asked, told in (
        ((), [words]),
        (("--json",), [words]),
        (("--shots", "2"), ["problem: shot 2: it starts with the last frame of shot 1, which has no take"]),
        (("--lane", "draft"), []),
    ):
        code, _, err = run("render", "--project", project, "--dry-run", *asked)
        found = [line for line in err.splitlines() if line.startswith("problem")]
        assert [line.partition(": give")[0] for line in found] == told
        assert code == len(told)


def test_a_failed_shot_is_told(run: Run, project: str) -> None:
    def fail(shot: int, step: int) -> None:
        raise OutOfMemory("a smaller size needs less")

    code, _, err = run("render", "--project", project, renderer=FakeRenderer(fail))
    assert code == 1
    assert "shot 1: failed, a smaller size needs less" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("render",), "render a FILE.yaml or, with --project"),
        (("render", "x.yaml", "--project", "A test"), "render a FILE.yaml or, with --project"),
        (("render", "--project", "Nothing"), "there is no project 'Nothing'"),
        (("render", "--project", "A test", "--steps", "3"), "--steps is for files"),
        (("render", "--project", "A test", "--shots", "9"), "shots 1–2"),
        (("render", "--project", "A test", "--lane", "draft"), "drafts and finals have the same model"),
        (("render", "x.yaml", "--lane", "draft"), "--lane is for projects"),
        (("routing", "A test", "--lane", "draft"), "drafts and finals have the same model"),
        (("export", "A test", "film.avi"), "must end in"),
        (("export", "A test", "film.mp4"), "shots 1, 2 have no take yet"),
        (("import", "nothing.yaml"), "there is no file"),
    ],
)
def test_wrong_use_is_one_clear_line(run: Run, project: str, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.splitlines()) == 1


def test_backup_and_gc(run: Run, project: str, tmp_path: Path) -> None:
    run("render", "--project", project)
    backup = Path(run("backup")[1].strip())
    assert backup.read_bytes()[:15] == b"SQLite format 3"
    code, out, err = run("gc", "--dry-run")
    assert (code, out) == (0, "")
    assert err.startswith("nothing to free: ")
    orphan = tmp_path / "studio" / "artifacts" / "00" / f"{'0' * 64}.mp4"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(bytes(2500))
    os.utime(orphan, (0, 0))
    line = f"{orphan} (2.5 kB): no take uses it\n2.5 kB "
    assert run("gc", "--dry-run")[1] == f"{line}would be freed\n"
    assert orphan.exists()
    assert run("gc")[1] == f"{line}freed\n"
    assert not orphan.exists()


def test_gc_empties_the_bin_and_deletes_discarded_takes(run: Run, project: str, tmp_path: Path) -> None:
    run("render", "--project", project)
    database = open_database(tmp_path / "studio")
    Service(tmp_path / "studio", database).projects.trash(project)
    database.close()
    for file in (tmp_path / "studio" / "artifacts").rglob("*.*"):
        os.utime(file, (0, 0))
    told = run("gc", "--dry-run", "--empty-bin", "--discarded")[1]
    assert "only projects in the bin use it" in told
    assert project in run("projects")[1]
    assert run("gc", "--empty-bin", "--discarded")[1] == told.replace("would be freed", "freed")
    assert project not in run("projects")[1]
    assert [file for file in (tmp_path / "studio" / "artifacts").rglob("*") if file.is_file()] == []


def test_the_sample_is_made_once(run: Run) -> None:
    renderer = FakeRenderer()
    assert run("sample", renderer=renderer)[0] == 0
    assert len(renderer.requests) == 8
    (listed,) = json.loads(run("projects", "--json")[1])
    assert listed["title"] == "The red kite"
    assert run("sample", renderer=renderer)[0] == 0
    assert len(renderer.requests) == 8


def test_the_routing_of_a_project_is_told(run: Run, project: str) -> None:
    assert run("routing", project) == (2, "", f"moc-studio: {project}: no shot is rendered yet\n")
    assert run("render", "--project", project)[0] == 0
    code, told, _ = run("routing", project, "--shot", "2")
    assert code == 0
    assert told.startswith("Shot 2: Otto runs on the beach\n  50% of its attention stayed in the shot")
    assert " 50% went to shot 1: Mira waves on the beach\n" in told
    (shot,) = json.loads(run("routing", project, "--shot", "2", "--json")[1])["shots"]
    assert [(link["shot"], round(link["share"], 2)) for link in shot["links"]] == [(1, 0.5)]


def test_a_lane_is_rendered_that_the_project_does_not_work_on(run: Run, tmp_path: Path) -> None:
    story = tmp_path / "lanes.yaml"
    story.write_text(f"{STORY}settings: {{model: {UNKNOWN_MODEL}}}\n")
    project = run("import", str(story))[1].strip()
    asked = ("render", "--project", project, "--shots", "1")
    assert "1 of 2 shots to render as drafts" in run(*asked, "--lane", "draft", "--dry-run")[2]
    code, out, _ = run(*asked, "--lane", "draft")
    number, state, take = out.strip().split("\t")
    assert (code, number, state, bool(take)) == (0, "1", "done", True)
    told = json.loads(run("routing", project, "--lane", "draft", "--json")[1])
    assert [shot["take"] for shot in told["shots"]] == [take]
    assert "no shot is rendered yet" in run("routing", project, "--lane", "final")[2]
    planned = json.loads(run(*asked, "--lane", "final", "--dry-run", "--json")[1])
    assert [(shot["index"], shot["lane"]) for shot in planned] == [(0, "final")]


def test_a_studio_may_keep_its_files_in_object_storage(run: Run, tmp_path: Path, s3: S3) -> None:
    (tmp_path / "story.yaml").write_text(STORY)
    place = s3.new_place()
    in_s3 = ("--artifacts", place, "--artifact-cache", "0.001")
    project = run("import", str(tmp_path / "story.yaml"), *in_s3)[1].strip()
    assert run("render", "--project", project, *in_s3)[0] == 0
    stored = s3.objects(place)
    assert sorted(Path(key).suffix for key in stored) == sorted([".jpg", ".mp4", ".moc", ".safetensors"] * 2)
    assert not (tmp_path / "studio" / "artifacts").exists()
    for file in ("film.mp4", "film.mocz", "film.png"):
        code, out, _ = run("export", project, str(tmp_path / file), *in_s3)
        assert (code, out) == (0, f"{tmp_path / file}\n")
    code, out, _ = run("routing", project, *in_s3)
    assert (code, bool(out)) == (0, True)
    assert run("import", str(tmp_path / "film.mocz"), *in_s3)[0] == 0
    assert s3.objects(place) == stored
    s3.change(place, f"00/{'0' * 64}.mp4", bytes(2500))
    s3.age(place)
    told = f"{place.partition('?')[0]}/00/{'0' * 64}.mp4 (2.5 kB): no take uses it\n2.5 kB freed\n"
    assert run("gc", *in_s3)[1] == told
    assert s3.objects(place) == stored


def test_object_storage_that_is_not_there_is_told(run: Run, s3: S3) -> None:
    place = f"s3://nowhere/films?endpoint_url={s3.endpoint}"
    code, out, err = run("new", "A film", "--artifacts", place)
    assert (code, out) == (1, "")
    assert "s3://nowhere/films: there is no bucket nowhere" in err


def test_files_are_rendered_into_their_own_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "story.yaml").write_text(STORY)
    command = ["render", str(tmp_path / "story.yaml"), "--artifacts", str(tmp_path / "elsewhere")]
    assert main(command) == 2


def test_files_are_taken_to_object_storage_and_back(run: Run, project: str, tmp_path: Path, s3: S3) -> None:
    run("render", "--project", project)
    folder, place = tmp_path / "studio" / "artifacts", s3.new_place()
    before = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.glob("*/*")}
    lost = next(file for file in folder.glob("*/*.jpg"))
    lost.unlink()
    code, out, err = run("artifacts", "move", place)
    assert (code, err) == (0, f"{lost.name} was missing before\n")
    assert out.startswith(f"{len(before) - 1} files (")
    del before[f"{lost.parent.name}/{lost.name}"]
    assert s3.objects(place) == before
    code, _, err = run("projects")
    assert code == 2
    assert f"the files of this studio are in {place.partition('?')[0]}, not in the studio's folder" in err
    assert run("export", project, str(tmp_path / "film.mp4"), "--artifacts", place)[0] == 0
    shutil.rmtree(folder)
    assert run("artifacts", "move", str(folder), "--artifacts", place)[0] == 0
    assert {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.glob("*/*")} == before
    assert run("projects")[0] == 0
    assert run("artifacts", "move", str(folder))[0] == 2
