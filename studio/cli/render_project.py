"""`moc-studio render --project`: renders shots of a project in a studio, in this process."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from studio.cli import root
from studio.cli.shot_numbers import parse_shots


def render_project(args: argparse.Namespace) -> int:
    """Renders the project's due shots, or those in --shots; with --dry-run only lists them."""
    from studio.cli.work import work_off

    with root.opened(args) as service:
        project = root.find(service, args.project)
        board = service.projects.storyboard(project)
        chosen = parse_shots(args.shots, board)
        scope = "due" if chosen is None else [board.shots[index].id for index in sorted(chosen)]
        planned = service.rendering.plan(project, scope, lane=args.lane)
        if args.dry_run or not planned:
            if args.json:
                print(json.dumps([asdict(shot) for shot in planned], indent=2, ensure_ascii=False))
            else:
                for shot in planned:
                    print(f"{shot.index + 1:>4}  {'; '.join(shot.reasons)}  (~{shot.seconds:.0f} s)")
                drafts = " as drafts" if args.lane == "draft" else ""
                print(f"{len(planned)} of {len(board.shots)} shots to render{drafts}", file=sys.stderr)
            return 0
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
