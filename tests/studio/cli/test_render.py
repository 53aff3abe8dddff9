from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from moc_engine.contract import Renderer
from moc_engine.errors import OutOfMemory
from studio.cli.main import main
from studio.exchange.mp4 import recipe_in
from tests.fakes.renderer import FakeRenderer

ROOT = Path(__file__).parents[3]
STORY = """\
title: A test
size: 96x64
fps: 8
cast: [{name: Mira, look: a red round creature}, {name: Otto}]
shots:
  - {caption: Mira waves on the beach, seconds: 1}
  - {caption: Otto gallops on the beach, seconds: 0.5}
  - {caption: Mira and Otto dance, seconds: 1.5, pins: [1], bans: [2]}
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def story(tmp_path: Path) -> Path:
    path = tmp_path / "story.yaml"
    path.write_text(STORY)
    return path


@pytest.fixture
def run(tmp_path: Path, story: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `moc-studio render story.yaml --out …/film` with more arguments and a fake renderer."""

    def _run(*more: str, renderer: Renderer | None = None) -> tuple[int, str, str]:
        arguments = ["render", str(story), "--out", str(tmp_path / "film"), *more]
        try:
            code = main(arguments, make_renderer=lambda model: renderer or FakeRenderer())
        except SystemExit as end:  # argparse
            code = int(end.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return _run


def test_prints_the_films_path_and_nothing_else(run: Run, tmp_path: Path) -> None:
    code, out, err = run()
    film = tmp_path / "film" / "a-test.mp4"
    assert (code, out) == (0, f"{film}\n")
    with av.open(film) as container:
        assert len(list(container.decode(video=0))) == 24
    recipe = recipe_in(film)
    assert recipe["storyboard"]["title"] == "A test"
    assert len(recipe["takes"]) == 3
    assert "shot 3 of 3 done" in err


def test_names_words_the_model_does_not_know(run: Run) -> None:
    _, _, err = run()
    assert "shot 2: the model does not know 'gallops' (letter 6)\n" in err
    assert "    Otto gallops on the beach\n         ^^^^^^^\n" in err


def test_a_misspelt_word_comes_with_what_may_be_meant(run: Run, story: Path) -> None:
    story.write_text(STORY.replace("gallops", "jummps"))
    assert "does not know 'jummps' (letter 6); did you mean 'jumps'?\n" in run()[2]


def test_many_unknown_words_of_a_caption_are_told_together(run: Run, story: Path) -> None:
    story.write_text(STORY.replace("Otto gallops on the beach", "Otto tanzt heute wieder lustig"))
    err = run()[2]
    assert "shot 2: the model does not know 4 words of this text\n" in err
    assert "    Otto tanzt heute wieder lustig\n         ^^^^^ ^^^^^ ^^^^^^ ^^^^^^\n" in err


def test_says_who_does_not_fit_into_a_shot(run: Run, story: Path) -> None:
    story.write_text(
        STORY.replace("{name: Otto}", "{name: Otto}, {name: Bo}, {name: Zed}").replace(
            "Mira and Otto dance", '"Mira, Otto, Bo and Zed dance"'
        )
    )
    err = run()[2]
    assert "shot 3 may show 3 of its cast at most, without Zed\n" in err
    assert "shot 1 may show" not in err


def test_a_take_of_another_seed_says_how_to_keep_it_and_when_it_is_left(run: Run) -> None:
    run()
    again = run("--shots", "3", "--seed", "9")[2]
    told = r"shot 3 is rendered with another seed: to keep the take, write seed: (\d+) into the shot"
    assert re.search(told, again) is not None
    assert "to keep" not in run("--resume")[2]
    run("--shots", "3", "--seed", "9")
    assert "shot 3 is back at an earlier take" in run("--resume")[2]


def test_tells_everything_as_json(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("--json")
    told = json.loads(out)
    assert code == 0
    assert (told["frames"], told["seconds"], told["size"], told["fps"]) == (24, 3.0, [96, 64], 8.0)
    assert [shot["number"] for shot in told["shots"]] == [1, 2, 3]
    assert told["shots"][2]["context"] == [1, 2]
    assert [word["word"] for word in told["unknown_words"]] == ["gallops"]
    for name in ("film", "subtitles", "captions", "contact_sheet"):
        assert Path(told[name]).is_relative_to(tmp_path)
        assert Path(told[name]).stat().st_size
    for shot in told["shots"]:
        assert all(Path(shot[name]).exists() for name in ("clip", "latents", "trace"))


def test_a_dry_run_renders_nothing(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("--dry-run")
    assert code == 0
    assert not (tmp_path / "film").exists()
    last = out.splitlines()[-3:]
    assert last[0].startswith("3 of 3 shots to render, in about ")
    assert last[1] == "in 2 waves, side by side within each: shot 1; shots 2 and 3"  # 3 bans 2
    assert last[2].startswith("about ")
    assert last[2].endswith(" with 8 workers")
    told = json.loads(run("--dry-run", "--json")[1])
    assert [shot["action"] for shot in told["shots"]] == ["render"] * 3
    assert told["estimated_seconds"] == pytest.approx(
        sum(s["estimated_seconds"] for s in told["shots"]), abs=0.1
    )
    assert told["schedule"]["waves"] == [[0], [1, 2]]


def test_a_dry_run_tells_which_shots_run_side_by_side_and_the_time_of_several_workers(run: Run) -> None:
    code, out, _ = run("--dry-run", "--context", "finished", "--workers", "2")
    last = out.splitlines()[-3:]
    assert (code, last[0]) == (
        0,
        "in 2 waves, side by side within each: shots 1 and 2; shot 3",
    )  # which is pinned
    assert last[1].startswith("about ")
    assert last[1].endswith(" with 2 workers")
    assert last[2].startswith("context: finished with 2 workers: shots see ")
    assert "--workers" in run("--workers", "2")[2]
    assert run("--dry-run", "--workers", "0")[0] == 2


def test_resume_renders_what_an_edit_outdated(run: Run, story: Path) -> None:
    run()
    assert run("--resume", renderer=FakeRenderer(lambda shot, step: pytest.fail("nothing to do")))[0] == 0
    story.write_text(STORY.replace("gallops", "jumps"))
    renderer = FakeRenderer()
    run("--resume", renderer=renderer)
    assert [request.shot for request in renderer.requests] == [1, 2]


def test_without_resume_everything_is_rendered_again(run: Run) -> None:
    run()
    renderer = FakeRenderer()
    run(renderer=renderer)
    assert [request.shot for request in renderer.requests] == [0, 1, 2]


def test_only_some_shots(run: Run) -> None:
    renderer = FakeRenderer()
    code, _, err = run("--shots", "1, 3-3", "--json", renderer=renderer)
    assert code == 0
    assert [request.shot for request in renderer.requests] == [0, 2]
    assert [take.shot for take in renderer.requests[1].context] == [0]
    assert "shot 2 is not rendered yet: the film goes without it" in err
    renderer = FakeRenderer()
    told = json.loads(run("--resume", "--json", renderer=renderer)[1])
    assert [request.shot for request in renderer.requests] == [1, 2]
    assert [shot["rendered"] for shot in told["shots"]] == [False, True, True]


def test_overrides(run: Run) -> None:
    renderer = FakeRenderer()
    options = (
        "--seed",
        "5",
        "--steps",
        "3",
        "--size",
        "64x96",
        "--fps",
        "12",
        "--top-k",
        "7",
        "--full-below",
        "auto",
        "--router",
        "window",
    )
    told = json.loads(run(*options, "--json", renderer=renderer)[1])
    first = renderer.requests[0]
    assert (first.size, first.fps) == ((64, 96), 12.0)
    assert (first.sampler.steps, first.routing.top_k) == (3, 7)
    assert [request.routing.full_below for request in renderer.requests] == [None, "auto", "auto"]
    assert [request.routing.router for request in renderer.requests] == [None, "window", "window"]
    assert told["shots"][0]["seed"] != json.loads(run("--json")[1])["shots"][0]["seed"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--shots", "4"), "--shots: the storyboard has shots 1–3, got '4'"),
        (("--shots", "0"), "--shots: the storyboard has shots 1–3"),
        (("--shots", "3-1"), "--shots: the storyboard has shots 1–3"),
        (("--shots", "1,,2"), "--shots: numbers and ranges"),
        (("--shots", "-1"), "--shots"),
        (("--shots", ""), "--shots: numbers and ranges"),
        (("--shots", "1\n\x1b2"), "--shots: numbers and ranges such as 1,3-5 are wanted, got '1 �2'"),
        (("--size", "96"), "--size: must be WIDTHxHEIGHT"),
        (("--size", "97x64"), "--size: the width must be even"),
        (("--size", "100000x64"), "--size: the width must lie within 64–4096"),
        (("--fps", "0"), "--fps: must lie within 1–60"),
        (("--fps", "nan"), "--fps: must be a number or a fraction"),
        (("--fps", "fast"), "--fps: must be a number or a fraction such as 24000/1001, got 'fast'"),
        (("--steps", "0"), "--steps: must lie within 1–1000"),
        (("--full-below", "never"), "--full-below: must be a number of tokens or 'auto', got 'never'"),
        (("--router", "moba"), "argument --router: invalid choice: 'moba'"),
        (("--top-k", "-1"), "--top-k: must lie within 0–10000"),
        (("--seed", "-1"), "--seed: must be a whole number from 0"),
        (("--seed", "x"), "argument --seed: invalid int value"),
        (("--wrong",), "unrecognized arguments: --wrong"),
    ],
)
def test_wrong_use_is_one_clear_line(run: Run, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("moc-studio: ")
    assert says in err
    assert err.count("\n") == 1
    assert not (tmp_path / "film").exists()


def test_a_bad_storyboard_names_file_and_line(run: Run, story: Path, tmp_path: Path) -> None:
    story.write_text(STORY.replace("seconds: 0.5", "seconds: -1"))
    code, out, err = run()
    assert (code, out) == (2, "")
    assert err == f"moc-studio: {story}:7: shot 2, seconds: must lie within 0.5–60 s, got -1\n"
    assert not (tmp_path / "film").exists()


def test_a_router_that_renders_cannot_use_is_told_before_anything_runs(run: Run, story: Path) -> None:
    words = "the router moba cannot be used in renders; these can: moc, window, radial"
    plain = story.read_text()
    story.write_text(plain + "\nsettings: {router: moba}\n")
    code, out, _ = run("--dry-run")
    assert (code, f"problem: {words}" in out) == (1, True)
    renderer = FakeRenderer()
    code, out, err = run(renderer=renderer)
    assert (code, out, words in err, renderer.requests) == (1, "", True, [])
    story.write_text(plain.replace("pins: [1]", "boosts: {1: 2}"))
    code, out, _ = run("--dry-run", "--router", "radial")
    assert (code, "problem: shot 3: the router radial has no scores that could be boosted" in out) == (
        1,
        True,
    )
    assert run("--dry-run", "--router", "moc")[0] == 0


def test_a_skipped_shot_cannot_be_asked_for(run: Run, story: Path) -> None:
    story.write_text(STORY.replace("seconds: 0.5", "skip: true"))
    code, _, err = run("--shots", "2")
    assert (code, err) == (2, "moc-studio: --shots: shot 2 is skipped in the storyboard\n")
    code, _, err = run()
    assert code == 0
    assert "shot 3 is steered by shot 2, which is skipped" in err


def test_a_file_in_the_folders_way(run: Run, tmp_path: Path) -> None:
    (tmp_path / "film").write_text("mine")
    code, out, err = run()
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].endswith("a file is in the way")
    assert (tmp_path / "film").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "film").mkdir(mode=0o555)
    code, _, err = run()
    assert code == 1
    assert err.splitlines()[-1].endswith("permission denied")


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device"), "the disk is full"),
        (OutOfMemory("out of memory: lower --size"), "out of memory: lower --size"),
    ],
)
def test_a_failure_in_mid_render_is_one_clear_line(
    run: Run, tmp_path: Path, error: Exception, says: str
) -> None:
    def fail(shot: int, step: int) -> None:
        if shot == 1:
            raise error

    code, out, err = run(renderer=FakeRenderer(fail))
    assert (code, out) == (1, "")
    assert says in err.splitlines()[-1]
    assert not list((tmp_path / "film").rglob(".part-*"))
    assert not list((tmp_path / "film").glob("*.mp4"))


def test_a_model_that_is_not_there(
    story: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    arguments = ["render", str(story), "--out", str(tmp_path / "film"), "--model", "nowhere"]
    assert main(arguments) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "moc-studio: the model nowhere is not on this machine, and the hub is not asked for it (--offline or "
        "HF_HUB_OFFLINE); moc-studio models list shows the models that are here"
    )
    assert not (tmp_path / "film").exists()


def test_a_folder_that_holds_no_model(run: Run, tmp_path: Path) -> None:
    code, out, err = run("--model", str(tmp_path))
    assert (code, out) == (1, "")
    assert err == f"moc-studio: no model in {tmp_path}: model_index.json is missing\n"
    assert not (tmp_path / "film").exists()


@pytest.mark.parametrize(("kind", "told"), [("AnimaticPipeline", True), ("WanPipeline", False)])
def test_unknown_words_are_told_for_the_animatic_family(
    run: Run, tmp_path: Path, kind: str, told: bool
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model_index.json").write_text(json.dumps({"_class_name": kind}))
    assert ("does not know 'gallops'" in run("--model", str(model))[2]) == told


@pytest.mark.parametrize("option", [("--size", "64x96"), ("--fps", "12")])
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_film_of_two_kinds_is_refused_before_rendering(
    run: Run, option: tuple[str, ...], dry: tuple[str, ...]
) -> None:
    run()
    renderer = FakeRenderer()
    code, out, err = run("--shots", "2", *option, *dry, renderer=renderer)
    assert (code, out, renderer.requests) == (2, "", [])
    assert err.startswith(
        "moc-studio: these do not fit into one film: shot 1, 3 in 96x64 at 8 fps; shot 2 in "
    )
    assert err.count("\n") == 1


def test_a_lock_without_its_take_is_told(run: Run, story: Path) -> None:
    run()
    story.write_text(STORY.replace("gallops on the beach", "jumps on the beach, lock: true"))
    code, _, err = run()
    assert code == 0
    assert "shot 2 is locked, but has no take of this caption yet: it is rendered\n" in err


def test_a_kept_take_of_a_cast_in_other_places_is_told(run: Run, story: Path) -> None:
    run()
    locked = STORY.replace("beach, seconds: 1}", "beach, seconds: 1, lock: true}")
    story.write_text(locked.replace("cast: [", "cast: [{name: Zoe}, "))
    code, _, err = run()
    assert code == 0
    assert "shot 1 shows Mira at another position in the cast than now" in err
    story.write_text(locked.replace("name: Otto}", "name: Otto}, {name: Zoe}"))
    assert "another position" not in run()[2]


def test_a_damaged_record_of_an_earlier_version_is_one_clear_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "film").mkdir()
    (tmp_path / "film" / "film.json").write_text('{"format": 1, "shots": [{"number": 1}]}')
    code, out, err = run()
    assert (code, out) == (1, "")
    assert err.startswith(f"moc-studio: {tmp_path / 'film' / 'film.json'} is not the record of a film")
    assert err.count("\n") == 1


def test_the_default_folder_is_named_after_the_title(
    story: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["render", str(story)], make_renderer=lambda model: FakeRenderer()) == 0
    assert capsys.readouterr().out == "runs/a-test/a-test.mp4\n"


def slow(story: Path, out: Path, *more: str, step: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.fakes.slow_cli", "render", str(story), "--out", str(out), *more]
    environment = {**os.environ, "SLOW_STEP": str(step)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stderr is not None
    for told in process.stderr:
        if told.strip() == line:
            return
    pytest.fail(f"'{line}' was never told")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_finished_shots_and_nothing_half_done(
    story: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "film"
    process = slow(story, out, step=0.3)
    wait_for(process, "step 2.2")
    process.send_signal(number)
    told_out, told_err = process.communicate(timeout=120)
    assert (process.returncode, told_out) == (130, "")
    assert told_err.splitlines()[-1].startswith("moc-studio: interrupted; ")
    assert [path.name[:2] for path in (out / "takes").iterdir()] == ["01"]
    assert not list(out.rglob(".part-*"))


def test_resume_after_a_kill_renders_only_what_is_missing(story: Path, tmp_path: Path) -> None:
    out = tmp_path / "film"
    process = slow(story, out, step=0.3)
    wait_for(process, "step 3.2")
    process.kill()
    process.communicate(timeout=120)
    assert [path.name[:2] for path in sorted((out / "takes").glob("[0-9]*"))] == ["01", "02"]

    process = slow(story, out, "--resume", step=0)
    told_out, told_err = process.communicate(timeout=120)
    assert process.returncode == 0, told_err
    assert told_out == f"{out / 'a-test.mp4'}\n"
    assert {line.split(".")[0] for line in told_err.splitlines() if line.startswith("step")} == {"step 3"}
    assert not list(out.rglob(".part-*"))


def test_a_reader_that_leaves_early_is_no_failure(story: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "studio.cli", "words", "--json"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr is not None
    told = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=120), told) == (0, "")
