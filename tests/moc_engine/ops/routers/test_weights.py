"""The parameters of learned routers are read back as they were written, and what is wrong is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.ops.routers.moga import MogaRouter
from moc_engine.ops.routers.router import ModelSizes
from moc_engine.ops.routers.vorta import VortaRouter
from moc_engine.ops.routers.weights import FILE, learned_routers, read_routers, write_routers

SIZES = ModelSizes(layers=2, heads=2, width=8)


def test_parameters_are_read_back(tmp_path: Path) -> None:
    written = {"moga": MogaRouter(SIZES), "vorta": VortaRouter(SIZES)}
    write_routers(tmp_path, written)
    assert set(learned_routers(tmp_path)) == {"moga", "vorta"}
    found = read_routers(tmp_path, SIZES)
    assert {name: type(router) for name, router in found.items()} == {
        name: type(router) for name, router in written.items()
    }
    for name, router in found.items():
        assert router.sizes == SIZES
        for key, tensor in router.state_dict().items():
            assert torch.equal(tensor, written[name].state_dict()[key]), (name, key)
        assert not any(parameter.requires_grad for parameter in router.parameters())


def test_a_model_without_learned_routers_has_no_file(tmp_path: Path) -> None:
    write_routers(tmp_path, {})
    assert list(tmp_path.iterdir()) == []
    assert learned_routers(tmp_path) == ()
    assert read_routers(tmp_path, SIZES) == {}


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no tensors")
    for read in (lambda: learned_routers(tmp_path), lambda: read_routers(tmp_path, SIZES)):
        with pytest.raises(ModelNotFound, match=r"routers\.safetensors is damaged"):
            read()


def test_routers_of_another_model_are_refused(tmp_path: Path) -> None:
    write_routers(tmp_path, {"moga": MogaRouter(SIZES)})
    with pytest.raises(ModelMismatch, match="moga is of a model of other sizes"):
        read_routers(tmp_path, ModelSizes(layers=2, heads=2, width=16))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("vorta", "vorta is of another version"),  # its tensors are called and shaped otherwise
        ("moc", "moc has no parameters"),
        ("magic", "unknown router 'magic'"),
    ],
)
def test_parameters_that_are_of_no_such_router_are_refused(tmp_path: Path, name: str, message: str) -> None:
    write_routers(tmp_path, {"moga": MogaRouter(SIZES)})
    tensors = {key.replace("moga", name): tensor for key, tensor in load_file(tmp_path / FILE).items()}
    sizes = '{"layers": 2, "heads": 2, "width": 8}'
    save_file(tensors, tmp_path / FILE, metadata={name: sizes})
    with pytest.raises(ModelMismatch, match=message):
        read_routers(tmp_path, SIZES)
