"""The service: one object through which routes, pages and commands use a studio's folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from studio.service.attention import Attention
from studio.service.drift import Consistency
from studio.service.editing import Editing
from studio.service.field_edits import FieldEdits
from studio.service.film_folders import FilmFolders
from studio.service.footage import FootageLibrary
from studio.service.library import ModelLibrary
from studio.service.look_words import LookWords
from studio.service.models import Models
from studio.service.needs import Needs, RenderingMemory
from studio.service.pictures import Pictures
from studio.service.project_files import ProjectFiles
from studio.service.project_states import ProjectStates
from studio.service.projects import Projects
from studio.service.queue import Queue
from studio.service.rendering import Rendering
from studio.service.routing import Routing
from studio.service.schedules import Schedules
from studio.service.storage import Storage
from studio.service.traces import Traces
from studio.store.artifact_place import artifacts_at
from studio.store.artifacts import Artifacts
from studio.store.database import Database
from studio.store.lora_identity import LoraIdentities
from studio.store.model_identity import MODEL_CACHE, ModelIdentities


class Service:
    """An open studio folder, one part a subject. Every call is a transaction of its own.

    Methods raise `StudioError`s, whose messages are for the person who asked.
    """

    def __init__(
        self,
        root: Path,
        database: Database,
        clock: Callable[[], float] = time.time,
        artifacts: Artifacts | None = None,
        rendering: RenderingMemory | None = None,
    ) -> None:
        identities = ModelIdentities(root / MODEL_CACHE)
        models = Models(identities, LoraIdentities(root / MODEL_CACHE))
        states = ProjectStates(database, models)
        self.root = root
        self.database = database
        self.artifacts = artifacts or artifacts_at(root)
        self.projects = Projects(database, models, states, clock)
        self.editing = Editing(database, models, states, clock)
        self.fields = FieldEdits(self.projects, self.editing)
        self.rendering = Rendering(database, models)
        self.schedules = Schedules(database)
        self.queue = Queue(database, models)
        self.library = ModelLibrary(database)
        self.needs = Needs(database, self.library, rendering or RenderingMemory())
        self.files = ProjectFiles(root, database, self.artifacts, identities, clock)
        self.look_words = LookWords(database, self.artifacts)
        self.pictures = Pictures(root, database, self.artifacts, clock)
        self.film_folders = FilmFolders(root, database, self.artifacts, self.files)
        self.footage = FootageLibrary(root, database, clock)
        self.storage = Storage(root, database, self.artifacts)
        traces = Traces(database, self.artifacts)
        self.routing = Routing(traces)
        self.attention = Attention(traces)
        self.consistency = Consistency(traces)
