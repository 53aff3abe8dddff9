"""Caches of footage: made, completed after a kill, and made again where something has changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moc_engine.errors import DiskFull, EngineError, FolderInUse, FootageError, ModelMismatch, OutOfMemory
from moc_engine.model_index import EMBEDDED
from moc_engine.models.finding import find_model
from moc_engine.models.loading import load_backbone
from moc_engine.sole_use import USERS, sole_use
from moc_engine.training.data.footage.cache_run import CacheReport, CacheRun
from moc_engine.training.data.footage.caching import cache_footage
from moc_engine.training.data.footage.clip_needs import ClipNeeds
from moc_engine.training.data.footage.dataset import STORIES, UNCONDITIONAL, CachedFootage, TrainingStory
from moc_engine.training.data.footage.model_identity import encoders_of, identity_of
from moc_engine.training.data.footage.problems import ProblemPolicy, parse_policy
from moc_engine.training.data.footage.reading_plan import FootageOptions, FootageProgress, plan_of
from tests.fakes.footage_clips import UNREADABLE, moving, write_clip
from tests.fakes.footage_encoders import NEEDS, FakeEncoders
from tests.fakes.small_disk import small_disk
from tests.fakes.wan_folders import wan_t2v_folder


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Two stories: one of three shots with a global caption, one of two."""
    folder = tmp_path / "films"
    for nth, name in enumerate(("a/1", "a/2", "a/3", "b/1", "b/2")):
        write_clip(folder / f"{name}.mp4", moving(nth, 12 + 4 * nth), 16)
        (folder / f"{name}.txt").write_text(f"the fox of shot {nth}")
    (folder / "a" / "style.txt").write_text("ink")
    return folder


def run(
    films: Path,
    folder: Path,
    encoders: FakeEncoders,
    *,
    needs: ClipNeeds = NEEDS,
    policy: ProblemPolicy | None = None,
    told: list[FootageProgress] | None = None,
) -> CacheReport:
    policy = policy or ProblemPolicy()
    needs = replace(needs, left_out=encoders.left_out)
    told = [] if told is None else told
    plan = plan_of(films, needs, FootageOptions(policy=policy), kept=folder / "seen").checked(policy)
    identity = identity_of(encoders, "fake", needs.rate)
    work = CacheRun(folder, identity, encoders, needs, policy, told.append, lambda: None)
    return work.carry_out(plan, str(films))


def content(folder: Path) -> list[tuple[str, list[tuple[str, float, list[float], list[float]]]]]:
    """Everything that stories hold."""

    def shots(story: TrainingStory) -> list[tuple[str, float, list[float], list[float]]]:
        return [
            (s.caption, s.seconds, s.latents.flatten().tolist(), s.states.flatten().tolist())
            for s in story.shots
        ]

    return [(story.name, shots(story)) for story in CachedFootage(folder)]


def test_a_cache_holds_every_shot(films: Path, tmp_path: Path) -> None:
    encoders = FakeEncoders()
    told: list[FootageProgress] = []
    report = run(films, tmp_path / "cache", encoders, told=told)
    assert (report.stories, report.shots, report.made_latents, report.made_states) == (2, 5, 5, 7)
    footage = CachedFootage(tmp_path / "cache")
    assert footage.identity == identity_of(encoders, "fake", 16)
    assert [story.name for story in footage] == ["a", "b"]
    one, two = footage
    assert one.style == "ink"
    assert one.style_states is not None
    torch.testing.assert_close(one.style_states, FakeEncoders().states("ink"))
    assert two.style_states is None
    assert [tuple(shot.latents.shape) for shot in one.shots] == [(3, 3, 6, 8), (3, 4, 6, 8), (3, 5, 6, 8)]
    assert [shot.seconds for shot in one.shots] == [9 / 16, 13 / 16, 17 / 16]
    torch.testing.assert_close(two.shots[1].states, FakeEncoders().states("the fox of shot 4"))
    torch.testing.assert_close(footage.unconditional_states, FakeEncoders().states(""))
    assert report.frames == 3 + 4 + 5 + 6 + 7
    assert [progress.done for progress in told if progress.stage == "encode"] == [0, 1, 2, 3, 4, 5]
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [
        "index.json",
        "seen",
        "stories",
        "unconditional.safetensors",
    ]


def test_nothing_is_made_twice(films: Path, tmp_path: Path) -> None:
    run(films, tmp_path / "cache", FakeEncoders())
    before = content(tmp_path / "cache")
    encoders = FakeEncoders()
    report = run(films, tmp_path / "cache", encoders)
    assert (report.stories, report.made_latents, report.made_states) == (2, 0, 0)
    assert (encoders.encoded, encoders.captions) == (0, [])
    assert content(tmp_path / "cache") == before


def test_a_changed_caption_encodes_its_text_alone(films: Path, tmp_path: Path) -> None:
    run(films, tmp_path / "cache", FakeEncoders())
    (films / "a" / "2.txt").write_text("an otter")
    encoders = FakeEncoders()
    run(films, tmp_path / "cache", encoders)
    assert (encoders.encoded, encoders.captions) == (0, ["an otter"])
    assert CachedFootage(tmp_path / "cache")[0].shots[1].caption == "an otter"
    (films / "a" / "style.txt").write_text("oil")
    encoders = FakeEncoders()
    run(films, tmp_path / "cache", encoders)
    assert (encoders.encoded, encoders.captions) == (0, ["oil"])


def test_a_changed_clip_and_a_new_one_are_encoded_alone(films: Path, tmp_path: Path) -> None:
    run(films, tmp_path / "cache", FakeEncoders())
    write_clip(films / "b" / "1.mp4", moving(9, 20), 16)
    write_clip(films / "b" / "3.mp4", moving(8, 20), 16)
    (films / "b" / "3.txt").write_text("an otter")
    encoders = FakeEncoders()
    run(films, tmp_path / "cache", encoders)
    assert (encoders.encoded, encoders.captions) == (2, ["an otter"])
    assert len(CachedFootage(tmp_path / "cache")[1].shots) == 3


def test_moved_and_removed_clips_need_no_encoding(films: Path, tmp_path: Path) -> None:
    run(films, tmp_path / "cache", FakeEncoders())
    for suffix in (".mp4", ".txt"):
        (films / "a" / f"1{suffix}").rename(films / "b" / f"9{suffix}")
    (films / "a" / "2.mp4").unlink()
    encoders = FakeEncoders()
    run(films, tmp_path / "cache", encoders)
    assert encoders.encoded == 0
    assert [[shot.caption[-1] for shot in story.shots] for story in CachedFootage(tmp_path / "cache")] == [
        ["2"],
        ["3", "4", "0"],
    ]
    shutil.rmtree(films / "a")
    run(films, tmp_path / "cache", encoders)
    assert [story.name for story in CachedFootage(tmp_path / "cache")] == ["b"]
    assert len(list((tmp_path / "cache" / STORIES).iterdir())) == 1


def test_another_size_rate_or_autoencoder_encodes_frames_anew(films: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run(films, cache, FakeEncoders())
    for encoders, needs in (
        (FakeEncoders(), replace(NEEDS, size=(48, 32))),
        (FakeEncoders(), replace(NEEDS, rate=12.0)),
        (FakeEncoders(video="means-2"), NEEDS),
    ):
        report = run(films, cache, encoders, needs=needs)
        assert (encoders.encoded, encoders.captions, report.made_states) == (5, [], 0)


def test_a_cache_of_another_model_is_left_alone(films: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run(films, cache, FakeEncoders())
    before = content(cache)
    with pytest.raises(FootageError, match="another model"):
        run(films, cache, FakeEncoders(text="words-2"))
    assert content(cache) == before


def test_stories_of_other_footage_stay(films: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    run(films, cache, FakeEncoders())
    other = tmp_path / "other"
    write_clip(other / "c" / "1.mp4", moving(11, 20), 16)
    (other / "c" / "1.txt").write_text("an otter")
    run(other, cache, FakeEncoders())
    assert [story.name for story in CachedFootage(cache)] == ["a", "b", "c"]
    (other / "c").rename(other / "a")
    with pytest.raises(FootageError, match="holds a story 'a' of other footage"):
        run(other, cache, FakeEncoders())


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_story_is_made_again(films: Path, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    run(films, cache, FakeEncoders())
    before = content(cache)
    file = cache / STORIES / CachedFootage(cache).entries[1].file
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    if damage == "missing":
        file.unlink()
    encoders = FakeEncoders()
    run(films, cache, encoders)
    assert encoders.encoded == 2
    assert content(cache) == before


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_damaged_states_of_the_empty_caption_are_made_again(films: Path, tmp_path: Path, damage: str) -> None:
    cache = tmp_path / "cache"
    run(films, cache, FakeEncoders())
    before = content(cache)
    file = cache / UNCONDITIONAL
    file.write_bytes(file.read_bytes()[:-1])
    if damage == "missing":
        file.unlink()
    with pytest.raises(FootageError, match="make the cache again"):
        CachedFootage(cache)
    encoders = FakeEncoders()
    run(films, cache, encoders)
    assert encoders.encoded == 0
    assert content(cache) == before


def test_files_that_cannot_be_read_cost_no_others(films: Path, tmp_path: Path) -> None:
    for nth, make in enumerate(UNREADABLE.values()):
        make(films / "b" / f"bad {nth}.mp4")
    report = run(films, tmp_path / "cache", FakeEncoders())
    assert (report.shots, len([p for p in report.problems if p.kind == "unreadable"])) == (5, len(UNREADABLE))
    with pytest.raises(FootageError, match=r"the footage is refused: .*bad"):
        run(films, tmp_path / "cache", FakeEncoders(), policy=parse_policy(["unreadable=refuse"]))


class Vanishing(FakeEncoders):
    """Removes a clip after it was looked at, before it is encoded."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def states(self, caption: str) -> torch.Tensor:
        self._file.unlink(missing_ok=True)
        return super().states(caption)


def test_a_file_that_vanishes_meanwhile_is_named(films: Path, tmp_path: Path) -> None:
    report = run(films, tmp_path / "cache", Vanishing(films / "a" / "2.mp4"))
    assert report.shots == 4
    (problem,) = report.problems
    assert (problem.file, problem.kind) == (films / "a" / "2.mp4", "unreadable")
    write_clip(films / "a" / "2.mp4", moving(1, 16), 16)
    encoders = FakeEncoders()
    assert run(films, tmp_path / "cache", encoders).shots == 5
    assert encoders.encoded == 1
    refuse = parse_policy(["unreadable=refuse"])
    with pytest.raises(FootageError, match="refused"):
        run(films, tmp_path / "other", Vanishing(films / "a" / "2.mp4"), policy=refuse)


class Exhausted(FakeEncoders):
    """Runs out of memory."""

    def latents(self, frames: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


class Infinite(FakeEncoders):
    """Gives numbers that are none."""

    def latents(self, frames: object) -> torch.Tensor:
        return torch.full((3, 1, 6, 8), float("nan"))


def test_errors_of_encoding_are_put_into_words(films: Path, tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory, match=r"1\.mp4 was encoded: 9 frames of 64×48; lower the size"):
        run(films, tmp_path / "cache", Exhausted())
    with pytest.raises(FootageError, match=r"1\.mp4 are not finite"):
        run(films, tmp_path / "cache", Infinite())
    assert run(films, tmp_path / "cache", FakeEncoders()).shots == 5


def test_room_is_looked_at_before(films: Path, tmp_path: Path) -> None:
    encoders = FakeEncoders()
    full = pytest.raises(DiskFull, match="choose another folder, or fewer or smaller shots")
    with small_disk(tmp_path / "disk") as disk, full:
        run(films, disk.place / "cache", encoders)
    assert (encoders.encoded, encoders.captions) == (0, [])


def test_a_folder_of_other_things_is_left_alone(films: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.doc").touch()
    wan_t2v_folder(tmp_path / "wan")
    with pytest.raises(FootageError, match="no cache of footage, and not empty"):
        cache_footage(films, tmp_path / "wan", tmp_path / "mine", device="cpu")


KILLED = """
import os, signal, sys
from pathlib import Path
from moc_engine.sole_use import USERS, sole_use
from moc_engine.training.data.footage.cache_run import CacheRun
from moc_engine.training.data.footage.model_identity import identity_of
from moc_engine.training.data.footage.reading_plan import FootageOptions, plan_of
from moc_engine.training.data.footage.problems import ProblemPolicy
from tests.fakes.footage_encoders import NEEDS, FakeEncoders

def killed_at(point, films, folder):
    count = 0
    def check():
        nonlocal count
        count += 1
        if count == point:
            os.kill(os.getpid(), signal.SIGKILL)
    policy = ProblemPolicy()
    encoders = FakeEncoders()
    plan = plan_of(films, NEEDS, FootageOptions(), kept=folder / "seen", check=check)
    identity = identity_of(encoders, "fake", 16)
    CacheRun(folder, identity, encoders, NEEDS, policy, lambda p: None, check).carry_out(plan, str(films))

films, folder = Path(sys.argv[1]), Path(sys.argv[2])
for point in map(int, sys.argv[3:]):
    child = os.fork()
    if child == 0:
        killed_at(point, films, folder)
        os._exit(0)
    print(os.waitpid(child, 0)[1])
"""


def test_a_cache_that_another_process_makes_is_left_alone(films: Path, tmp_path: Path) -> None:
    wan_t2v_folder(tmp_path / "wan")
    cache = tmp_path / "cache"
    with (
        sole_use(cache / USERS, ""),
        pytest.raises(FolderInUse, match=f"caching footage in {cache}; wait for its end"),
    ):
        cache_footage(films, tmp_path / "wan", cache, device="cpu")
    assert not cache.exists()


def test_a_killed_run_goes_on(films: Path, tmp_path: Path) -> None:
    """Killed again and again, at points that move through looking, captions, frames and stories."""
    points = [3, 60, 9, 14, 20, 40, 10_000]
    command = [sys.executable, "-c", KILLED, str(films), str(tmp_path / "cache"), *map(str, points)]
    root = Path(__file__).parents[5]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ends = [int(line) for line in done.stdout.split()]
    assert ends[0] == 9
    assert ends.count(9) >= 4
    assert ends[-1] == 0
    run(films, tmp_path / "unbroken", FakeEncoders())
    assert content(tmp_path / "cache") == content(tmp_path / "unbroken")
    encoders = FakeEncoders()
    run(films, tmp_path / "cache", encoders)
    assert (encoders.encoded, encoders.captions) == (0, [])


def test_an_interrupt_keeps_what_is_made(films: Path, tmp_path: Path) -> None:
    class Interrupted(FakeEncoders):
        def latents(self, frames: object) -> torch.Tensor:
            if self.encoded == 3:
                raise KeyboardInterrupt
            return super().latents(frames)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt):
        run(films, tmp_path / "cache", Interrupted())
    assert [story.name for story in CachedFootage(tmp_path / "cache")] == ["a"]
    encoders = FakeEncoders()
    run(films, tmp_path / "cache", encoders)
    assert (encoders.encoded, encoders.captions) == (2, [])


def test_a_model_s_own_encoders(films: Path, tmp_path: Path) -> None:
    """Latents and states are those that the model itself would have made of the frames and captions."""
    wan_t2v_folder(tmp_path / "wan")
    for clip in (films / "a").glob("*"):
        clip.unlink()
    (films / "b" / "1.txt").write_text("a fox")
    options = FootageOptions(size=(64, 48), frames=9)
    report = cache_footage(films, tmp_path / "wan", tmp_path / "cache", options=options, device="cpu")
    assert (report.shots, report.made_states) == (2, 3)
    footage = CachedFootage(tmp_path / "cache")
    backbone = load_backbone(tmp_path / "wan", "cpu")
    encoders = encoders_of(find_model(tmp_path / "wan"), "cpu")
    assert footage.identity == identity_of(encoders, "wan", 16)
    assert footage.identity.latent_space == backbone.latent_space
    shot = footage[0].shots[0]
    assert shot.latents.shape == (16, 3, 6, 8)
    states = backbone.family.captions("", "a fox", ()).states_BSE[0]
    torch.testing.assert_close(shot.states, states[: len(shot.states)])
    assert not states[len(shot.states) :].any()
    again = cache_footage(films, str(tmp_path / "wan"), tmp_path / "cache", options=options, device="cpu")
    assert (again.made_latents, again.made_states) == (0, 0)


def test_models_that_cannot_be_trained_on_footage_are_named(films: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match="cannot be trained on footage"):
        cache_footage(films, EMBEDDED, tmp_path / "cache", device="cpu")
    with pytest.raises(EngineError, match="nowhere"):
        cache_footage(films, tmp_path / "nowhere", tmp_path / "cache", device="cpu")
    assert not (tmp_path / "cache").exists()
