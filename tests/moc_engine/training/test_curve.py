from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.training.curve import History, draw, smooth
from tests.fakes.pictures import read_picture

PANELS = {"memory": ("shape", "accessory"), "captions": ("count",)}


def test_a_run_without_points_draws_too(tmp_path: Path) -> None:
    draw(History(), tmp_path / "curve.png", PANELS)
    assert read_picture(tmp_path / "curve.png").shape == (480, 1560, 3)


def test_loss_and_recall_are_in_the_picture(tmp_path: Path) -> None:
    draw(History(), tmp_path / "empty.png", PANELS)
    history = History(loss=[(i, 1 / (i + 1)) for i in range(100)])
    history.add_evaluation(50, {"shape": 0.2})
    history.add_evaluation(99, {"shape": 0.9})
    assert history.recall == {"shape": [(50, 0.2), (99, 0.9)]}
    draw(history, tmp_path / "full.png", PANELS)
    empty, full = (read_picture(tmp_path / name) for name in ("empty.png", "full.png"))
    half = empty.shape[1] // 3
    assert (empty[:, :half] != full[:, :half]).any()
    assert (empty[:, half:] != full[:, half:]).any()


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.integers(1, 40))
def test_smoothing_takes_means_over_a_window_that_ends_here(values: list[float], window: int) -> None:
    expected = [np.mean(values[max(0, i + 1 - window) : i + 1]) for i in range(len(values))]
    np.testing.assert_allclose(smooth(values, window), expected, atol=1e-9)
