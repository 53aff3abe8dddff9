"""The service: one object through which routes, pages and commands use a studio's folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from studio.service.editing import Editing
from studio.service.inspector import Inspector
from studio.service.models import Models
from studio.service.project_files import ProjectFiles
from studio.service.project_states import ProjectStates
from studio.service.projects import Projects
from studio.service.queue import Queue
from studio.service.rendering import Rendering
from studio.store.artifacts import Artifacts
from studio.store.database import Database


class Service:
    """An open studio folder, one part a subject. Every call is a transaction of its own.

    Methods raise `StudioError`s, whose messages are for the person who asked.
    """

    def __init__(self, root: Path, database: Database, clock: Callable[[], float] = time.time) -> None:
        models = Models()
        states = ProjectStates(database, models)
        self.root = root
        self.artifacts = Artifacts(root)
        self.projects = Projects(database, states, clock)
        self.editing = Editing(database, models, states, clock)
        self.rendering = Rendering(database, models)
        self.queue = Queue(database)
        self.files = ProjectFiles(root, database, self.artifacts, clock)
        self.routing = Inspector(database, self.artifacts)
