"""The same storyboard and seeds give the same frames, by the model that comes with the engine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import av

from studio.cli.main import main

SHOTS = int(os.environ.get("SOAK_SAME_SHOTS", "3"))

DOINGS = (
    "waves in the meadow",
    "runs right on the beach",
    "jumps in the forest, it rains",
    "sleeps in the room",
)


def storyboard() -> str:
    """Each shot looks back at those before it."""
    captions = [f"{('Mira', 'Otto')[n % 2]} {DOINGS[n % 4]}" for n in range(SHOTS)]
    return json.dumps(
        {
            "title": "Twice",
            "size": "160x96",
            "fps": 12,
            "cast": [{"name": "Mira", "look": "a yellow round creature"}, {"name": "Otto"}],
            "shots": [{"caption": caption, "seconds": 1} for caption in captions],
        }
    )


def frames(film: Path) -> list[list[str]]:
    """The digests of the frames of each shot's clip, in order."""
    found = []
    for clip in sorted(film.glob("takes/*/clip.mp4")):
        with av.open(clip) as opened:
            pictures = [frame.to_ndarray(format="rgb24") for frame in opened.decode(video=0)]
        found.append([hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures])
    return found


def test_two_processes_render_the_same_frames(tmp_path: Path) -> None:
    story = tmp_path / "story.yaml"
    story.write_text(storyboard())
    here, there, other = tmp_path / "here", tmp_path / "there", tmp_path / "other"
    assert main(["render", str(story), "--out", str(here)]) == 0
    again = [sys.executable, "-m", "studio.cli", "render", str(story), "--out", str(there)]
    subprocess.run(again, check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"}, capture_output=True)
    assert main(["render", str(story), "--out", str(other), "--shots", "1", "--seed", "8"]) == 0
    first, second = frames(here), frames(there)
    assert [len(shot) for shot in first] == [12] * SHOTS
    same = sum(one == two for one, two in zip(first, second, strict=True))
    print(f"\n{same} of {SHOTS} shots have the same frames")
    assert same == SHOTS
    assert len({shot[0] for shot in first}) == SHOTS  # and are not all one
    assert frames(other)[0] != first[0]
