"""Memories of takes: whatever is done to them, the same bits as built from scratch."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from moc_engine.errors import EngineError
from moc_engine.memory.context import ContextMemory
from moc_engine.memory.history import History
from moc_engine.memory.history_buffer import HistoryBuffer
from moc_engine.memory.take_memory import TENSORS, Extent, TakeMemory
from moc_engine.render.memory_pass import compute_memory
from tests.fakes.models import tiny_backbone
from tests.fakes.small_disk import small_disk

LAYERS, HEADS, WIDTH = 2, 2, 4
TAKES = "abcdef"
BYTES_OF_A_TAKE = 600


class Reader:
    """Makes up a memory from a take's name, and counts how often it was asked to."""

    def __init__(self, take: str) -> None:
        self.take = take
        self.calls = 0

    @property
    def extent(self) -> Extent:
        number = ord(self.take[0]) - ord("a")
        return Extent(offsets=np.cumsum([0, 1 + number % 3, 2, 1 + number % 2]), frames=1 + number % 4)

    def __call__(self) -> TakeMemory:
        self.calls += 1
        generator = torch.Generator().manual_seed(ord(self.take[0]) * 100 + len(self.take))
        extent = self.extent

        def draw(*shape: int) -> Tensor:
            return torch.randn(LAYERS, HEADS, *shape, WIDTH, generator=generator)

        return TakeMemory(
            k_NHTD=draw(extent.tokens),
            v_NHTD=draw(extent.tokens),
            means_NHCD=draw(extent.chunks),
            positions_3T=torch.arange(3 * extent.tokens).view(3, -1),
        )


def filled(takes: Sequence[str], memory: ContextMemory | None = None) -> ContextMemory:
    memory = memory or ContextMemory()
    for take in takes:
        add(memory, take)
    return memory


def add(memory: ContextMemory, take: str) -> Reader:
    reader = Reader(take)
    memory.add(take, reader.extent, reader)
    return reader


def assert_same(one: History | None, other: History | None) -> None:
    """Bit for bit."""
    if one is None or other is None:
        assert one is other
        return
    assert one.layout == other.layout
    for name in ("k_NHTD", "v_NHTD", "means_NHCD", "positions_3T", "start_C"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


@st.composite
def edits(draw: st.DrawFn) -> list[tuple[str, str, str]]:
    """Edits (what, which, new) of a memory that starts empty."""
    kinds = st.sampled_from(("add", "replace", "drop", "reorder", "recall", "history"))
    return draw(st.lists(st.tuples(kinds, st.sampled_from(TAKES), st.sampled_from(TAKES)), max_size=25))


@given(edits(), st.sampled_from((None, 0, BYTES_OF_A_TAKE, 3 * BYTES_OF_A_TAKE)), st.booleans(), st.randoms())
def test_any_edits_equal_a_memory_built_from_scratch(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, str, str]],
    budget: int | None,
    spills: bool,
    random: object,
) -> None:
    spill = tmp_path_factory.mktemp("spill") if spills else None
    memory = ContextMemory(budget=budget, spill=spill)
    story: list[str] = []
    for kind, which, new in steps:
        if kind == "add" and which not in story:
            add(memory, which)
            story.append(which)
        elif kind == "replace" and which in story and (new == which or new not in story):
            reader = Reader(new)
            memory.replace(which, new, reader.extent, reader)
            story = [new if take == which else take for take in story]
        elif kind == "drop" and which in story:
            memory.drop(which)
            story.remove(which)
        elif kind == "reorder":
            random.shuffle(story)  # type: ignore[attr-defined]
            memory.reorder(story)
        elif kind == "recall" and which in story:
            memory.recall(which)
        elif kind == "history":
            memory.history()
        if budget is not None:
            assert memory.bytes <= budget
    scratch = filled(story)
    assert memory.takes == scratch.takes == tuple(story)
    assert_same(memory.history(), scratch.history())


@given(st.permutations(TAKES), st.integers(0, len(TAKES)))
def test_a_history_of_some_takes_equals_one_of_a_memory_that_knows_no_others(
    order: list[str], n: int
) -> None:
    assert_same(filled(TAKES).history(order[:n]), filled(order[:n]).history())


def test_takes_stand_before_zero_one_after_the_other() -> None:
    history = filled("abc").history(shots=[2, 5, 6])
    assert history is not None
    lengths = [Reader(take).extent.frames for take in "abc"]
    assert lengths == [1, 2, 3]
    assert history.layout.shots == (2, 5, 6)
    assert history.start_C.tolist() == [-6] * 3 + [-5] * 3 + [-3] * 3
    for shot, start in ((2, -6), (5, -5), (6, -3)):
        span = slice(*history.layout.token_span(shot))
        local = torch.arange(3 * (span.stop - span.start)).view(3, -1)
        assert torch.equal(history.positions_3T[0, span], local[0] + start)
        assert torch.equal(history.positions_3T[1:, span], local[1:])


def test_what_is_neither_held_nor_wanted_is_forgotten() -> None:
    memory = ContextMemory(budget=2 * BYTES_OF_A_TAKE)
    filled("abc", memory)
    memory.recall("a")
    memory.forget_absent(["c"])
    assert memory.takes == ("a", "c")


def test_a_memory_is_computed_once_while_there_is_room() -> None:
    memory = ContextMemory()
    readers = [add(memory, take) for take in TAKES]
    assert [reader.calls for reader in readers] == [0] * 6
    memory.history()
    memory.history()
    assert [reader.calls for reader in readers] == [1] * 6


def test_what_was_not_used_for_longest_is_given_up_first() -> None:
    size = Reader("a")().bytes
    memory = ContextMemory(budget=2 * size)
    readers = {take: add(memory, take) for take in "agm"}  # equally large
    for take in "agam":
        memory.recall(take)
    assert {take: reader.calls for take, reader in readers.items()} == {"a": 1, "g": 1, "m": 1}
    memory.recall("a")
    assert readers["a"].calls == 1
    memory.recall("g")
    assert readers["g"].calls == 2


def test_spilled_memories_are_read_back_and_their_files_go_with_them(tmp_path: Path) -> None:
    memory = ContextMemory(budget=0, spill=tmp_path / "spill")
    reader = add(memory, "a")
    first, second = memory.recall("a"), memory.recall("a")
    assert reader.calls == 1
    assert memory.bytes == 0
    assert torch.equal(first.k_NHTD, second.k_NHTD)
    assert len(list((tmp_path / "spill").iterdir())) == 1
    memory.drop("a")
    assert not list((tmp_path / "spill").iterdir())


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_bytes(b"torn")])
def test_a_spilled_file_that_vanished_or_is_damaged_is_made_up_for(
    tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    memory = ContextMemory(budget=0, spill=tmp_path)
    reader = add(memory, "a")
    first = memory.recall("a")
    for file in tmp_path.iterdir():
        harm(file)
    assert torch.equal(memory.recall("a").k_NHTD, first.k_NHTD)
    assert reader.calls == 2
    assert torch.equal(memory.recall("a").k_NHTD, first.k_NHTD)
    assert reader.calls == 2


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    memory = ContextMemory(budget=0, spill=tmp_path / "file")
    add(memory, "a")
    with pytest.raises(EngineError, match=r"cannot be written into .*file.*remember less of each shot"):
        memory.recall("a")


def test_a_full_disk_is_told_in_plain_words(tmp_path: Path) -> None:
    with small_disk(tmp_path / "files") as disk:
        disk.leave(0)
        memory = ContextMemory(budget=0, spill=disk.place)
        add(memory, "a")
        with pytest.raises(EngineError, match="the disk is full; free some space there, remember less"):
            memory.recall("a")


def test_spilled_files_go_with_the_memory_and_no_others(tmp_path: Path) -> None:
    memory = ContextMemory(budget=0, spill=tmp_path)
    filled("abc", memory).history()
    (tmp_path / "other").touch()
    assert len(list(tmp_path.iterdir())) == 4
    del memory
    gc.collect()
    assert [file.name for file in tmp_path.iterdir()] == ["other"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_history_beyond_the_budget_lies_on_the_cpu() -> None:
    for budget, device in ((None, "cuda"), (10 * BYTES_OF_A_TAKE, "cuda"), (BYTES_OF_A_TAKE, "cpu")):
        history = filled("abc", ContextMemory(budget=budget, device="cuda")).history()
        assert history is not None
        assert history.k_NHTD.device.type == history.positions_3T.device.type == device


def test_gathering_tells_of_each_take() -> None:
    gathering = filled("abc").gather()
    assert [next(gathering) for _ in range(3)] == ["a", "b", "c"]
    with pytest.raises(StopIteration) as end:
        next(gathering)
    assert_same(end.value.value, filled("abc").history())


def gathered_in(memory: ContextMemory, takes: Sequence[str], buffer: HistoryBuffer) -> History:
    gathering = memory.gather(takes, buffer=buffer)
    while True:
        try:
            next(gathering)
        except StopIteration as stop:
            history: History = stop.value
            return history


@given(
    st.lists(st.lists(st.sampled_from(TAKES), min_size=1, unique=True), max_size=6),
    st.sampled_from((0, 2000, 9000)),
)
def test_histories_gathered_in_one_buffer_equal_those_in_new_memory(
    histories: list[list[str]], limit: int
) -> None:
    memory, buffer = filled(TAKES), HistoryBuffer(limit)
    for takes in histories:
        assert_same(gathered_in(memory, takes, buffer), memory.history(takes))
        assert buffer.bytes <= limit


def test_takes_that_stay_where_they_were_are_not_read_again() -> None:
    memory, buffer = ContextMemory(budget=0), HistoryBuffer()
    readers = {take: add(memory, take) for take in "abcd"}
    first = gathered_in(memory, "abc", buffer)
    memory.replace("d", "d", readers["d"].extent, readers["d"])
    last = gathered_in(memory, "abcd", buffer)
    assert last.k_NHTD.data_ptr() == first.k_NHTD.data_ptr()
    assert {take: reader.calls for take, reader in readers.items()} == dict.fromkeys("abcd", 1)


def test_a_take_that_was_replaced_under_its_name_is_read_again() -> None:
    memory, buffer = filled("abc"), HistoryBuffer()
    gathered_in(memory, "abc", buffer)
    again = Reader("b")
    memory.replace("b", "b", again.extent, again)
    gathered_in(memory, "abc", buffer)
    assert again.calls == 1


def test_a_history_left_unfinished_does_no_harm() -> None:
    memory, buffer = filled("abcd"), HistoryBuffer()
    gathered_in(memory, "abcd", buffer)
    gathering = memory.gather("dcb", buffer=buffer)
    next(gathering)
    gathering.close()
    assert_same(gathered_in(memory, "abcd", buffer), memory.history("abcd"))


def test_memories_of_another_model_take_the_place_of_those_before() -> None:
    memory, buffer = filled("ab"), HistoryBuffer()
    gathered_in(memory, "ab", buffer)
    wide = ContextMemory()
    for take in "ab":
        made = Reader(take)()
        double = replace(made, **{name: getattr(made, name).double() for name in TENSORS[:3]})
        wide.add(take, Reader(take).extent, lambda double=double: double)  # type: ignore[misc]
    assert_same(gathered_in(wide, "ab", buffer), wide.history("ab"))
    assert_same(gathered_in(memory, "ab", buffer), memory.history("ab"))


def test_an_empty_memory_has_no_history() -> None:
    assert ContextMemory().history() is None
    assert filled("ab").history([]) is None


def test_wrong_use_names_the_argument() -> None:
    memory = filled("ab")
    wrong = Extent(offsets=np.array([0, 9]), frames=1)
    with pytest.raises(ValueError, match=r"take: 'a' is in the memory already"):
        add(memory, "a")
    with pytest.raises(ValueError, match=r"take: 'b' is in the memory already"):
        memory.replace("a", "b", wrong, Reader("b"))
    for act in (memory.drop, memory.recall, lambda take: memory.replace(take, "d", wrong, Reader("d"))):
        with pytest.raises(ValueError, match=r"take: 'c' is not in the memory"):
            act("c")
    with pytest.raises(ValueError, match=r"takes: 'c' is not in the memory"):
        memory.history(["a", "c"])
    with pytest.raises(ValueError, match="takes: must name each"):
        memory.reorder(["a"])
    with pytest.raises(ValueError, match="shots: must ascend"):
        memory.history(shots=[3, 3])
    with pytest.raises(ValueError, match="shots: 2 takes need as many numbers"):
        memory.history(shots=[3])
    with pytest.raises(ValueError, match="budget"):
        ContextMemory(budget=-1)
    with pytest.raises(ValueError, match="offsets"):
        Extent(offsets=np.array([0, 2, 2]), frames=1)
    with pytest.raises(ValueError, match="frames"):
        Extent(offsets=np.array([0, 2]), frames=0)
    memory.add("c", wrong, Reader("c"))
    with pytest.raises(ValueError, match=r"extent: 'c' was to have 9 tokens in 1 chunks"):
        memory.recall("c")


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_what_a_model_remembers_depends_on_the_take_alone(noise: float) -> None:
    backbone = tiny_backbone()
    latents = torch.randn(3, *backbone.family.latent_shape(1.0, (64, 64)))
    captions = [backbone.family.captions("", text, ("Mira",)) for text in ("Mira waves", "a forest", "")]

    def read(n: int) -> TakeMemory:
        return compute_memory(
            backbone, latents[n], captions[n], chunking="track", pooling="after", noise=noise
        )

    once = [read(n) for n in (0, 1, 2)]
    again = [read(n) for n in (2, 0, 1)]
    for n, other in ((0, again[1]), (1, again[2]), (2, again[0])):
        assert torch.equal(once[n].k_NHTD, other.k_NHTD)
        assert torch.equal(once[n].means_NHCD, other.means_NHCD)
    assert not torch.equal(once[0].k_NHTD, once[1].k_NHTD)


def test_noise_changes_what_is_remembered_and_nothing_else_does() -> None:
    backbone = tiny_backbone()
    latents = torch.randn(backbone.family.latent_shape(1.0, (64, 64)))
    captions = backbone.family.captions("", "a forest", ())
    clean, noisy = (
        compute_memory(backbone, latents, captions, chunking="frame", pooling="before", noise=noise)
        for noise in (0, 0.2)
    )
    assert not torch.equal(clean.k_NHTD, noisy.k_NHTD)
    assert torch.equal(clean.positions_3T, noisy.positions_3T)
