from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.cli.main import main
from tests.fakes.renderer import FakeRenderer

STORY = """\
title: A test
size: 96x64
fps: 8
shots:
  - {caption: a ball, seconds: 0.5}
  - {caption: a kite, seconds: 0.5}
  - {caption: a gift, seconds: 0.5, bans: [1]}
"""

HALF = "  50% of its attention stayed in the shot, 50% went to what came before."


@pytest.fixture
def film(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    story = tmp_path / "story.yaml"
    story.write_text(STORY)
    out = tmp_path / "film"
    assert main(["render", str(story), "--out", str(out)], make_renderer=lambda model: FakeRenderer()) == 0
    capsys.readouterr()
    return out


def test_links_are_told_in_words(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routing", str(film)]) == 0
    assert capsys.readouterr().out == (
        "Shot 1: a ball\n"
        "  It saw no earlier shot: everything in it is its own.\n"
        "Shot 2: a kite\n"
        f"{HALF} The set drew most from the\n"
        "  set in shot 1: 100% of what it took from earlier shots, the first choice of 100% of the heads.\n"
        "   50% went to shot 1: a ball\n"
        "        the set ← the set (25%)\n"
        "        all other parts together (25%)\n"
        "Shot 3: a gift\n"
        f"{HALF} The set drew most from the\n"
        "  set in shot 2: 100% of what it took from earlier shots, the first choice of 100% of the heads.\n"
        "   50% went to shot 2: a kite\n"
        "        the set ← the set (25%)\n"
        "        all other parts together (25%)\n"
        "  banned: shot 1\n"
    )


def test_links_follow_takes_that_moved(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    locked = STORY.replace("a kite, ", "a kite, lock: true, ").replace("bans: [1]", "lock: true")
    story = film.parent / "story.yaml"
    story.write_text(locked.replace("shots:\n", "shots:\n  - {caption: a star, seconds: 0.5}\n"))
    arguments = ["render", str(story), "--out", str(film)]
    assert main(arguments, make_renderer=lambda model: FakeRenderer()) == 0
    capsys.readouterr()
    assert main(["routing", str(film)]) == 0
    told = capsys.readouterr().out
    assert told[told.index("Shot 3") :] == (
        "Shot 3: a kite\n"
        f"{HALF} The set drew most from the\n"
        "  set in a take the film no longer shows: 100% of what it took from earlier shots, "
        "the first choice of\n"
        "  100% of the heads.\n"
        "   50% went to a take the film no longer shows: a ball\n"
        "        the set ← the set (25%)\n"
        "        all other parts together (25%)\n"
        "Shot 4: a gift\n"
        f"{HALF} The set drew most from the\n"
        "  set in shot 3: 100% of what it took from earlier shots, the first choice of 100% of the heads.\n"
        "   50% went to shot 3: a kite\n"
        "        the set ← the set (25%)\n"
        "        all other parts together (25%)\n"
        "  banned: a take the film no longer shows\n"
    )
    assert main(["routing", str(film), "--json"]) == 0
    shots = json.loads(capsys.readouterr().out)["shots"]
    assert [[link["shot"] for link in shot["links"]] for shot in shots] == [[], [1], [None], [3]]
    assert {(shot["backend"], shot["backend_choice"]) for shot in shots} == {("fake", None)}


def test_a_skipped_shot_is_not_in_the_film(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = film.parent / "story.yaml"
    story.write_text(STORY.replace("a kite,", "a kite, skip: true,").replace("bans: [1]", "lock: true"))
    arguments = ["render", str(story), "--out", str(film)]
    assert main(arguments, make_renderer=lambda model: FakeRenderer()) == 0
    capsys.readouterr()
    assert main(["routing", str(film)]) == 0
    told = capsys.readouterr().out
    assert "Shot 2" not in told
    assert "went to a take the film no longer shows: a kite" in told
    assert "banned: shot 1" in told


def test_links_of_one_shot_as_json(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routing", str(film), "--shot", "2", "--json"]) == 0
    (shot,) = json.loads(capsys.readouterr().out)["shots"]
    assert (shot["number"], shot["caption"], shot["captions"]) == (2, "a kite", None)
    (link,) = shot["links"]
    assert link["shot"] == 1
    assert link["share"] + shot["own"] == pytest.approx(1)


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet", "html"])
def test_tables_and_pages_are_written_beside_each_other(
    film: Path, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "tables"
    assert main(["routing", str(film), "--format", kind, "--out", str(out)]) == 0
    paths = [out / f"shot-{number:02}.{kind}" for number in (1, 2, 3)]
    assert capsys.readouterr().out.split() == [str(path) for path in paths]
    starts = {"csv": b"layer,heads,", "npz": b"PK", "parquet": b"PAR1", "html": b"<!doctype html>"}
    assert all(path.read_bytes().startswith(starts[kind]) for path in paths)
    assert main(["routing", str(film), "--format", kind, "--out", str(paths[0] / "below")]) == 1
    assert "shot-01" in capsys.readouterr().err


def test_a_shot_that_is_not_there(film: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routing", str(film), "--shot", "9"]) == 2
    assert capsys.readouterr().err == f"moc-studio: --shot: {film} holds no take of shot 9\n"


def test_a_folder_without_a_film(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routing", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"moc-studio: {tmp_path} holds no film: ")


def test_a_damaged_trace_is_told_and_the_others_are_shown(
    film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy,) = film.glob("takes/02-*/trace.moc")
    for trace in film.glob(".studio/artifacts/*/*.moc"):
        if trace.read_bytes() == copy.read_bytes():
            trace.write_bytes(b"x" * copy.stat().st_size)
    assert main(["routing", str(film)]) == 1
    told = capsys.readouterr()
    assert told.err.startswith("moc-studio: shot 2: ")
    assert "Shot 3: a gift" in told.out
