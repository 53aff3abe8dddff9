from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from moc_engine.clip import ClipWriter
from moc_engine.stored_file import LocalFile
from studio.domain.errors import BadRecipe, Refused
from studio.exchange import mp4
from studio.exchange.mp4 import JoinedFilm, Piece, recipe_in
from tests.fakes.renderer import write_clip

COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))


def clips(tmp_path: Path, *seconds: float, fps: float = 24.0) -> list[Path]:
    made = []
    for index, length in enumerate(seconds):
        made.append(tmp_path / f"{index}.mp4")
        write_clip(made[-1], COLOURS[index % 3], seconds=length, fps=fps, size=(96, 64))
    return made


def join(parts: list[Path], film: Path, *, title: str, recipe: Mapping[str, object]) -> JoinedFilm:
    """Joins whole clips."""
    pieces = [Piece(clip=LocalFile(part), first=0, frames=10_000, name=part.stem) for part in parts]
    return mp4.join(pieces, film, title=title, recipe=recipe)


def reencoded(clip: Path, target: Path, **options: str) -> None:
    """The clip by another encoder's settings, as another version of it may write."""
    with av.open(clip) as source, av.open(target, "w") as output:
        track = source.streams.video[0]
        stream = output.add_stream("libx264", rate=track.average_rate, options=options)
        stream.width, stream.height = track.width, track.height
        stream.pix_fmt = options.get("pix_fmt", "yuv420p")
        for frame in source.decode(track):
            frame.pict_type = PictureType.NONE
            output.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
        output.mux(stream.encode())


def decoded(film: Path) -> tuple[list[np.ndarray], list[float]]:
    with av.open(film) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in frames], [frame.time for frame in frames]


@pytest.mark.parametrize("fps", [24.0, 25.0, 23.976, 1.0, 60.0])
def test_a_film_is_its_clips_one_after_the_other(tmp_path: Path, fps: float) -> None:
    parts = clips(tmp_path, 1.0, 0.5, 2.0, fps=fps)
    film = tmp_path / "film.mp4"
    count = join(parts, film, title="A film", recipe={}).frames
    frames, times = decoded(film)
    originals = [frame for part in parts for frame in decoded(part)[0]]
    assert count == len(frames) == len(originals)
    assert all((a == b).all() for a, b in zip(frames, originals, strict=True))
    assert np.allclose(times, np.arange(count) / fps, atol=2e-3)


def test_clips_of_a_single_frame(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    assert join(clips(tmp_path, 0.5, 0.5, fps=2.0), film, title="x", recipe={}).frames == 2
    assert len(decoded(film)[0]) == 2


def test_nothing_is_encoded_again(tmp_path: Path) -> None:
    parts = clips(tmp_path, 1.0, 1.0)
    film = tmp_path / "film.mp4"
    join(parts, film, title="x", recipe={})
    assert _payload(film) == [packet for part in parts for packet in _payload(part)]


def test_the_index_stands_before_the_pictures(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    join(clips(tmp_path, 1.0), film, title="x", recipe={})
    data = film.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_the_recipe_comes_back_whole(tmp_path: Path) -> None:
    recipe = {"captions": ["“Żółw” 世界 🐢 <b>&amp;</b>", '"quotes" \\ and\nlines'] * 500, "seed": 2**62}
    film = tmp_path / "film.mp4"
    join(clips(tmp_path, 0.5), film, title="Żółw", recipe=recipe)
    assert recipe_in(film) == recipe
    with av.open(film) as container:
        assert container.metadata["title"] == "Żółw"
        assert json.loads(container.metadata["comment"]) == recipe


def test_a_film_without_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(BadRecipe, match="carries no recipe"):
        recipe_in(clips(tmp_path, 0.5)[0])


@pytest.mark.parametrize(("size", "fps"), [((128, 64), 24.0), ((96, 64), 12.0)])
def test_clips_that_do_not_fit_together_leave_no_film(
    tmp_path: Path, size: tuple[int, int], fps: float
) -> None:
    parts = clips(tmp_path, 0.5)
    parts.append(tmp_path / "other.mp4")
    write_clip(parts[-1], COLOURS[0], seconds=0.5, fps=fps, size=size)
    with pytest.raises(Refused, match="other"):
        join(parts, tmp_path / "film.mp4", title="x", recipe={})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.mp4", "other.mp4"]


def _payload(film: Path) -> list[bytes]:
    with av.open(film) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def test_of_a_trimmed_clip_the_part_that_shows(tmp_path: Path) -> None:
    first, second, third = clips(tmp_path, 1.0, 1.5, 1.0, fps=12.0)
    film = tmp_path / "film.mp4"
    pieces = [
        Piece(clip=LocalFile(first), first=0, frames=12, name="first"),
        Piece(clip=LocalFile(second), first=5, frames=7, name="second"),
        Piece(clip=LocalFile(third), first=0, frames=4, name="third"),
    ]
    assert mp4.join(pieces, film, title="x", recipe={}).frames == 23
    frames, times = decoded(film)
    whole = [decoded(clip)[0] for clip in (first, second, third)]
    wanted = [*whole[0], *whole[1][5:12], *whole[2][:4]]
    assert len(frames) == len(wanted)
    assert all(np.abs(a.astype(int) - b).mean() < 3 for a, b in zip(frames, wanted, strict=True))
    assert np.allclose(times, np.arange(23) / 12, atol=2e-3)
    assert _payload(film)[:12] == _payload(first)


ENCODINGS = {
    "other parameters": {"profile": "baseline", "preset": "ultrafast"},
    "no compression": {"qp": "0", "preset": "ultrafast"},
    "other colours": {"pix_fmt": "yuv444p"},
}


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=ENCODINGS.keys())
def test_what_another_encoder_wrote_is_encoded_again(tmp_path: Path, options: dict[str, str]) -> None:
    parts = clips(tmp_path, 0.5, 0.5, 0.5)
    parts[1] = tmp_path / "other.mp4"
    reencoded(tmp_path / "1.mp4", parts[1], **options)
    film = tmp_path / "film.mp4"
    joined = join(parts, film, title="x", recipe={"seed": 1})
    assert joined == JoinedFilm(frames=36, encoded_again=("other",))
    assert recipe_in(film) == {"seed": 1, "encoded_again": ["other"]}
    frames, times = decoded(film)
    assert [int(frame.mean(axis=(0, 1)).argmax()) for frame in frames] == [0] * 12 + [1] * 12 + [2] * 12
    assert np.allclose(times, np.arange(36) / 24, atol=2e-3)
    assert _payload(film)[:12] == _payload(parts[0])  # what fits is copied


def test_where_most_clips_are_of_another_encoder_all_are_encoded_again(tmp_path: Path) -> None:
    parts = clips(tmp_path, 0.5, 0.5, 0.5)
    for number in (0, 2):
        parts[number] = tmp_path / f"other-{number}.mp4"
        reencoded(tmp_path / f"{number}.mp4", parts[number], profile="baseline")
    joined = join(parts, tmp_path / "film.mp4", title="x", recipe={})
    assert joined.encoded_again == ("other-0", "1", "other-2")
    frames, _ = decoded(tmp_path / "film.mp4")
    assert [int(frame.mean(axis=(0, 1)).argmax()) for frame in frames] == [0] * 12 + [1] * 12 + [2] * 12


@pytest.mark.parametrize("rate", [Fraction(2997, 125), Fraction(24_000, 1001), Fraction(2997, 100)])
def test_a_part_of_a_clip_keeps_the_frame_rate_of_the_clip(tmp_path: Path, rate: Fraction) -> None:
    whole, trimmed = tmp_path / "whole.mp4", tmp_path / "trimmed.mp4"
    for clip in (whole, trimmed):
        with ClipWriter(clip, (96, 64), rate) as writer:
            for _ in range(24):
                writer.write(np.zeros((64, 96, 3), dtype=np.uint8))
    pieces = [
        Piece(clip=LocalFile(whole), first=0, frames=24, name="shot 1"),
        Piece(clip=LocalFile(trimmed), first=6, frames=12, name="shot 2"),
    ]
    film = tmp_path / "film.mp4"
    assert mp4.join(pieces, film, title="A film", recipe={}).frames == 36
    with av.open(film) as container:
        assert container.streams.video[0].average_rate == rate
