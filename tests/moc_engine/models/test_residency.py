from collections.abc import Callable

import pytest
import torch
from torch import nn

from moc_engine.models.residency import Residency

CPU = torch.device("cpu")


def test_one_part_visits_at_a_time() -> None:
    moved: list[tuple[str, torch.device]] = []

    class Part(nn.Linear):
        def __init__(self, name: str) -> None:
            super().__init__(2, 2)
            self.part = name

        def _apply(self, fn: Callable[..., torch.Tensor], recurse: bool = True) -> nn.Module:
            moved.append((self.part, fn(torch.empty(0)).device))
            module: nn.Module = super()._apply(fn, recurse)
            return module

    residency = Residency(CPU)
    first, second = Part("first"), Part("second")
    residency.add("first", first)
    residency.add("second", second)
    moved.clear()
    assert residency.present is None

    first(torch.ones(1, 2))
    first(torch.ones(1, 2))
    second(torch.ones(1, 2))

    assert [name for name, _ in moved] == ["first", "first", "second"]  # comes, leaves, comes
    assert residency.present == "second"


def test_a_part_that_does_not_fit_leaves_nothing_behind() -> None:
    """The part before it has left by then, and comes again when it is run."""
    moved: list[str] = []

    class Part(nn.Linear):
        full = False

        def _apply(self, fn: Callable[..., torch.Tensor], recurse: bool = True) -> nn.Module:
            moved.append("large" if self is large else "small")
            if self.full:
                self.full = False
                raise torch.OutOfMemoryError("no room")
            module: nn.Module = super()._apply(fn, recurse)
            return module

    residency = Residency(CPU)
    small, large = Part(2, 2), Part(2, 2)
    residency.add("small", small)
    residency.add("large", large)
    small(torch.ones(1, 2))
    moved.clear()
    large.full = True

    with pytest.raises(torch.OutOfMemoryError):
        large(torch.ones(1, 2))

    assert moved == ["small", "large", "large"]  # leaves, does not come whole, leaves
    assert residency.present is None
    small(torch.ones(1, 2))
    assert moved[3:] == ["small"]
    assert residency.present == "small"


def test_any_entry_brings_the_whole_part() -> None:
    part = nn.ModuleDict({"encoder": nn.Linear(2, 2), "decoder": nn.Linear(2, 2)})
    residency = Residency(CPU)
    residency.add("vae", part, [part["encoder"], part["decoder"]])

    part["decoder"](torch.ones(1, 2))

    assert residency.present == "vae"


def test_inputs_come_to_the_device_too() -> None:
    residency = Residency(torch.device("meta"), home=CPU)
    part = nn.Linear(2, 2)
    residency.add("part", part)
    assert part.weight.device == CPU

    out = part(torch.ones(1, 2))

    assert out.device.type == part.weight.device.type == "meta"


def test_what_comes_by_itself_is_released_for_others() -> None:
    released: list[bool] = []
    residency = Residency(CPU)
    come = residency.add_releasable("texts", lambda: released.append(True))
    other = nn.Linear(2, 2)
    residency.announce("other", other)

    come()
    come()
    assert residency.present == "texts"
    assert not released
    other(torch.ones(1, 2))
    other(torch.ones(1, 2))

    assert released == [True]
    assert residency.present == "other"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_memory_of_a_gpu_is_given_back() -> None:
    device = torch.device("cuda")
    residency = Residency(device)
    parts = [nn.Linear(1024, 1024) for _ in range(2)]
    for nth, part in enumerate(parts):
        residency.add(str(nth), part)
    before = torch.cuda.memory_allocated()
    for part in parts:
        part(torch.ones(1, 1024))
        assert torch.cuda.memory_allocated() - before < 1.5 * 4 * 1024 * 1024
