"""Downloads from a hub that runs here: what is taken, what goes on, what is refused and how it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from moc_engine.sources.download import RemoteFile, is_plain, wanted_files
from tests.fakes.hub import COMMIT, REPO, Hub, files_of, hub_environment, running_hub
from tests.fakes.models import save_tiny_video

PROGRAM = """
import json, sys, threading
from moc_engine.errors import EngineError
from moc_engine.sources.download import download
from moc_engine.sources.download import find_on_hub
from moc_engine.sources.hub import cached_folder
from moc_engine.sources.hub_id import parse_hub_id
model, free, stop_at = parse_hub_id(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
cancel, seen = threading.Event(), []
def report(progress):
    seen.append((progress.done, progress.total))
    if stop_at and progress.done >= stop_at:
        cancel.set()
try:
    found = download(model, report, cancel, free=lambda folder: free)
except EngineError as error:
    print(json.dumps({"error": type(error).__name__, "said": str(error), "seen": seen}))
else:
    print(json.dumps({"id": str(found.id), "folder": str(found.folder), "seen": seen,
                      "cached": str(cached_folder(model)), "again": str(find_on_hub(sys.argv[1]))}))
"""

LARGE = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("repository")
    save_tiny_video(folder)
    return files_of(folder)


def run(
    hub: Hub, home: Path, model: str = REPO, *, free: int = 10**12, stop_at: int = 0, **more: str
) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, model, str(free), str(stop_at)],
        env=hub_environment(home, hub.url, **more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, object] = json.loads(done.stdout)
    return said


def test_a_model_is_downloaded_with_progress_and_nothing_else_of_its_repository(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    with running_hub(Hub(files)) as hub:
        said = run(hub, tmp_path)
        assert said["id"] == f"{REPO}@{COMMIT}"
        folder = Path(str(said["folder"]))
        assert str(folder) == said["cached"] == said["again"]
        taken = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
        assert files.keys() - taken == {
            "assets/picture.png",
            "transformer/diffusion_pytorch_model.fp16.safetensors",
            "text_encoder/pytorch_model.bin",
        }
        assert all((folder / name).read_bytes() == files[name] for name in taken)
        total = sum(len(files[name]) for name in taken)
        assert isinstance(said["seen"], list)
        assert said["seen"][-1] == [total, total]
        assert [done for done, _ in said["seen"]] == sorted(done for done, _ in said["seen"])
        count = len(hub.asked)
        again = run(hub, tmp_path)
        assert [path for path, _ in hub.asked[count:]] == [f"/api/models/{REPO}"]
        assert again["folder"] == said["folder"]
    # the hub is gone: the cache answers, by branch and by commit
    for model in (REPO, f"{REPO}@{COMMIT}"):
        told = run(hub, tmp_path, model, HF_HUB_OFFLINE="1")
        assert told["error"] == "HubUnreachable"
        assert "the hub is not asked for it (--offline or HF_HUB_OFFLINE)" in str(told["said"])


def test_a_transfer_that_broke_off_goes_on(files: dict[str, bytes], tmp_path: Path) -> None:
    with running_hub(Hub(files, break_after={LARGE: 3000})) as hub:
        said = run(hub, tmp_path)
    assert (Path(str(said["folder"])) / LARGE).read_bytes() == files[LARGE]
    assert "bytes=3000-" in [range_ for path, range_ in hub.asked if path.endswith(LARGE)]


def test_a_cancelled_download_goes_on_where_it_ended(files: dict[str, bytes], tmp_path: Path) -> None:
    total = sum(map(len, files.values()))
    with running_hub(Hub(files, pause=0.001)) as hub:
        said = run(hub, tmp_path, stop_at=total // 2)
        assert said["error"] == "RenderCancelled"
        (part,) = tmp_path.rglob("*.part")
        size = part.stat().st_size
        assert size > 0
        hub.pause = 0.0
        done = run(hub, tmp_path)
    folder = Path(str(done["folder"]))
    assert all((folder / name).read_bytes() == files[name] for name in (LARGE, "model_index.json"))
    assert f"bytes={size}-" in [range_ for path, range_ in hub.asked if range_ is not None]


def test_a_file_that_arrives_damaged_is_not_kept(files: dict[str, bytes], tmp_path: Path) -> None:
    with running_hub(Hub(files, damaged=LARGE)) as hub:
        said = run(hub, tmp_path)
        assert said["error"] == "HubUnreachable"
        assert "arrived damaged; download it again" in str(said["said"])
        hub.damaged = None
        assert run(hub, tmp_path)["id"] == f"{REPO}@{COMMIT}"


def test_a_hub_that_gives_no_more_is_not_asked_forever(files: dict[str, bytes], tmp_path: Path) -> None:
    with running_hub(Hub(files, ends_after={"vae/config.json": 5})) as hub:
        said = run(hub, tmp_path)
    assert said["error"] == "HubUnreachable"
    assert "the hub gives no more than 5 of the" in str(said["said"])
    given = [path for path, _ in hub.asked if path.endswith("vae/config.json")]
    assert 5 <= len(given) <= 7


def test_without_room_nothing_is_received(files: dict[str, bytes], tmp_path: Path) -> None:
    with running_hub(Hub(files)) as hub:
        said = run(hub, tmp_path, free=2**30)
    assert said["error"] == "DiskFull"
    assert "GB more on the disk, but 1.1 GB are free" in str(said["said"])
    assert not [path for path, _ in hub.asked if path.endswith(".safetensors")]


@pytest.mark.parametrize(
    ("model", "error", "words"),
    [
        ("some/missing", "ModelNotFound", "there is no model some/missing on the hub, or it is private"),
        ("some/private", "ModelNotFound", "there is no model some/private on the hub, or it is private"),
        ("some/gated", "ModelNotFound", "the model some/gated is gated: accept its terms on the hub"),
        (f"{REPO}@nowhere", "ModelNotFound", f"the model {REPO} has no revision nowhere on the hub"),
    ],
)
def test_what_the_hub_refuses_is_told(
    files: dict[str, bytes], tmp_path: Path, model: str, error: str, words: str
) -> None:
    with running_hub(Hub(files)) as hub:
        said = run(hub, tmp_path, model)
    assert (said["error"], str(said["said"])[: len(words)]) == (error, words)


def test_names_of_files_that_lead_out_of_the_folder_are_left_out(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    index = {**json.loads(files["model_index.json"]), "../../../../stolen": ["diffusers", "X"]}
    hostile = {**files, "model_index.json": json.dumps(index).encode(), "../../../../stolen/a.json": b"{}"}
    with running_hub(Hub(hostile)) as hub:
        run(hub, tmp_path)
    assert not list(tmp_path.rglob("stolen"))
    assert not [path for path, _ in hub.asked if "stolen" in path]


@pytest.mark.parametrize(
    ("name", "digest", "plain"),
    [
        ("vae/config.json", "a" * 40, True),
        ("vae/a.safetensors", "a" * 64, True),
        ("../config.json", "a" * 40, False),
        ("/etc/config.json", "a" * 40, False),
        ("vae/../../config.json", "a" * 40, False),
        ("vae\\..\\config.json", "a" * 40, False),
        ("C:config.json", "a" * 40, False),
        ("vae/config.json", "../../x", False),
    ],
)
def test_only_plain_names_are_written(name: str, digest: str, plain: bool) -> None:
    assert is_plain(RemoteFile(name=name, size=1, digest=digest)) is plain


def test_a_repository_of_single_files_is_told_how_to_be_used(tmp_path: Path) -> None:
    with running_hub(Hub({"wan.safetensors": b"weights"})) as hub:
        said = run(hub, tmp_path)
    assert said["error"] == "ModelMismatch"
    assert "it is no pipeline; download its files and add them" in str(said["said"])


def test_weights_are_taken_once() -> None:
    index = {"_class_name": "WanPipeline", "vae": ["diffusers", "X"], "image_encoder": [None, None]}
    names = [
        "vae/a.safetensors",
        "vae/a.fp16.safetensors",
        "vae/b.fp16-00001-of-00002.safetensors",
        "vae/a.bin",
        "image_encoder/a.safetensors",
        "whole.safetensors",
        "LICENSE.txt",
        "model_index.json",
    ]
    wanted = wanted_files([RemoteFile(name=name, size=1, digest="x") for name in names], index)
    assert [file.name for file in wanted] == [
        "LICENSE.txt",
        "model_index.json",
        "vae/a.safetensors",
        "vae/b.fp16-00001-of-00002.safetensors",
    ]
