"""`moc-studio render --project`: renders shots of a project in a studio, in this process."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING

from studio.cli import model_notes, root, schedule_output
from studio.cli.progress import in_words
from studio.cli.shot_numbers import parse_shots

if TYPE_CHECKING:
    from studio.domain.project import Lane
    from studio.domain.storyboard import Storyboard
    from studio.service.rendering import PlannedRender
    from studio.service.studio import Service


def render_project(args: argparse.Namespace) -> int:
    """Renders the project's due shots, or those in --shots; with --dry-run only lists them."""
    from studio.cli.work import work_off
    from studio.service.render_checks import problems_of

    with root.opened(args) as service:
        project = root.find(service, args.project)
        board = service.projects.storyboard(project)
        chosen = parse_shots(args.shots, board)
        scope = "due" if chosen is None else [board.shots[index].id for index in sorted(chosen)]
        planned = service.rendering.plan(project, scope, lane=args.lane)
        if args.lane != "draft":
            for line in model_notes.unused(board, service.rendering.model(project), of_file=False):
                print(line, file=sys.stderr)
        if args.dry_run or not planned:
            schedule = service.schedules.of(project, planned, args.workers or 1)
            if args.json:
                waves = {shot.index: shot.wave + 1 for shot in schedule.renders}
                shots = [{**asdict(shot), "wave": waves[shot.index]} for shot in planned]
                print(json.dumps(shots, indent=2, ensure_ascii=False))
            else:
                _print_plan(service, project, planned, board, args.lane)
                for line in schedule_output.lines(schedule, args.workers):
                    print(line, file=sys.stderr)
            problems = problems_of(*service.rendering.lane_inputs(project, scope, args.lane), service.library)
            for found in problems:
                print(f"problem: {model_notes.problem(found)}", file=sys.stderr)
            return 1 if problems else 0
        jobs = service.rendering.render(project, scope, lane=args.lane)
        done = work_off(service, jobs, args.make_renderer)
        state = service.projects.state(project)
        worked_in = args.lane in (None, state.lane)
        takes = {shot.id: shot.take if worked_in else shot.other_take for shot in state.shots}
    if args.json:
        print(json.dumps([asdict(job) for job in done], indent=2, ensure_ascii=False))
    else:
        for job in done:
            number = "" if job.index is None else job.index + 1
            print(f"{number}\t{job.state}\t{takes.get(job.shot or '') or ''}")
    return 0 if all(job.state == "done" for job in done) else 1


def _print_plan(
    service: Service, project: str, planned: Collection[PlannedRender], board: Storyboard, lane: Lane | None
) -> None:
    """Prints what would be rendered and why, the expected time, and the memory needed."""
    known = service.rendering.time_is_known(project, lane)
    for shot in planned:
        seconds = f"  (~{in_words(shot.seconds)})" if known else ""
        print(f"{shot.index + 1:>4}  {'; '.join(shot.reasons)}{seconds}")
    drafts = " as drafts" if lane == "draft" else ""
    print(f"{len(planned)} of {len(board.shots)} shots to render{drafts}", file=sys.stderr)
    if planned and not known:
        print(model_notes.NO_ESTIMATE, file=sys.stderr)
    need = service.needs.of(project) if planned and lane != "draft" else None
    for line in () if need is None else model_notes.need(need):
        print(line, file=sys.stderr)
