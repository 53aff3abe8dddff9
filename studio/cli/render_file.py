"""`moc-studio render FILE`: renders a storyboard file in a studio within the film's folder."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from pathlib import Path

from moc_engine.vocabulary import characters_per_shot
from studio.cli import film_studio, model_notes, render_output, root
from studio.cli.progress import RenderProgress, ReportingRenderer
from studio.cli.work import work_off
from studio.domain.errors import Interrupted, StudioError
from studio.domain.file_names import slug
from studio.domain.planner import Scope
from studio.domain.storyboard import Storyboard
from studio.exchange.mp4 import recipe_in
from studio.service.job_state import JobState
from studio.service.render_checks import problems_of
from studio.service.rendering import PlannedShot
from studio.service.studio import Service
from studio.service.unknown_words import find_unknown_words
from studio.store.model_identity import ANIMATIC, family


def render_file(board: Storyboard, only: Collection[int] | None, args: argparse.Namespace) -> int:
    """Renders the shots that the options ask for and writes the film; --dry-run only prints the plan."""
    name = board.settings.model
    animatic = family(name) == ANIMATIC  # raises if there is no such model
    unknown = list(find_unknown_words(board)) if animatic else []
    folder = args.out or Path("runs") / slug(board.title)
    memory = root.rendering_memory(args)
    with film_studio.opened(folder, change=not args.dry_run, memory=memory) as film:
        service = film.service
        service.rendering.read_model(name)
        project, returned = film.put(board)
        scope = _scope(service, project, board, only, resume=args.resume)
        planned = service.rendering.outline(project, scope, again=not args.resume)
        model = service.rendering.model(project)
        rendered = {shot.index: shot.inputs for shot in planned if shot.action == "render"}
        problems = problems_of(board, rendered, model, service.library)
        render_output.unknown_words(unknown, sys.stderr)
        for line in (*model_notes.unused(board, model, of_file=True), *model_notes.samplers(board)):
            print(line, file=sys.stderr)
        if args.dry_run:
            schedule = service.schedules.of(
                project, service.rendering.to_render(project, planned), args.workers or 1
            )
            render_output.plan(
                planned,
                unknown,
                sys.stdout,
                schedule=schedule,
                workers=args.workers,
                problems=problems,
                need=service.needs.of(project),
                time_known=service.rendering.time_is_known(project),
                as_json=args.json,
            )
            return 1 if problems else 0
        if problems:
            raise StudioError("; ".join(map(model_notes.problem, problems)))
        render_output.notes(
            board,
            planned,
            service.routing.shown(project),
            folder,
            sys.stderr,
            returned=returned,
            most_cast=characters_per_shot() if animatic else None,
            other_seed=args.seed is not None and only is not None,
        )
        made = _render(service, project, scope, planned, folder, args)
        written = service.film_folders.write_film(project, folder)
        if names := recipe_in(written.files.film).get("encoded_again"):
            print(f"{', '.join(names)} encoded again to fit the others", file=sys.stderr)
        render_output.film(written, made, unknown, sys.stdout, as_json=args.json)
    return 0


def _scope(
    service: Service, project: str, board: Storyboard, only: Collection[int] | None, *, resume: bool
) -> Scope | list[str]:
    """The shots to render: all or those in `only`; to resume, those of them that are missing or outdated."""
    if only is None:
        return "outdated" if resume else "all"
    outdated = {shot.shot for shot in service.rendering.plan(project, "outdated")} if resume else None
    ids = [board.shots[index].id for index in sorted(only)]
    return [shot for shot in ids if outdated is None or shot in outdated]


def _render(
    service: Service,
    project: str,
    scope: Scope | list[str],
    planned: Collection[PlannedShot],
    folder: Path,
    args: argparse.Namespace,
) -> frozenset[int]:
    """Renders the planned shots and writes each take into the folder; returns the shots' indices."""
    if not any(shot.action == "render" for shot in planned):
        return frozenset()
    service.queue.remove_all()  # of a process that was killed
    service.queue.pause(False)
    progress = RenderProgress(
        planned,
        service.rendering.rates(project),
        rates_known=service.rendering.time_is_known(project),
        compiles=getattr(args, "compiled", False),
    )

    def finished(job: JobState) -> None:
        if job.state != "done":
            raise StudioError(job.error or f"the render was {job.state}")
        if job.index is not None:
            take = service.routing.shown(project)[job.index]
            service.film_folders.write_take(project, job.index + 1, take.id, folder)
            progress.finished(job.index, sum(take.timings.values()))

    try:
        with progress:
            work_off(
                service,
                service.rendering.render(project, scope, again=not args.resume),
                lambda model: ReportingRenderer(args.make_renderer(model), progress.report),
                finished=finished,
            )
    except Interrupted as error:
        raise Interrupted(
            f"interrupted; the shots done so far are in {folder}, --resume renders the others"
        ) from error
    finally:
        service.queue.remove_all()
    return progress.rendered
