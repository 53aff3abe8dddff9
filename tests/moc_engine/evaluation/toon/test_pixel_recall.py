import numpy as np
import pytest

from moc_engine.evaluation.measures.scores import Scores
from moc_engine.evaluation.toon.pixel_recall import body_colour, score
from moc_engine.models.animatic.colour import lab_from_linear, linear_from_srgb
from moc_engine.training.toon.drawn_stories import Drawing, DrawnStory, draw
from moc_engine.training.toon.toon_world import ToonWorld

DRAWING = Drawing(world=ToonWorld(cast=(3, 3)), shots=8, frames=1, fps=1.0, size=(80, 48), seed=11)


@pytest.fixture(scope="module")
def drawn() -> list[DrawnStory]:
    return [draw(DRAWING, number) for number in range(4)]


def scored(drawn: list[DrawnStory], *, shuffled: bool = False, own: bool = True) -> Scores:
    scores = Scores()
    for scores.story, story in enumerate(drawn):
        pictures = story.pictures[np.random.default_rng(1).permutation(8)] if shuffled else story.pictures
        score(story, pictures, scores, first_NFYX3=None if own else story.pictures)
    return scores


def test_drawn_stories_remember_all(drawn: list[DrawnStory]) -> None:
    scores = scored(drawn)
    assert np.mean(scores.values("recall")) >= 0.95
    assert 0.3 < np.mean(scores.values("chance")) < 0.6
    assert np.mean(scores.values("colour_error")) < 0.05


def test_pictures_in_another_order_are_not_remembered(drawn: list[DrawnStory]) -> None:
    mixed = scored(drawn, shuffled=True, own=False)
    assert np.mean(mixed.values("recall")) < 0.8
    assert np.mean(mixed.values("colour_error")) > 0.1


def test_a_colour_is_read_in_the_middle_of_the_box() -> None:
    picture = np.zeros((1, 24, 40, 3), dtype=np.uint8)
    picture[0, 8:16, 10:20] = (200, 40, 60)
    box = np.array([[0.25, 1 / 3, 0.5, 2 / 3]], dtype=np.float32)
    wanted = lab_from_linear(linear_from_srgb(np.array((200, 40, 60)) / 255))
    found = body_colour(picture, box)
    assert found is not None
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert body_colour(picture, np.zeros((1, 4), dtype=np.float32)) is None
