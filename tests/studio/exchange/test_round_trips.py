"""How long a timeline command takes, from the request to the whole answer, while the real model renders."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from studio.domain.storyboard import CastMember, Shot, Storyboard
from studio.service.rendering import MOST_VARIATIONS
from studio.store.database import Database
from tests.fakes.inline_studio import Studio as Inline
from tests.fakes.studio import Studio

COMMANDS = int(os.environ.get("SOAK_COMMANDS", "20"))
SHOTS = 40
MOST = 0.1 if "SOAK_COMMANDS" in os.environ else 10.0
"""Seconds that 95 of 100 stay below; machines that run all tests at once are given longer."""


BOARD = Storyboard(
    title="Forty",
    size=(320, 180),
    fps=Fraction(12),
    cast=(CastMember(name="Mira", look="red"), CastMember(name="Otto")),
    shots=tuple(
        Shot(
            id=f"s{n}",
            caption=f"Mira waves in the {('meadow', 'forest', 'city')[n % 3]} with Otto",
            seconds=1.0 if n else 4.0,
        )
        for n in range(SHOTS)
    ),
)


class Page:
    """What a page asks of a studio, over one connection that stays open."""

    def __init__(self, studio: Studio) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", studio.port, timeout=60)

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        headers = {} if body is None else {"content-type": "application/json"}
        sent = None if body is None else json.dumps(body).encode()
        self._connection.request(method, f"/api{path}", sent, headers)
        answer = self._connection.getresponse()
        said = answer.read()
        assert answer.status < 300, said
        return json.loads(said) if said else None


def test_a_command_answers_quickly_while_the_model_renders(database: Database, tmp_path: Path) -> None:
    """Every shot has a take that looked at all before it; the first is rendered with more seeds."""
    project = Inline(tmp_path, database).rendered(BOARD)
    database.close()
    studio = Studio(tmp_path, real=True)
    try:
        with Page(studio) as ask:
            ask("POST", f"/projects/{project}/shots/s0/reroll", {"count": MOST_VARIATIONS})
            while running(ask)["stage"] != "denoise":
                time.sleep(0.2)
            seconds = []
            for number, command in enumerate(commands()):
                if number % 20 == 19:  # so that it lasts
                    ask("POST", f"/projects/{project}/shots/s0/reroll", {"count": MOST_VARIATIONS})
                seconds.append(timed(ask, project, command))
            running(ask)
    finally:
        studio.stop()
    print(f"\n{told(seconds)}")
    assert p95(seconds) < MOST


def timed(ask: Page, project: str, command: dict[str, Any]) -> float:
    """The round trip of a command, after what a page asks besides."""
    time.sleep(0.1)
    ask("GET", f"/projects/{project}/status")
    base = ask("GET", f"/projects/{project}")["revision"]
    began = time.perf_counter()
    state = ask("POST", f"/projects/{project}/edits", {"base": base, "edit": command})
    took = time.perf_counter() - began
    assert state["revision"] - base in (0, 1)  # 0 where a shot was moved to where it is
    return took


def running(ask: Page) -> Any:
    """The job that runs; there must be one."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        for job in ask("GET", "/queue")["jobs"]:
            assert job["state"] != "failed", job["error"]
            if job["state"] == "running":
                return job
        time.sleep(0.1)
    raise AssertionError("nothing runs")


def commands() -> Iterator[dict[str, Any]]:
    """What hands on a timeline do: words, lengths, places, seeds, by turns."""
    for turn in range(COMMANDS):
        shot = f"s{1 + turn * 7 % (SHOTS - 1)}"
        yield (
            {"op": "caption", "shot": shot, "caption": f"Otto runs in the meadow {turn}"},
            {"op": "trim", "shot": shot, "trim": 0.0, "seconds": 1.5 + turn / 1000},
            {"op": "move", "shots": [shot], "to": 1 + (turn + 20) % (SHOTS - 1)},
            {"op": "seed", "shot": shot, "seed": turn},
        )[turn % 4]


def p95(seconds: list[float]) -> float:
    return sorted(seconds)[max(0, round(0.95 * len(seconds)) - 1)]


def told(seconds: list[float]) -> str:
    middle = sorted(seconds)[len(seconds) // 2]
    return f"{len(seconds)} commands: p50 {middle * 1000:.0f} ms, p95 {p95(seconds) * 1000:.0f} ms"
