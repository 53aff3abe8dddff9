"""The whole benchmark at tiny sizes on the CPU, and what it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moc_engine.evaluation.benchmark.__main__ import main
from moc_engine.evaluation.benchmark.auto_table import table_of
from moc_engine.evaluation.benchmark.cases import PARTS, attention_cases, case_names, growth_base
from moc_engine.evaluation.benchmark.heading import expected
from moc_engine.evaluation.benchmark.plots import draw
from moc_engine.evaluation.benchmark.program import Program
from moc_engine.evaluation.benchmark.publish import BEGIN, END, publish
from moc_engine.evaluation.benchmark.results import TINY_RUN, Refused, load
from moc_engine.ops.measured import Shape
from tests.fakes.pictures import read_picture

ROOT = Path(__file__).parents[4]
SPREAD = {"median", "low", "high", "rounds"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bench")
    names = ["32k with every peer", "8k gradients", "2 shots of 1k", "4 shots of 1k", "late", "film"]
    command = ["--device", "cpu", "--tiny", "--threads", "1", "--out", str(out)]
    assert main([*command, "--only", ",".join(names)]) == 0
    return out / "cpu-tiny.json"


@pytest.fixture
def published(measured: Path, tmp_path: Path) -> Path:
    """The tiny results without their mark, as if they were of real sizes."""
    file = tmp_path / "cpu.json"
    found = load(measured)
    del found["tiny"]
    file.write_text(json.dumps(found), encoding="utf-8")
    return file


@pytest.fixture
def document(measured: Path) -> dict[str, Any]:
    return load(measured)


def test_the_results_say_what_was_measured_and_where(document: dict[str, Any]) -> None:
    assert document["machine"].keys() >= {"kind", "processor", "cores", "threads", "memory_gibibytes"}
    assert document["versions"].keys() >= {"program", "python", "torch"}
    assert {case["part"] for case in document["cases"].values()} == set(PARTS)
    for name, case in document["cases"].items():
        assert case.keys() >= {"date", "machine", "versions", "clock", "seconds"}, name
        assert "skipped" not in case, name
    case = document["cases"]["32k with every peer"]
    assert case["shape"].keys() >= {
        "heads",
        "width",
        "top_k",
        "chunk",
        "queries",
        "context",
        "dtype",
        "alike",
    }
    for entry in case["entries"]:
        assert entry.keys() >= {"name", "kind", "errors", "attended_pairs", "pairs_ratio"}
        for field in ("milliseconds", "faster"):
            assert entry[field].keys() == SPREAD
        assert entry["efficiency"] == pytest.approx(
            entry["faster"]["median"] / entry["pairs_ratio"], rel=1e-3
        )
    assert {entry["kind"] for entry in case["entries"]} == {
        "auto",
        "dense",
        "ours",
        "static",
        "token-causal",
    }


def test_late_shots_and_denoising_are_compared_side_by_side(document: dict[str, Any]) -> None:
    (late,) = document["cases"]["late shots"]["points"]
    assert (late["shot"], late["longer"].keys()) == (4, SPREAD)
    for point in document["cases"]["denoising"]["points"]:
        assert point["faster"].keys() == SPREAD
        assert max(point["errors"].values()) < 1e-4
        profile = point["profile"]
        assert profile["parts"].keys() >= {"own shot", "routed chunks", "linear layers", "norms"} - {
            "own shot" if point["backend"] == "gathered" else ""
        }
        assert sum(profile["parts"].values()) == pytest.approx(profile["whole"], rel=1e-3)


def test_pieces_merge(measured: Path, tmp_path: Path) -> None:
    out = tmp_path / "cpu-tiny.json"
    out.write_bytes(measured.read_bytes())
    before = load(out)["cases"]
    program = Program(
        device=torch.device("cpu"), out=tmp_path, tiny=True, only=("2k",), say=lambda line: None
    )
    assert program.run() == 0
    assert load(out)["cases"] == {**before, "2k": load(out)["cases"]["2k"]}


def test_results_of_another_machine_are_left_behind(measured: Path, tmp_path: Path) -> None:
    found = load(measured)
    found["cases"]["8k gradients"]["machine"]["threads"] = 99
    (tmp_path / "cpu-tiny.json").write_text(json.dumps(found), encoding="utf-8")
    program = Program(
        device=torch.device("cpu"), out=tmp_path, tiny=True, only=("2k",), say=lambda line: None
    )
    program.run()
    assert "8k gradients" not in load(program.file)["cases"]


def test_no_case_begins_when_the_time_is_up(tmp_path: Path) -> None:
    said: list[str] = []
    program = Program(
        device=torch.device("cpu"), out=tmp_path, tiny=True, only=("2k",), seconds=-1.0, say=said.append
    )
    assert program.run() == 0
    assert said[-2] == "2k: left out, the time is up"
    assert not program.file.exists()


def test_what_fails_or_lacks_a_package_leaves_the_rest(tmp_path: Path) -> None:
    def failing(device: torch.device, case: object) -> Any:
        raise RuntimeError("a fault")

    def lacking(device: torch.device, case: object) -> Any:
        raise ImportError("No module named 'diffusers'")

    for contestants, failures, words in ((failing, 1, "a fault"), (lacking, 0, "No module named")):
        program = Program(
            device=torch.device("cpu"),
            out=tmp_path,
            tiny=True,
            only=("2k", "4k"),
            contestants=contestants,
            say=lambda line: None,
        )
        assert program.run() == 2 * failures
        for name in ("2k", "4k"):
            assert words in load(program.file)["cases"][name]["skipped"]


def test_unknown_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no part or case '9k'"):
        Program(device=torch.device("cpu"), out=tmp_path, only=("9k",)).run()


def test_what_cannot_be_done_is_said_in_a_line(
    measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [
        (["--only", "nonsense"], "--only: there is no part or case 'nonsense'"),
        (["--auto-table", str(tmp_path / "absent.json")], "no results can be read"),
        (["--auto-table", str(measured)], "a tiny run"),
        (["--tiny", "--publish"], "a tiny run"),
    ]
    if not torch.cuda.is_available():
        asked.append((["--device", "cuda"], "There is no CUDA device here"))
    for arguments, words in asked:
        assert main([*arguments, "--out", str(tmp_path)]) == 2
        found = capsys.readouterr()
        assert words in found.err
        assert (found.err.count("\n"), found.out) == (1, "")
    with pytest.raises(Refused, match="a tiny run"):
        publish(measured, tmp_path)


def test_a_run_begins_with_a_heading(tmp_path: Path) -> None:
    said: list[str] = []
    program = Program(device=torch.device("cpu"), out=tmp_path, tiny=True, only=("2k",), say=said.append)
    program.run()
    assert said[0] == TINY_RUN == load(program.file)["tiny"]
    assert f"{torch.get_num_threads()} threads, torch {torch.__version__}" in said[1]
    assert said[2] == "one case; takes about a minute; no case begins after 3600 seconds (--seconds)"
    assert "2k (forward, tiny):" in said


def test_how_long_a_run_takes_is_read_from_the_kept_results(tmp_path: Path) -> None:
    document = {
        "format": 1,
        "machine": {"processor": "A CPU", "threads": 2},
        "cases": {"8k": {"seconds": 200.0}, "16k": {"seconds": 100.0}, "32k": {"seconds": 999.0}},
    }
    (tmp_path / "cpu.json").write_text(json.dumps(document), encoding="utf-8")
    assert expected("cpu", ("8k", "16k", "new"), tmp_path) == "takes about 5 minutes (A CPU, 2 threads)"
    assert "not known" in expected("h200", ("8k",), tmp_path)
    assert "takes about" in expected("cpu", case_names("cpu"))


def test_help_names_the_cases_and_says_how_long_they_take(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "about 7 minutes" in words
    for name in (*case_names("cpu"), *case_names("cuda")):
        assert name in words


def test_results_of_another_format_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "cpu.json"
    file.write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"cpu\.json: results of format 99"):
        load(file)


def test_publishing_writes_json_plot_and_documents(published: Path, tmp_path: Path) -> None:
    for name in ("moc_engine/evaluation/RESULTS.md", "README.md"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n", encoding="utf-8")
    written = publish(published, tmp_path)
    assert load(tmp_path / "moc_engine/evaluation/results/cpu.json") == load(published)
    assert read_picture(tmp_path / "static/speed-cpu.png").shape[1] == 1536
    results, readme = (path.read_text(encoding="utf-8") for path in written[-2:])
    for text in (results, readme):
        assert text.startswith("above\n")
        assert text.endswith("below\n")
        assert "old" not in text
    for words in ("| forward, 2 heads × 16, k 3 | 128 | 1.60 ×", "token-causal", "Growing stories", "| 4 | "):
        assert words in results
    assert "![Speed by length of the story](../../static/speed-cpu.png)" in results
    lines = [line for line in readme.splitlines() if line.startswith("- ")]
    assert len(lines) == 3
    assert "times fewer pairs with gradients" in lines[0]
    assert "Prototype figures" in lines[2]
    publish(published, tmp_path)
    assert readme == (tmp_path / "README.md").read_text(encoding="utf-8")


def test_a_document_needs_its_markers(published: Path, tmp_path: Path) -> None:
    (tmp_path / "moc_engine/evaluation").mkdir(parents=True)
    (tmp_path / "moc_engine/evaluation/RESULTS.md").write_text("nothing\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"RESULTS\.md: needs the lines"):
        publish(published, tmp_path)


def test_the_plot_shows_growth_and_late_shots(document: dict[str, Any]) -> None:
    left, right = draw(document).axes
    assert {str(line.get_label()) for line in left.lines} >= {"dense", "times fewer pairs"}
    moc = next(line for line in left.lines if str(line.get_label()).startswith("MoC"))
    assert np.asarray(moc.get_xdata()).tolist() == [64, 128]
    late = next(line for line in right.lines if str(line.get_label()).startswith("MoC"))
    assert np.asarray(late.get_xdata()).tolist() == [4]


def test_the_table_can_be_printed(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--auto-table", str(published)]) == 0
    assert json.loads(capsys.readouterr().out) == table_of(load(published))


def test_results_give_rows_of_the_table_that_auto_chooses_by(document: dict[str, Any]) -> None:
    table = table_of(document)
    (machine,) = table["machines"]
    row = table["rows"][0]
    assert row["machine"] == machine
    assert Shape(**{name: row[name] for name in Shape.__dataclass_fields__}).pair_ratio == 1.6
    assert row["times"].keys() >= {"grouped", "gathered"}
    assert [row["gradients"] for row in table["rows"]].count(True) == 1
    json.dumps(table)


def test_real_cases_have_the_sizes_that_speed_is_judged_by() -> None:
    contexts = {case.context for case in attention_cases("cpu", tiny=False)}
    assert {2048, 8192, 32768, 65536} <= contexts
    cases = attention_cases("cuda", tiny=False)
    first = cases[0]
    assert (first.context, first.heads, first.width, first.candidates) == (174_720, 12, 128, 98)
    assert {10_400, 166_400} <= {case.context for case in cases if case.part == "growth"}
    assert max(case.heads for case in cases) == 40
    for case in cases:
        assert growth_base(case).candidates >= case.top_k
    assert len({case.name for case in cases}) == len(cases)
    assert not any("," in case.name for case in cases)  # the option --only separates names by commas


def test_the_program_needs_torch_and_numpy_alone() -> None:
    absent = (
        "diffusers",
        "gradio",
        "av",
        "rich",
        "skia",
        "matplotlib",
        "hypothesis",
        "transformers",
        "psutil",
    )
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({absent!r}))\n"
        "import moc_engine.evaluation.benchmark.program, moc_engine.evaluation.benchmark.warm\n"
        "import moc_engine.evaluation.benchmark.__main__, moc_engine.render.denoising_pass"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
