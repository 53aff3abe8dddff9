from __future__ import annotations

import argparse

import pytest

from moc_engine.render.several_processes import SeveralProcesses
from studio.cli.main import build_parser
from studio.worker.renderers import RendererOptions, load_renderer


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("cuda_graphs", [False, True])
@pytest.mark.parametrize("backend", [None, "grouped"])
@pytest.mark.parametrize(("profile", "retry_lower"), [("auto", False), ("12gb+int8", True)])
def test_options_go_on_to_the_worker_as_they_were_given(
    compiled: bool, cuda_graphs: bool, backend: str | None, profile: str, retry_lower: bool
) -> None:
    options = RendererOptions(
        compiled=compiled,
        cuda_graphs=cuda_graphs,
        backend=backend,
        context_memory=None if backend is None else 2.5,
        context_host_memory=16.0 if compiled else None,
        context_files="/fast disk" if cuda_graphs else None,
        profile=profile,
        retry_lower=retry_lower,
        processes=4 if compiled else 1,
    )
    parser = argparse.ArgumentParser()
    RendererOptions.add_to(parser)
    assert RendererOptions.of(parser.parse_args(options.arguments)) == options


@pytest.mark.parametrize("command", [["serve"], ["worker"], ["render", "film.yaml"]])
def test_commands_that_render_take_them(command: list[str]) -> None:
    args = build_parser().parse_args([*command, "--compile"])
    assert RendererOptions.of(args) == RendererOptions(compiled=True)


@pytest.mark.parametrize("text", ["-1", "much", "nan", "1e9"])
def test_memory_that_makes_no_sense_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["render", "film.yaml", f"--context-memory={text}"])
    assert "--context-memory" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["0", "-2", "65", "two"])
def test_a_number_of_processes_without_sense_is_refused(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["render", "film.yaml", f"--processes={text}"])
    assert "--processes" in capsys.readouterr().err


def test_several_processes_have_a_renderer_that_loads_nothing_here() -> None:
    assert isinstance(load_renderer(RendererOptions(processes=2), None), SeveralProcesses)


def test_a_command_without_them_renders_plainly() -> None:
    assert RendererOptions.of(argparse.Namespace()) == RendererOptions()


def test_an_unknown_backend_is_refused_with_the_names_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["render", "film.yaml", "--backend", "fast"])
    assert "gathered" in capsys.readouterr().err


def test_an_unknown_profile_is_refused_with_the_names_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["render", "film.yaml", "--profile", "16gb"])
    assert "auto, 80gb, 48gb, 24gb, 12gb, 8gb, each also with +full, +fp8, +int8" in capsys.readouterr().err
