import numpy as np
import pytest

from moc_engine.models.animatic.world import NAMES
from moc_engine.training.toon.toon_world import ToonStory, ToonWorld, sample_toon_story


def story(world: ToonWorld | None = None, seed: int = 3, shots: int = 8) -> ToonStory:
    return sample_toon_story(np.random.default_rng(seed), world or ToonWorld(), shots=shots, seconds=1.0)


def test_characters_first_appear_alone_and_return_undescribed() -> None:
    returns = 0
    for seed in range(6):
        seen: set[int] = set()
        for shot in story(ToonWorld(cast=(3, 3), together=0.5), seed).shots:
            names = {NAMES[shown.cast] for shown in shot.shown}
            assert all(name in shot.caption for name in names)
            for shown in shot.shown:
                assert (shown.absence is None) == (shown.cast not in seen)
                if shown.absence is None:
                    assert len(shot.shown) == 1
                else:
                    assert not shown.described
                    returns += 1
            seen |= {shown.cast for shown in shot.shown}
        assert len(seen) == 3
    assert returns > 20


def test_a_described_character_is_told_in_its_caption() -> None:
    told = [shot for seed in range(8) for shot in story(seed=seed).shots if shot.shown[0].described]
    assert told
    assert all("creature" in shot.caption for shot in told)


def test_two_members_of_a_cast_never_have_a_colour_of_one_name() -> None:
    for seed in range(8):
        colours = {shown.cast: shown.rgb for shot in story(seed=seed).shots for shown in shot.shown}
        assert len(set(colours.values())) == len(colours)


def test_the_same_state_gives_the_same_story() -> None:
    one, two = story(), story()
    assert [shot.caption for shot in one.shots] == [shot.caption for shot in two.shots]
    assert all(
        np.array_equal(a.scene.values, b.scene.values) for a, b in zip(one.shots, two.shots, strict=True)
    )


def test_a_cast_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cast: must rise within 1–8, got \(3, 2\)"):
        ToonWorld(cast=(3, 2))
