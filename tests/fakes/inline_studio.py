"""A whole studio in a folder: its service, and a worker that runs when it is told to, with flat colours.

Unless another renderer is handed in.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from studio.domain.storyboard import CastMember, Shot, Storyboard
from studio.service.studio import Service
from studio.store.artifact_place import FOLDER
from studio.store.artifacts import Artifacts
from studio.store.database import Database
from studio.worker.renderers import MakeRenderer
from studio.worker.worker import Worker
from tests.fakes.renderer import FakeRenderer

BOARD = Storyboard(
    title="Test",
    size=(64, 64),
    fps=Fraction(8),
    cast=(CastMember(name="Mira", look="red"), CastMember(name="Otto")),
    shots=(
        Shot(id="a", caption="Mira waves", seconds=1.0),
        Shot(id="b", caption="Otto runs", seconds=1.0),
        Shot(id="c", caption="Mira and Otto dance", seconds=1.0),
    ),
)


class Studio:
    """`service` is its door, `worker` renders with `renderer`; the service's clock goes on by itself."""

    def __init__(
        self,
        root: Path,
        database: Database,
        renderer: FakeRenderer | None = None,
        make_renderer: MakeRenderer | None = None,
        artifacts: Artifacts | None = None,
    ) -> None:
        self.now = 1000.0
        self.renderer = renderer or FakeRenderer()
        self.database = database
        self.service = Service(root, database, clock=self._clock, artifacts=artifacts)
        make = make_renderer or (lambda model: self.renderer)
        self.worker = Worker(root, make, database=database, name="w", artifacts=self.service.artifacts)

    def work(self) -> None:
        """Renders until nothing waits."""
        while self.worker.work_once():
            pass

    def rendered(self, board: Storyboard = BOARD) -> str:
        """A project whose shots all have takes."""
        project = self.service.projects.create(board)
        self.service.rendering.render(project)
        self.work()
        return project

    def artifacts(self) -> list[Path]:
        """The files of all takes, where they lie in the studio's folder."""
        return sorted((self.service.root / FOLDER).glob("*/*"))

    def _clock(self) -> float:
        self.now += 1.0
        return self.now
