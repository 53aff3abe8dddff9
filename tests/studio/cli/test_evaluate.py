from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from moc_engine.models.animatic.family import AnimaticFamily
from moc_engine.models.animatic.model import ModelConfig, build, load, save, sizes_of
from moc_engine.ops.routers.moga import MogaRouter
from moc_engine.ops.routers.weights import write_routers
from studio.cli.main import main


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _saved(tmp_path_factory.mktemp("tiny") / "model", seed=0)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    return _saved(tmp_path_factory.mktemp("other") / "model", seed=1)


def _saved(folder: Path, *, seed: int) -> str:
    torch.manual_seed(seed)
    tiny = ModelConfig(layers=1, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2)
    save(build(tiny), folder)
    return str(folder)


def test_what_is_not_set_is_as_in_a_render(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--stories", "1", "--shots", "1", "--tokens", "1"]
    assert main(["eval", "memory", "--model", model, *small, "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert settings["steps"] == AnimaticFamily.sampler.steps
    assert settings["guidance"] == AnimaticFamily.sampler.guidance
    assert settings["top_k"] == AnimaticFamily.routing.top_k
    assert settings["pooling"] == AnimaticFamily.routing.pooling
    assert "@" in settings["model"]


def test_the_figures_come_with_what_decides_them(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--stories", "1", "--shots", "2", "--tokens", "1", "--cast", "2", "--seed", "3"]
    way = ["--router", "own", "--steps", "1", "--guidance", "2"]
    assert main(["eval", "memory", "--model", model, *size, *way]) == 0
    head, *figures = capsys.readouterr().out.splitlines()
    assert head.endswith(
        "stories 1, shots 2, cast 2, tokens 1, router own, steps 1, guidance 2.0, "
        "guidance floor 0.5, memory noise 0.0, seed 3"
    )
    assert figures[-1].split() == ["pruned", "1.000", "(1.000–1.000,", "1", "cases)"]
    assert main(["eval", "following", "--model", model, *size, *way]) == 0
    followed = {line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]}
    assert followed >= {"present", "setting", "count"}
    assert "shape" not in followed


def test_links_may_be_removed(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--stories", "1", "--shots", "2", "--tokens", "1", "--steps", "1", "--chunks", "frame"]
    without = ["--no-own-link", "--no-caption-link", "--memory-noise", "0.2"]
    assert main(["eval", "memory", "--model", model, *small, *without, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["settings"]["own_link"] == told["settings"]["caption_link"] == "removed"
    assert told["settings"]["chunks"] == "frame"
    assert told["settings"]["memory_noise"] == 0.2
    assert set(told["figures"]) >= {"pruned"}
    assert told["figures"]["painted_as_read"] is None  # nobody is to be seen
    assert "setting" not in told["figures"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--stories", "0"),
        ("--cast", "9"),
        ("--top-k", "-1"),
        ("--steps", "0"),
        ("--guidance", "nan"),
        ("--guidance-floor", "2"),
        ("--memory-noise", "2"),
        ("--seed", "-1"),
    ],
)
def test_wrong_use(model: str, capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    assert main(["eval", "memory", "--model", model, f"{option}={value}"]) == 2
    assert capsys.readouterr().err.startswith(f"moc-studio: {option}: must be ")


def test_a_router_without_history_needs_its_own_link(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "memory", "--model", model, "--router", "own", "--no-own-link"]) == 2
    assert capsys.readouterr().err.startswith("moc-studio: --no-own-link: ")


def test_there_is_no_such_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "memory", "--model", str(tmp_path)]) == 1
    assert "no model in" in capsys.readouterr().err


def test_speed_tells_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "speed", "--quick", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert {tuple(timed["size"]) for timed in figures["frames"]} == {(1280, 720), (640, 360)}
    assert figures["tracing"]["shot"] == 2


def test_the_report_goes_on_where_it_was_stopped(
    model: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    way = ["eval", "report", "--model", model, "--out", str(tmp_path), "--stories", "1"]
    way += ["--only", "retrained", "--also", f"other={other}"]
    assert main(way) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"
    store = tmp_path / "results.json"
    first = json.loads(store.read_text())["results"]
    kept, lost, *_ = first
    kept["figures"]["count"]["mean"] = 0.125  # results that exist are not computed again
    store.write_text(json.dumps({"results": [found for found in first if found is not lost]}))
    assert main(way) == 0
    again = json.loads(store.read_text())["results"]
    assert kept in again
    assert without_seconds(lost) in [without_seconds(found) for found in again]
    assert "0.125" in (tmp_path / "report.html").read_text()
    capsys.readouterr()
    assert main(way[:-2]) == 0
    assert (
        capsys.readouterr().err == f"1 results in {store} are not used: other settings, weights or program\n"
    )
    assert json.loads(store.read_text())["results"] == again


def without_seconds(found: dict[str, Any]) -> dict[str, Any]:
    """A result without what differs between two runs of the same."""
    figures = {name: figure for name, figure in found["figures"].items() if name != "seconds"}
    return {**found, "figures": figures}


def test_the_report_runs_the_methods_that_are_asked_for(model: str, tmp_path: Path) -> None:
    way = ["eval", "report", "--model", model, "--out", str(tmp_path), "--stories", "1"]
    assert main([*way, "--only", "budget", "--router", "own"]) == 0
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert {found["settings"]["generation"]["router"] for found in results} == {"own"}
    assert all(found["figures"]["seconds"]["mean"] > 0 for found in results)
    assert (
        "<th>seconds</th><th>remembered MiB</th><th>read MiB</th><th>working MiB</th>"
        in (tmp_path / "report.html").read_text()
    )
    assert main([*way, "--only", "ablation", "--router", "own"]) == 0  # none of them compares methods
    assert json.loads((tmp_path / "results.json").read_text())["results"] == results


def test_a_learned_router_is_refused_for_a_model_without_one(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--stories", "1", "--shots", "2", "--tokens", "1", "--steps", "1"]
    assert main(["eval", "memory", "--model", model, "--router", "moga", *small]) == 1
    assert "the router moga is learned, and this model has no parameters of it" in capsys.readouterr().err
    way = ["eval", "report", "--model", model, "--out", str(tmp_path), "--stories", "1", "--only", "budget"]
    assert main([*way, "--router", "moga", "--router", "own"]) == 0  # the report leaves it out
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    assert {found["settings"]["generation"]["router"] for found in results} == {"own"}


def test_the_report_compares_methods_on_weights_of_their_own(model: str, tmp_path: Path) -> None:
    learned = tmp_path / "model"
    shutil.copytree(model, learned)
    sizes = sizes_of(load(model))
    torch.manual_seed(0)
    write_routers(learned, {"moga": MogaRouter(sizes)})
    way = ["eval", "report", "--model", model, "--out", str(tmp_path / "out"), "--stories", "1"]
    assert main([*way, "--only", "trained", "--trained", f"moga={learned}", "--trained", f"own={model}"]) == 0
    found = json.loads((tmp_path / "out" / "results.json").read_text())["results"]
    assert [result["settings"]["generation"]["router"] for result in found] == ["moga", "own"]
    assert ["learned" in result["settings"] for result in found] == [True, False]
    assert "Methods with weights of their own" in (tmp_path / "out" / "report.html").read_text()


def test_the_report_runs_the_budgets_that_are_asked_for(model: str, tmp_path: Path) -> None:
    way = ["eval", "report", "--model", model, "--out", str(tmp_path), "--stories", "1", "--only", "budget"]
    assert main([*way, "--router", "window", "--top-k", "2"]) == 0
    (found,) = json.loads((tmp_path / "results.json").read_text())["results"]
    assert found["settings"]["generation"]["routing"]["top_k"] == 2


def test_a_report_that_makes_no_sense(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    way = ["eval", "report", "--model", model, "--out", str(tmp_path)]
    assert main([*way, "--stories", "0"]) == 2
    assert main([*way, "--long-stories", "0"]) == 2
    assert "--long-stories: must be 1 or more" in capsys.readouterr().err
    assert main([*way, "--also", "dense"]) == 2
    assert main([*way, "--trained", "dense"]) == 2
    assert "--trained: expected ROUTER=DIR" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{", "[]", '{"results": {"a": 1}}', '{"results": [{"figures": {}}]}'])
def test_damaged_results_are_not_written_over(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    store = tmp_path / "results.json"
    store.write_text(content)
    assert main(["eval", "report", "--model", model, "--out", str(tmp_path), "--stories", "1"]) == 1
    assert "results.json is damaged" in capsys.readouterr().err
    assert store.read_text() == content


def test_models_trained_otherwise_stand_beside_it(model: str, tmp_path: Path) -> None:
    way = ["eval", "report", "--model", model, "--out", str(tmp_path), "--stories", "1"]
    assert main([*way, "--only", "retrained", "--also", f"the twin={model}"]) == 0
    (found,) = json.loads((tmp_path / "results.json").read_text())["results"]  # one model, one result
    page = (tmp_path / "report.html").read_text()
    assert "the twin" in page
    assert page.count(f"<td>{found['figures']['setting']['mean']:.3f}<") >= 2
