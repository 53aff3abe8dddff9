"""A long film whose takes are there without having been rendered, with traces of real size."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from moc_engine.trace.record import ContextChunk, QueryChunk, RoutingTrace
from moc_engine.trace.trace_file import write_trace
from studio.domain.inputs import RenderingModel, inputs_of
from studio.domain.storyboard import CastMember, Shot, Storyboard
from studio.service.studio import Service
from studio.store import artifact_rows, projects, takes
from studio.store.filmstrip import write_filmstrip
from studio.store.takes import StoredTake
from studio.store.upgrade import open_database
from tests.fakes.renderer import write_clip
from tests.fakes.traces import made

SIZE = (96, 64)
PARTS = ("the set", "Mira", "Otto", "ball", "camera", "kite", "prop 2", "prop 3 (empty)")
LAYERS, HEADS, GROUPS, TOKENS, FRAMES = 6, 6, 4, 10, 30
PICKED = 40
"""Chunks of the past that a part chose in one layer, head and group of steps."""


def add_long_story(root: Path, shots: int) -> str:
    """Adds the project to the studio in a folder; returns its id."""
    database = open_database(root)
    service = Service(root, database)
    board = Storyboard(
        title="Long",
        size=SIZE,
        fps=Fraction(8),
        cast=(CastMember(name="Mira"), CastMember(name="Otto")),
        shots=tuple(
            Shot(id=f"s{nth}", caption=f"Mira waves on the beach {nth}", seconds=1.0) for nth in range(shots)
        ),
    )
    project = service.projects.create(board)
    seen: list[StoredTake] = []
    with tempfile.TemporaryDirectory() as name, database.write() as session:
        folder = Path(name)
        write_clip(folder / "clip.mp4", (90, 120, 60), seconds=1.0, fps=8.0, size=SIZE)
        write_filmstrip(folder / "clip.mp4", folder / "strip.jpg")
        save_file({"latents": np.zeros((1, 1, 1, 1), np.float32)}, folder / "latents.safetensors")
        files = [
            service.artifacts.put(folder / file) for file in ("clip.mp4", "latents.safetensors", "strip.jpg")
        ]
        artifact_rows.keep(session, service.artifacts, files, 0.0)
        clip, latents, thumbnail = (file.digest for file in files)
        for place, shot in enumerate(board.shots):
            context = [(earlier, take.id) for earlier, take in enumerate(seen)]
            inputs = inputs_of(
                board,
                RenderingModel(identity="fake"),
                place,
                caption=shot.caption,
                context=context,
                seed=place,
            )
            trace = _trace(place, [take.id for take in seen])
            write_trace(trace, folder / "trace.moc")
            file = service.artifacts.put(folder / "trace.moc")
            artifact_rows.keep(session, service.artifacts, [file], 0.0)
            take = StoredTake(
                id=inputs.take_id,
                inputs=inputs,
                caption=shot.caption,
                frames=8,
                context=tuple((board.shots[earlier].id, take) for earlier, take in context),
                links={link.take: link.share for link in trace.links() if link.take is not None},
                backend="fake",
                timings={},
                own_share=trace.own_share(),
                clip=clip,
                latents=latents,
                trace=file.digest,
                thumbnail=thumbnail,
                created=float(place),
            )
            takes.keep(session, project, take)
            projects.add_to_strip(session, project, shot.id, take.id, float(place))
            projects.choose(session, project, shot.id, take.id)
            seen.append(take)
    database.close()
    return project


def _trace(shot: int, earlier: list[str]) -> RoutingTrace:
    generator = np.random.default_rng(shot)
    context = [ContextChunk(kind="own", name="own shot", shot=shot, frames=(0, FRAMES))]
    context += [
        ContextChunk(kind="history", name=name, shot=nth, take=take, frames=(0, FRAMES))
        for nth, take in enumerate(earlier)
        for name in PARTS
    ]
    table = np.zeros((LAYERS, HEADS, GROUPS, len(PARTS), len(context)))
    if earlier:
        chosen = generator.integers(1, len(context), (*table.shape[:-1], PICKED))
        np.put_along_axis(table, chosen, generator.gamma(0.5, size=chosen.shape), axis=-1)
    table[..., 0] = table.sum(axis=-1) + 0.1
    picks = (table > 0).astype(np.uint32)
    boxes = np.sort(generator.random((FRAMES, len(PARTS), 4)), axis=-1)
    return made(
        table / table.sum(axis=-1, keepdims=True),
        query=[QueryChunk(name=name, frames=(0, FRAMES), tokens=TOKENS) for name in PARTS],
        context=context,
        shot=shot,
        picks=picks,
        moments=tuple((frame + 0.5) / 6 for frame in range(FRAMES)),
        boxes=boxes,
    )
