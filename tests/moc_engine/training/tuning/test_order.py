from moc_engine.training.data.footage.cache_index import ShotEntry, StoryEntry
from moc_engine.training.tuning.order import StoryOrder, split_held_out


def _entries(*shots: int) -> list[StoryEntry]:
    return [
        StoryEntry(
            name=f"story {number}",
            file="f",
            digest="d",
            shots=tuple(
                ShotEntry(caption="", seconds=1.0, shape=(16, at + 1, 4, 4), states=1) for at in range(count)
            ),
        )
        for number, count in enumerate(shots)
    ]


def test_an_epoch_takes_every_story_once_in_an_order_of_its_own() -> None:
    order = StoryOrder(_entries(*[3] * 8), shots=(1, 3), seed=1)
    epochs = [[item.story for step in range(4) for item in order.step(4 * n + step, 2)] for n in (0, 1)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert epochs[0] == [item.story for step in range(4) for item in order.step(step, 2)]


def test_the_stories_of_a_step_have_equally_many_shots_as_far_as_they_are_so_long() -> None:
    order = StoryOrder(_entries(5, 5, 5, 1, 5, 5), shots=(2, 4), seed=3)
    counts = set()
    for step in range(40):
        items = order.step(step, 3)
        long = {item.shots for item in items if item.story != 3}
        assert len(long) == 1
        counts |= long
        assert all(item.shots == 1 and item.first == 0 for item in items if item.story == 3)
        assert all(item.first + item.shots <= 5 for item in items)
    assert counts == {2, 3, 4}


def test_the_shapes_are_those_of_the_shots_that_are_used() -> None:
    order = StoryOrder(_entries(6), shots=(2, 2), seed=0)
    item = order.step(0, 1)[0]
    assert [shape[1] for shape in order.shapes(item)] == [item.first + 1, item.first + 2]


def test_the_items_of_a_run_are_counted_through_all_steps() -> None:
    order = StoryOrder(_entries(*[4] * 5), shots=(2, 4), seed=2)
    assert [item.number for item in order.step(3, 4)] == [12, 13, 14, 15]


def test_held_out_stories_are_not_trained_on_and_one_is_left_to_train_on() -> None:
    training, held = split_held_out(10, 3, seed=1)
    assert len(held) == 3
    assert sorted(training + held) == list(range(10))
    assert (training, held) == split_held_out(10, 3, seed=1)
    assert (training, held) != split_held_out(10, 3, seed=2)
    assert len(split_held_out(2, 5, seed=1)[0]) == 1
    assert split_held_out(3, 0, seed=1) == ([0, 1, 2], [])


def test_a_stage_has_stories_and_numbers_of_shots_of_its_own() -> None:
    order = StoryOrder(_entries(*[5] * 12), shots=(4, 5), seed=1)
    items = [item for step in range(6) for item in order.step(step, 2, shots=(2, 3), stories="story 1")]
    assert {item.shots for item in items} == {2, 3}
    assert [sorted(item.story for item in items[at : at + 3]) for at in (0, 3, 6, 9)] == [[1, 10, 11]] * 4
    assert all(item.shots >= 4 for item in order.step(6, 8))
