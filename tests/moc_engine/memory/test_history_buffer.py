"""The memory that one history after another is gathered in."""

from __future__ import annotations

import torch
from torch import Tensor

from moc_engine.memory.history_buffer import HistoryBuffer, Place

FIRST = Place(tokens=(0, 3), chunks=(0, 1))
SECOND = Place(tokens=(3, 5), chunks=(1, 2))
THIRD = Place(tokens=(5, 9), chunks=(2, 3))
SIZE_OF_A_TOKEN = 2 * (2 * 2 * 4) * 4 + 3 * 8


def memory(place: Place, value: float) -> dict[str, Tensor]:
    (start, stop), (first, last) = place.tokens, place.chunks
    return {
        "k_NHTD": torch.full((2, 2, stop - start, 4), float(value)),
        "v_NHTD": torch.full((2, 2, stop - start, 4), value + 0.5),
        "means_NHCD": torch.full((2, 2, last - first, 4), float(value)),
        "positions_3T": torch.full((3, stop - start), int(value)),
    }


def test_memories_stand_side_by_side() -> None:
    buffer = HistoryBuffer()
    buffer.begin([(7, FIRST), (8, SECOND)])
    buffer.put(7, FIRST, memory(FIRST, 1))
    buffer.put(8, SECOND, memory(SECOND, 2))
    views = buffer.end()
    assert views["k_NHTD"][1, 0, :, 2].tolist() == [1, 1, 1, 2, 2]
    assert views["v_NHTD"][0, 1, :, 0].tolist() == [1.5, 1.5, 1.5, 2.5, 2.5]
    assert views["means_NHCD"][0, 0, :, 3].tolist() == [1, 2]
    assert views["positions_3T"][2].tolist() == [1, 1, 1, 2, 2]


def test_a_memory_is_held_while_it_stays_at_its_place() -> None:
    buffer = HistoryBuffer()
    buffer.begin([(7, FIRST), (8, SECOND)])
    buffer.put(7, FIRST, memory(FIRST, 1))
    assert (buffer.holds(7, FIRST), buffer.holds(8, SECOND), buffer.holds(8, FIRST)) == (True, False, False)
    buffer.put(8, SECOND, memory(SECOND, 2))
    buffer.end()
    buffer.begin([(7, FIRST), (9, SECOND)])
    assert (buffer.holds(7, FIRST), buffer.holds(9, SECOND), buffer.holds(8, SECOND)) == (True, False, False)


def test_longer_histories_lie_in_the_same_memory_while_there_is_room() -> None:
    buffer = HistoryBuffer()
    places = [(7, FIRST), (8, SECOND), (9, THIRD)]
    addresses = []
    for count in (2, 1, 2, 3):
        buffer.begin(places[:count])
        for number, place in places[:count]:
            if not buffer.holds(number, place):
                buffer.put(number, place, memory(place, number))
        views = buffer.end()
        addresses.append(views["k_NHTD"].data_ptr())
        assert views["positions_3T"][0].tolist() == [7] * 3 + [8] * 2 * (count > 1) + [9] * 4 * (count > 2)
    assert addresses[0] == addresses[1] == addresses[2]
    assert buffer.holds(9, THIRD)


def test_what_is_beyond_the_limit_is_not_kept() -> None:
    for limit, kept in ((3 * SIZE_OF_A_TOKEN + 64, True), (3 * SIZE_OF_A_TOKEN, False)):
        buffer = HistoryBuffer(limit)
        buffer.begin([(7, FIRST)])
        buffer.put(7, FIRST, memory(FIRST, 1))
        views = buffer.end()
        assert views["k_NHTD"].is_contiguous()
        assert buffer.holds(7, FIRST) is kept
        assert (buffer.bytes > 0) is kept
        assert bool((views["k_NHTD"] == 1).all())


def test_a_new_buffer_lies_on_the_device_asked_for() -> None:
    buffer = HistoryBuffer()
    buffer.begin([(7, FIRST)])
    buffer.put(7, FIRST, memory(FIRST, 1), torch.device("meta"))
    assert buffer.end()["v_NHTD"].device.type == "meta"
