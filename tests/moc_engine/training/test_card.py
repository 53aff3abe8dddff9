from dataclasses import replace

from moc_engine.training.card import write_card
from moc_engine.training.curve import History
from moc_engine.training.recipes import cpu


def test_the_card_tells_how_the_weights_came_about() -> None:
    card = write_card(cpu(), step=1850, seconds=5400.0, processes=2, origin=None, history=History())
    for row in (
        "recipe | `cpu`",
        "seed | 1",
        f"steps | 1850 of {cpu().steps}",
        "hours | 1.50",
        "processes | 2",
    ):
        assert f"| {row} |" in card
    assert "## Figures" not in card


def test_recall_is_that_of_the_last_examination() -> None:
    history = History()
    history.add_evaluation(10, {"shape": 0.5, "latest_state": 0.25})
    history.add_evaluation(20, {"shape": 0.75})
    card = write_card(cpu(), step=25, seconds=1.0, processes=1, origin=None, history=history)
    assert "After 20 steps" in card
    assert "| shape | 0.750 |" in card
    assert "latest" not in card


def test_the_card_tells_what_was_left_out_and_how_to_do_it_again() -> None:
    plan = replace(cpu(), steps=50, without=("drop",))
    card = write_card(plan, step=50, seconds=1.0, processes=1, origin="weights", history=History())
    assert "| without | drop |" in card
    assert "| started from | `weights` |" in card
    assert "--preset cpu --steps 50 --without drop --from ORIGIN --out DIR" in card
