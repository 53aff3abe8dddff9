"""The cache of footage: what is written is read again, and what is damaged is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.cache_index import INDEX, CacheIdentity
from moc_engine.training.data.footage.dataset import (
    STORIES,
    CachedFootage,
    CacheWriter,
    TrainingShot,
    TrainingStory,
    write_story,
)

MADE_BY = CacheIdentity(latent_space="wan-4c4t8s-1", text_encoder="abc", model="tiny", rate=16.0)
NOTHING = torch.full((1, 6), 0.5)


def story(name: str, seed: int | None = None, *, shots: int = 2, style: str = "") -> TrainingStory:
    generator = torch.Generator().manual_seed(sum(name.encode()) if seed is None else seed)
    made = tuple(
        TrainingShot(
            latents=torch.randn(4, 1 + at, 2, 3, generator=generator),
            states=torch.randn(3 + at, 6, generator=generator, dtype=torch.float32).bfloat16(),
            caption=f"{name} walks, part {at}",
            seconds=0.5 + at,
        )
        for at in range(shots)
    )
    states = torch.randn(2, 6, generator=generator) if style else None
    return TrainingStory(name=name, style_states=states, shots=made, style=style)


def write(folder: Path, *stories: TrainingStory) -> None:
    with CacheWriter(folder, MADE_BY, NOTHING) as cache:
        for one in stories:
            cache.add(one)


def assert_equal(found: TrainingStory, made: TrainingStory) -> None:
    assert (found.name, found.style, len(found.shots)) == (made.name, made.style, len(made.shots))
    for there, shot in zip(found.shots, made.shots, strict=True):
        assert (there.caption, there.seconds) == (shot.caption, shot.seconds)
        torch.testing.assert_close(there.latents, shot.latents, rtol=0, atol=0)
        torch.testing.assert_close(there.states, shot.states, rtol=0, atol=0)
    assert (found.style_states is None) == (made.style_states is None)
    if found.style_states is not None:
        torch.testing.assert_close(found.style_states, made.style_states, rtol=0, atol=0)


def test_an_emphasis_is_read_as_it_was_written_and_is_of_the_size_of_the_latents(tmp_path: Path) -> None:
    plain = story("one")
    emphasis = torch.rand(1, 2, 3, generator=torch.Generator().manual_seed(0))
    first = replace(plain.shots[0], emphasis=emphasis)
    write(tmp_path, replace(plain, shots=(first, plain.shots[1])))
    found = CachedFootage(tmp_path)[0].shots
    assert found[0].emphasis is not None
    assert torch.equal(found[0].emphasis, emphasis)
    assert found[1].emphasis is None
    with pytest.raises(ValueError, match="shots: emphasis of one, shot 1"):
        replace(plain, shots=(replace(first, emphasis=emphasis[:, :1]),))


def test_stories_are_read_as_they_were_written(tmp_path: Path) -> None:
    made = story("Mira/Küche", 1, style="ink"), story("..", 2, shots=3)
    write(tmp_path / "new" / "cache", *made)
    footage = CachedFootage(tmp_path / "new" / "cache")
    assert footage.identity == MADE_BY
    torch.testing.assert_close(footage.unconditional_states, NOTHING)
    assert len(footage) == 2
    for found, one in zip(footage, made, strict=True):
        assert_equal(found, one)
    assert [found.name for found in footage[-1:]] == [".."]
    with pytest.raises(IndexError):
        footage[2]
    assert list(footage.damaged()) == []


def test_the_index_tells_sizes_without_reading(tmp_path: Path) -> None:
    write(tmp_path, story("a", shots=2, style="ink"))
    (entry,) = CachedFootage(tmp_path).entries
    assert [shot.shape for shot in entry.shots] == [(4, 1, 2, 3), (4, 2, 2, 3)]
    assert [shot.states for shot in entry.shots] == [3, 4]
    assert entry.style_states == 2


def test_one_story_is_added_to_a_cache(tmp_path: Path) -> None:
    write(tmp_path, story("a"))
    write_story(tmp_path, story("b", 5))
    assert_equal(CachedFootage(tmp_path)[1], story("b", 5))
    with pytest.raises(FootageError, match="no cache of footage"):
        write_story(tmp_path / "elsewhere", story("c"))


def test_a_story_of_the_same_name_is_replaced(tmp_path: Path) -> None:
    write(tmp_path, story("a"), story("b"))
    write_story(tmp_path, story("a", 7))
    footage = CachedFootage(tmp_path)
    assert [entry.name for entry in footage.entries] == ["a", "b"]
    assert_equal(footage[0], story("a", 7))
    assert len(list((tmp_path / STORIES).iterdir())) == 2


def test_only_some_are_kept_and_in_order(tmp_path: Path) -> None:
    write(tmp_path, story("a"), story("b"), story("c"))
    with CacheWriter(tmp_path, MADE_BY, NOTHING) as cache:
        cache.keep_only(["c", "a", "not there"])
    assert [found.name for found in CachedFootage(tmp_path)] == ["c", "a"]
    assert len(list((tmp_path / STORIES).iterdir())) == 2


def test_what_was_added_before_an_error_is_kept(tmp_path: Path) -> None:
    with pytest.raises(KeyError), CacheWriter(tmp_path, MADE_BY, NOTHING) as cache:
        cache.add(story("a"))
        raise KeyError
    assert [found.name for found in CachedFootage(tmp_path)] == ["a"]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    write(tmp_path, story("a"))
    index = (tmp_path / INDEX).read_bytes()
    write_story(tmp_path, story("b"))
    (tmp_path / INDEX).write_bytes(index)  # as if it had been killed before the index was written
    assert [found.name for found in CachedFootage(tmp_path)] == ["a"]
    write_story(tmp_path, story("c"))
    assert [found.name for found in CachedFootage(tmp_path)] == ["a", "c"]
    assert len(list((tmp_path / STORIES).iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "a folder"])
def test_a_damaged_story_is_named(tmp_path: Path, damage: str) -> None:
    write(tmp_path, story("a"), story("b", 2), story("c", 3))
    file = tmp_path / STORIES / CachedFootage(tmp_path).entries[1].file
    data = bytearray(file.read_bytes())
    file.unlink()
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "changed":
        data[-1] ^= 1
        file.write_bytes(data)
    elif damage == "a folder":
        file.mkdir()
    footage = CachedFootage(tmp_path)
    with pytest.raises(FootageError, match=file.name):
        footage[1]
    assert [name for name, why in footage.damaged() if file.name in why] == ["b"]
    assert_equal(footage[2], story("c", 3))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "damaged"),
        ("[]", "damaged"),
        ('{"version": 2}', "newer version"),
        ('{"version": 1, "made_by": {}, "unconditional": "", "stories": []}', "damaged"),
        ('{"version": 1, "stories": [{"shots": [{"shape": [1]}]}]}', "damaged"),
    ],
)
def test_a_damaged_index_is_named(tmp_path: Path, text: str, words: str) -> None:
    write(tmp_path, story("a"))
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(FootageError, match=words) as error:
        CachedFootage(tmp_path)
    assert str(tmp_path / INDEX) in str(error.value)


def test_an_index_names_no_file_elsewhere(tmp_path: Path) -> None:
    write(tmp_path, story("a"))
    record = json.loads((tmp_path / INDEX).read_text())
    record["stories"][0]["file"] = "../../a.safetensors"
    (tmp_path / INDEX).write_text(json.dumps(record))
    with pytest.raises(FootageError, match="lies elsewhere"):
        CachedFootage(tmp_path)


def test_a_cache_is_of_one_model(tmp_path: Path) -> None:
    write(tmp_path, story("a"))
    for other in (replace(MADE_BY, latent_space="wan-4c4t8s-2"), replace(MADE_BY, text_encoder="abd")):
        with pytest.raises(FootageError, match="another model"):
            CacheWriter(tmp_path, other, NOTHING)
    write(tmp_path, story("b"))
    assert len(CachedFootage(tmp_path)) == 2


@pytest.mark.parametrize("shape", [(4, 1, 3, 2), (5, 1, 2, 3)])
def test_shots_of_a_story_have_one_size(shape: tuple[int, int, int, int]) -> None:
    other = TrainingShot(latents=torch.zeros(shape), states=NOTHING, caption="x", seconds=1.0)
    with pytest.raises(ValueError, match="differ in size"):
        TrainingStory(name="a", style_states=None, shots=(*story("a").shots, other))


def test_a_story_has_shots_and_states_of_one_width() -> None:
    with pytest.raises(ValueError, match="has none"):
        TrainingStory(name="a", style_states=None, shots=())
    with pytest.raises(ValueError, match="width"):
        TrainingStory(name="a", style_states=torch.zeros(2, 5), shots=story("a").shots)
