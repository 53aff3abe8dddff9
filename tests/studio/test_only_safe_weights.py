"""Whatever comes from elsewhere, none of it is run: only safetensors are read, no pickle, no module."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from moc_engine.errors import CheckpointError, ModelNotFound, TraceError
from moc_engine.models.animatic.model import save
from moc_engine.models.loading import load_backbone
from moc_engine.render.renderer import ShotRenderer
from moc_engine.trace.trace_file import read_trace
from moc_engine.training import checkpoint, recipes
from studio.cli.main import main
from studio.domain.edits.film import SetSettings
from studio.domain.errors import BadBundle
from studio.domain.file_types import BUNDLE
from studio.domain.settings import Settings
from studio.store.database import Database
from studio.worker.renderers import RendererOptions
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.models import save_tiny_video, tiny_animatic

STORY = "title: A test\nsize: 64x64\nfps: 4\nshots: [{caption: Mira waves, seconds: 0.5}]\n"


class Canary:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Where the canary leaves it; it does so where anything lets it."""
    made = tmp_path / "mark"
    pickle.loads(pickle.dumps(Canary(made)))
    torch.load(_saved(tmp_path / "sung.pt", made), weights_only=False)
    exec(_module(made))
    assert made.exists()
    made.unlink()
    return made


def _saved(path: Path, mark: Path) -> Path:
    torch.save({"weight": Canary(mark)}, path)
    return path


def _module(mark: Path) -> str:
    return f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nclass Canary: pass\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save(tiny_animatic(), folder / "animatic")
    save_tiny_video(folder / "video")
    return folder


PARTS = {
    "animatic": ("transformer", "smoother", "text_encoder"),
    "video": ("transformer", "text_encoder", "vae"),
}
ENDINGS = (".bin", ".pt", ".pth", ".pkl", ".ckpt")

Change = Callable[[Path, Path], None]
"""What becomes of a part of a model, in its folder, and the mark."""


def _pickled(ending: str, make: Callable[[Path, Path], object]) -> Change:
    def change(part: Path, mark: Path) -> None:
        (weights,) = part.glob("*.safetensors")
        weights.unlink()
        for stem in {"pytorch_model", weights.stem}:
            make(part / f"{stem}{ending}", mark)

    return change


def _plain(path: Path, mark: Path) -> None:
    path.write_bytes(pickle.dumps({"weight": Canary(mark)}))


def _under_a_false_name(part: Path, mark: Path) -> None:
    (weights,) = part.glob("*.safetensors")
    _saved(weights, mark)


def _true_weights(part: Path, mark: Path) -> None:
    """Nothing but the model's own, which would load."""
    (weights,) = part.glob("*.safetensors")
    tensors = load_file(weights)
    weights.unlink()
    for stem in {"pytorch_model", weights.stem}:
        torch.save(tensors, part / f"{stem}.bin")


def _a_piece(part: Path, mark: Path) -> None:
    _list_pieces(part, lambda piece: _saved(piece, mark))


def _a_true_piece(part: Path, mark: Path) -> None:
    _list_pieces(part, lambda piece: torch.save(load_file(next(part.glob("*.safetensors"))), piece))


def _list_pieces(part: Path, make: Callable[[Path], object]) -> None:
    """A list of pieces in safetensors that names a pickle."""
    make(part / "piece-1.bin")
    (weights,) = part.glob("*.safetensors")
    names = dict.fromkeys(load_file(weights), "piece-1.bin")
    weights.unlink()
    pieces = {"metadata": {"total_size": 1}, "weight_map": names}
    (part / f"{weights.name}.index.json").write_text(json.dumps(pieces))


CHANGES: dict[str, Change] = {
    **{f"torch's {ending}": _pickled(ending, _saved) for ending in ENDINGS},
    "a plain pickle": _pickled(".bin", _plain),
    "a false name": _under_a_false_name,
    "true weights": _true_weights,
    "a piece": _a_piece,
    "a true piece": _a_true_piece,
}


@pytest.mark.parametrize("family", ["animatic", "video"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_model_of_pickles_is_refused(
    models: Path, tmp_path: Path, mark: Path, capsys: pytest.CaptureFixture[str], family: str, change: Change
) -> None:
    """By the command for one part, and for the others where they are loaded."""
    (tmp_path / "story.yaml").write_text(STORY)
    first, *others = PARTS[family]
    for part in (first, *others):
        shutil.copytree(models / family, tmp_path / part)
        change(tmp_path / part / part, mark)
    assert render(tmp_path, tmp_path / first) == 1
    assert REFUSED.format(model=tmp_path / first) in capsys.readouterr().err
    for part in others:
        with pytest.raises(ModelNotFound) as refused:
            load_backbone(tmp_path / part, "cpu")
        assert str(refused.value).startswith(REFUSED.format(model=tmp_path / part))
    assert not mark.exists()


REFUSED = "the model at {model} cannot be read: only safetensors are, and "


def render(folder: Path, model: Path) -> int:
    return main(["render", str(folder / "story.yaml"), "--model", str(model), "--out", str(folder / "film")])


def _custom_pipeline(model: Path, mark: Path) -> None:
    (model / "pipeline.py").write_text(_module(mark))
    _told(model / "model_index.json", _class_name=["pipeline", "Canary"])


def _custom_part(model: Path, mark: Path) -> None:
    (model / "text_encoder" / "canary.py").write_text(_module(mark))
    _told(model / "model_index.json", text_encoder=["canary", "Canary"])


def _custom_classes(model: Path, mark: Path) -> None:
    names = ("AutoConfig", "AutoModel", "AutoTokenizer", "AutoModelForCausalLM")
    for part, file in (("text_encoder", "config.json"), ("tokenizer", "tokenizer_config.json")):
        (model / part / "canary.py").write_text(_module(mark))
        _told(model / part / file, auto_map=dict.fromkeys(names, "canary.Canary"))
    (model / "transformer" / "canary.py").write_text(_module(mark))
    _told(model / "transformer" / "config.json", auto_map={"AutoModel": "canary.Canary"})


def _told(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize("family", ["animatic", "video"])
@pytest.mark.parametrize("change", [_custom_pipeline, _custom_part, _custom_classes])
def test_a_models_own_code_is_never_run(
    models: Path, tmp_path: Path, mark: Path, family: str, change: Change
) -> None:
    (tmp_path / "story.yaml").write_text(STORY)
    shutil.copytree(models / family, tmp_path / "model")
    change(tmp_path / "model", mark)
    code = render(tmp_path, tmp_path / "model")
    assert not mark.exists()
    assert code == (0 if change is _custom_classes else 1)


def test_a_projects_model_of_pickles_fails_its_job(
    models: Path, tmp_path: Path, mark: Path, database: Database
) -> None:
    shutil.copytree(models / "animatic", tmp_path / "model")
    CHANGES["torch's .ckpt"](tmp_path / "model" / "transformer", mark)
    studio = Studio(tmp_path, database, make_renderer=RendererOptions().make_renderer)
    project = studio.service.projects.create(BOARD)
    own = SetSettings(settings=Settings(model=str(tmp_path / "model")))
    studio.service.editing.edit(project, own, base=0)
    (job,) = studio.service.rendering.render(project, ("a",))
    studio.work()
    (ended,) = studio.service.queue.jobs((job,))
    assert (ended.state, "only safetensors are" in (ended.error or "")) == ("failed", True)
    assert not mark.exists()


@pytest.mark.parametrize("suffix", [".mp4", ".safetensors", ".moc", ".jpg"])
@pytest.mark.parametrize("make", [_saved, _plain])
def test_a_bundle_of_pickles_is_refused(
    tmp_path: Path, mark: Path, database: Database, suffix: str, make: Callable[[Path, Path], object]
) -> None:
    """Everything else about it fits together: the record names what lies there by its content."""
    studio = Studio(tmp_path, database)
    good = studio.service.files.export(studio.rendered(), BUNDLE)
    make(tmp_path / "canary", mark)
    with zipfile.ZipFile(good) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    old = next(name for name in entries if name.endswith(suffix))
    data = (tmp_path / "canary").read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    record = entries.pop("project.json").replace(Path(old).stem.encode(), digest.encode())
    del entries[old]
    with zipfile.ZipFile(tmp_path / "bad.mocz", "w") as bundle:
        for name, content in {**entries, f"artifacts/{digest}{suffix}": data, "project.json": record}.items():
            bundle.writestr(name, content)
    with pytest.raises(BadBundle, match=f"a {suffix[1:]} file in it cannot be read"):
        studio.service.files.import_bundle(tmp_path / "bad.mocz")
    assert not mark.exists()
    assert len(studio.service.projects.all()) == 1


@pytest.mark.parametrize("make", [_saved, _plain])
def test_a_take_of_pickles_is_told(
    models: Path, tmp_path: Path, mark: Path, database: Database, make: Callable[[Path, Path], object]
) -> None:
    """Latents that a render would look back at, exchanged in the studio's folder."""
    studio = Studio(
        tmp_path, database, make_renderer=lambda _: ShotRenderer(models / "animatic", device="cpu")
    )
    project = studio.service.projects.create(BOARD)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    (latents,) = (file for file in studio.artifacts() if file.suffix == ".safetensors")
    make(latents, mark)
    (job,) = studio.service.rendering.render(project, ("b",))
    studio.work()
    (ended,) = studio.service.queue.jobs((job,))
    assert (ended.state, "the latents of shot 1 cannot be read" in (ended.error or "")) == ("failed", True)
    assert not mark.exists()


def _arrays_of_objects(path: Path, mark: Path) -> None:
    """A trace as it should be, but for arrays that hold objects."""
    with zipfile.ZipFile(path) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    header = json.loads(entries["header.json"])
    for told in header["arrays"].values():
        told["type"] = "|O"
    entries = {name: pickle.dumps(Canary(mark)) for name in entries}
    with zipfile.ZipFile(path, "w") as trace:
        for name, data in {**entries, "header.json": json.dumps(header).encode()}.items():
            trace.writestr(name, data)


@pytest.mark.parametrize("make", [_saved, _plain, _arrays_of_objects])
def test_a_trace_of_pickles_is_told(
    tmp_path: Path, mark: Path, database: Database, make: Callable[[Path, Path], object]
) -> None:
    studio = Studio(tmp_path, database)
    studio.rendered()
    trace = next(file for file in studio.artifacts() if file.suffix == ".moc")
    read_trace(trace)
    make(trace, mark)
    with pytest.raises(TraceError):
        read_trace(trace)
    assert not mark.exists()


def test_a_checkpoint_of_pickles_is_told(tmp_path: Path, mark: Path) -> None:
    with pytest.raises(CheckpointError, match="is damaged, or no checkpoint"):
        checkpoint.read(_saved(tmp_path / "checkpoint.pt", mark), checkpoint.fixed_fields(recipes.smoke()))
    assert not mark.exists()
