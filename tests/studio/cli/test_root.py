"""The studio that a command opens."""

from __future__ import annotations

import argparse
from pathlib import Path

from moc_engine.profiles import GIB
from studio.cli import root
from studio.domain.settings import Settings
from studio.domain.storyboard import Shot, Storyboard
from studio.worker.renderers import RendererOptions
from tests.fakes.wan_folders import wan_t2v_folder


def test_needs_are_those_of_the_options_that_the_worker_gets(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    root.add_to(parser)
    RendererOptions.add_to(parser)
    wan_t2v_folder(tmp_path / "wan")
    board = Storyboard(
        title="A film",
        size=(128, 64),
        settings=Settings(model=str(tmp_path / "wan")),
        shots=tuple(Shot(id=name, caption="a fox", seconds=1.0) for name in "ab"),
    )
    given = ["--root", str(tmp_path / "studio"), "--profile", "8gb+full", "--context-memory", "0"]
    with root.opened(parser.parse_args(given), new=True) as service:
        need = service.needs.of(service.projects.create(board))
    assert need is not None
    assert (need.profile, need.by_itself) == ("8gb+full", False)
    assert need.host < 64 * GIB
