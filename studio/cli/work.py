"""Rendering a studio's jobs from the command line, in this process."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studio.service.state import JobState
    from studio.service.studio import Service


def work_off(args: argparse.Namespace, service: Service, jobs: Collection[int]) -> list[JobState]:
    """Renders until these jobs have ended, and returns them; other workers may take some of them.

    An interrupt hands the job at hand back.
    """
    from studio.cli.interrupts import cancelled_by_signals
    from studio.domain.errors import Interrupted
    from studio.store.upgrade import open_database
    from studio.worker.worker import Worker

    database = open_database(args.root)
    worker = Worker(args.root, args.make_renderer, database=database, name=f"command-{os.getpid()}")
    told: set[int] = set()
    try:
        with cancelled_by_signals() as cancel:
            worker.stop = cancel
            while True:
                states = service.queue.jobs(jobs)
                for job in states:
                    if job.state not in ("queued", "running") and job.id not in told:
                        told.add(job.id)
                        print(f"{_told(job)}  ({len(told)} of {len(states)})", file=sys.stderr)
                if len(told) == len(states):
                    return states
                if cancel.is_set():
                    raise Interrupted("interrupted; what is not done waits in the studio's queue")
                if not worker.work_once():
                    time.sleep(0.2)
    finally:
        database.close()


def _told(job: JobState) -> str:
    shot = "a deleted shot" if job.place is None else f"shot {job.place + 1}"
    return f"{shot}: {job.state}" + (f", {job.error}" if job.error else "")
