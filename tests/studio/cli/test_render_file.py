"""What becomes of a film's folder over several renders of a storyboard file that is edited in between."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from studio.cli.main import main
from studio.store.upgrade import open_database
from tests.fakes.renderer import FakeRenderer

ONE = "{caption: Mira waves, seconds: 1}"
TWO = "{caption: Otto sits, seconds: 0.5}"
THREE = "{caption: Mira and Otto dance, seconds: 1.5}"


def story(*shots: str, **film: object) -> str:
    """A storyboard file with these shots."""
    head = {
        "title": "A test",
        "size": "96x64",
        "fps": 8,
        "cast": [{"name": "Mira"}, {"name": "Otto"}],
        **film,
    }
    return "\n".join((*(f"{name}: {json.dumps(value)}" for name, value in head.items()), "shots:")) + "".join(
        f"\n  - {shot}" for shot in shots
    )


def locked(shot: str) -> str:
    return shot.replace("}", ", lock: true}")


class Film:
    """A film's folder, and what the last render of it told and asked of the renderer."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.code = -1
        self.told = ""
        self.rendered: list[int] = []
        self._capsys = capsys

    def render(
        self, text: str, *more: str, before_step: Callable[[int, int], None] = lambda shot, step: None
    ) -> dict[int, str]:
        """Renders the storyboard; returns the take of each shot in the film by number."""
        file = self.folder.parent / "story.yaml"
        file.write_text(text)
        renderer = FakeRenderer(before_step)
        arguments = ["render", str(file), "--out", str(self.folder), "--json", *more]
        self.code = main(arguments, make_renderer=lambda model: renderer)
        self.rendered = [request.shot + 1 for request in renderer.requests]
        out, self.told = self._capsys.readouterr()
        return {shot["number"]: shot["take"] for shot in json.loads(out)["shots"]} if out else {}

    def artifacts(self, suffix: str) -> list[Path]:
        return sorted((self.folder / ".studio" / "artifacts").glob(f"*/*{suffix}"))


@pytest.fixture
def film(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Film:
    return Film(tmp_path / "film", capsys)


def fail_at(shot: int, error: Exception) -> Callable[[int, int], None]:
    """Raises an error while the shot with this number is rendered."""

    def before_step(index: int, step: int) -> None:
        if index + 1 == shot:
            raise error

    return before_step


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_keeps_finished_takes(film: Film, number: int) -> None:
    text = story(ONE, TWO, THREE)
    film.render(text, before_step=fail_at(3, OSError(number, os.strerror(number))))
    assert (film.code, film.rendered) == (1, [1, 2, 3])
    assert sorted(path.name[:2] for path in (film.folder / "takes").iterdir()) == ["01", "02"]
    film.render(text, "--resume")
    assert (film.code, film.rendered) == (0, [3])


def test_the_shots_after_one_that_failed_are_not_rendered(film: Film) -> None:
    film.render(story(ONE, TWO, THREE), before_step=fail_at(2, MemoryError()))
    assert (film.code, film.rendered) == (1, [1, 2])
    assert "ran out of memory" in film.told.splitlines()[-1]


def test_nothing_is_left_where_nothing_was_rendered(film: Film) -> None:
    film.render(story(ONE), before_step=fail_at(1, MemoryError()))
    assert film.code == 1
    assert not film.folder.exists()


def test_a_render_that_fails_leaves_the_earlier_film_and_its_takes(film: Film) -> None:
    before = film.render(story(ONE, TWO, THREE))
    film.render(story(ONE, TWO, THREE, style="in the fog"), before_step=fail_at(2, MemoryError()))
    after = film.render(story(ONE, TWO, THREE, style="in the fog"), "--shots", "1", "--resume")
    assert (film.code, film.rendered) == (0, [])
    assert after[1] != before[1]
    assert (after[2], after[3]) == (before[2], before[3])


@pytest.mark.parametrize("suffix", [".mp4", ".safetensors", ".moc"])
def test_a_take_with_a_missing_or_cut_file_is_rendered_again(film: Film, suffix: str) -> None:
    text = story(ONE, TWO, THREE)
    takes = film.render(text)
    files = {path.read_bytes(): path for path in film.artifacts(suffix)}
    (cut,) = (film.folder / "takes" / f"02-{takes[2]}").glob(f"*{suffix}")
    (gone,) = (film.folder / "takes" / f"03-{takes[3]}").glob(f"*{suffix}")
    files[cut.read_bytes()].write_bytes(cut.read_bytes()[:-1])
    files[gone.read_bytes()].unlink()
    assert film.render(text, "--resume") == takes
    assert (film.code, film.rendered) == (0, [2, 3])


def test_rendering_the_same_again_leaves_one_take(film: Film) -> None:
    takes = film.render(story(ONE, TWO))
    assert film.render(story(ONE, TWO)) == takes
    assert film.rendered == [1, 2]
    assert len(list((film.folder / "takes").iterdir())) == 2


def test_a_skipped_shot_finds_its_take_again(film: Film) -> None:
    before = film.render(story(ONE, TWO, THREE))
    assert set(film.render(story(ONE, TWO.replace("}", ", skip: true}"), THREE))) == {1, 3}
    after = film.render(story(ONE, locked(TWO), locked(THREE), style="in the fog"))
    assert (after[2], film.rendered) == (before[2], [1])


def test_a_locked_take_goes_where_its_shot_goes(film: Film) -> None:
    before = film.render(story(ONE, TWO, THREE))
    after = film.render(story("{caption: a ball, seconds: 0.5}", locked(THREE), ONE, TWO))
    assert (after[2], film.rendered) == (before[3], [1, 3, 4])
    assert f"shot 2 is locked, though outdated: its take in {film.folder} is kept" in film.told


def test_a_lock_keeps_no_take_of_another_caption(film: Film) -> None:
    before = film.render(story(ONE, TWO, THREE))
    after = film.render(story(ONE, locked(TWO.replace("sits", "jumps")), THREE), "--resume")
    assert after[2] != before[2]
    assert "shot 2 is locked, but has no take of this caption yet: it is rendered" in film.told


def test_subtitles_are_those_of_the_takes_that_show(film: Film) -> None:
    film.render(story(ONE, TWO, THREE))
    edited = TWO.replace("sits", "jumps").replace("0.5", "3")
    film.render(story(ONE, edited, THREE), "--shots", "1")
    told = (film.folder / "a-test.srt").read_text()
    assert "00:00:01,000 --> 00:00:01,500\nOtto sits" in told
    assert "jumps" not in told


def test_the_studio_in_the_folder_is_one_like_any_other(
    film: Film, capsys: pytest.CaptureFixture[str]
) -> None:
    film.render(story(ONE, TWO))
    film.render(story(ONE, TWO.replace("sits", "jumps")), "--resume")
    root = str(film.folder / ".studio")
    assert main(["projects", "--json", "--root", root]) == 0
    (project,) = json.loads(capsys.readouterr().out)
    assert (project["title"], project["shots"]) == ("A test", 2)
    assert main(["export", "A test", str(film.folder / "x.mocz"), "--root", root]) == 0


def test_a_dry_run_changes_nothing_in_the_folder(film: Film) -> None:
    text = story(ONE, TWO, THREE)
    film.render(text)
    before = {path: path.read_bytes() for path in film.folder.rglob("*") if path.is_file()}
    planned = film.render(story(ONE, TWO.replace("sits", "jumps"), THREE), "--resume", "--dry-run")
    assert (film.rendered, list(planned)) == ([], [1, 2, 3])
    assert {path: path.read_bytes() for path in film.folder.rglob("*") if path.is_file()} == before


def test_a_dry_run_names_the_takes_that_a_render_makes(film: Film) -> None:
    text = story(ONE, TWO, THREE)
    planned = film.render(text, "--dry-run")
    assert planned == film.render(text)


def test_jobs_of_a_process_that_was_killed_do_not_hold_up_the_next(film: Film) -> None:
    text = story(ONE, TWO)
    film.render(text)
    database = open_database(film.folder / ".studio")
    try:
        _leave_running_job(database)
    finally:
        database.close()
    film.render(text)
    assert (film.code, film.rendered) == (0, [1, 2])


def test_one_process_at_a_time_renders_into_a_folder(film: Film, tmp_path: Path) -> None:
    codes: list[int] = []
    other = tmp_path / "other.yaml"
    other.write_text(story(TWO))

    def render_too(shot: int, step: int) -> None:
        if not codes:
            codes.append(main(["render", str(other), "--out", str(film.folder)]))

    takes = film.render(story(ONE, TWO), before_step=render_too)
    assert codes == [2]
    assert (film.code, film.rendered) == (0, [1, 2])
    assert len(takes) == 2
    assert film.render(story(ONE, TWO), "--resume") == takes


def _leave_running_job(database: Any) -> None:
    """Puts a job into the queue that a worker elsewhere holds."""
    from studio.jobs import claims, queue
    from studio.jobs.order import RenderOrder
    from studio.store import projects

    with database.write() as session:
        (project,) = projects.listed(session)
        shot = projects.project_of(session, project.id).board.shots[0].id
        queue.enqueue(session, project.id, [RenderOrder(shot=shot, reason="x", seconds=1.0)])
        assert claims.claim(session, "a worker elsewhere") is not None
