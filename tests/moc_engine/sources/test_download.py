"""Downloads from a hub that runs here: what is taken, what goes on, what is refused and how it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.hub import COMMIT, REPO, Hub, files_of, hub_environment, running_hub
from tests.fakes.models import save_tiny_video

PROGRAM = """
import json, sys, threading
from moc_engine.errors import EngineError
from moc_engine.sources.download import download, find_on_hub, plan_download
from moc_engine.sources.hub_cache import cached_folder
from moc_engine.sources.hub_id import HubFile, parse_hub_name
from moc_engine.sources.lora_source import known_digest, lora_path, pinned_lora
name, model, free, stop_at = sys.argv[1], parse_hub_name(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
cancel, seen, pauses = threading.Event(), [], []
def report(progress):
    seen.append((progress.done, progress.total))
    if stop_at and progress.done >= stop_at:
        cancel.set()
try:
    plan = plan_download(model, lambda folder: free)
    before = {"size": plan.size, "missing": plan.missing, "fits": plan.fits, "licence": plan.licence}
    if stop_at == -1:
        print(json.dumps(before))
        sys.exit()
    found = download(model, report, cancel, free=lambda folder: free, pause=pauses.append)
except EngineError as error:
    print(json.dumps({"error": type(error).__name__, "said": str(error), "seen": seen, "pauses": pauses}))
else:
    said = {"id": str(found.id), "folder": str(found.path), "seen": seen, **before}
    if isinstance(model, HubFile):
        said |= {"again": str(lora_path(name)), "pinned": pinned_lora(name)}
        said |= {"digest": known_digest(found.path)}
    else:
        said |= {"cached": str(cached_folder(model)), "again": str(find_on_hub(name))}
    print(json.dumps(said))
"""

REFUSALS = """
import json, sys
from moc_engine.errors import EngineError
from moc_engine.sources.download import download
from moc_engine.sources.hub_id import parse_hub_name
said = {}
for name in sys.argv[1:-2]:
    try:
        download(parse_hub_name(name))
    except EngineError as error:
        said[name] = f"{type(error).__name__} {error}"
print(json.dumps(said))
"""

LORA = """
import json, sys
from moc_engine.errors import EngineError
from moc_engine.sources.lora_source import lora_path
try:
    print(json.dumps({"path": str(lora_path(sys.argv[1]))}))
except EngineError as error:
    print(json.dumps({"error": type(error).__name__, "said": str(error)}))
"""

WAITING = """
import json, sys
from types import SimpleNamespace
from filelock import FileLock
from moc_engine.errors import RenderCancelled
from moc_engine.sources.hub_cache import CachedRepository
from moc_engine.sources.hub_id import HubId
from moc_engine.sources.hub_listing import RemoteFile
from moc_engine.sources.transfer import receive
file = RemoteFile(name="a.safetensors", size=8, digest="0" * 64)
cache = CachedRepository(HubId("some/model", sys.argv[1]))
cache.lock(file).parent.mkdir(parents=True)
looks = []
def is_set():
    looks.append(1)
    return len(looks) == 3
with FileLock(cache.lock(file)):  # as another process that receives it
    try:
        receive(cache, file, print, SimpleNamespace(is_set=is_set))
    except RenderCancelled as error:
        print(json.dumps({"said": str(error), "looks": len(looks)}))
"""

INK = "wan/ink.safetensors"
LARGE = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("repository")
    save_tiny_video(folder)
    return files_of(folder)


def run(
    hub: Hub,
    home: Path,
    *names: str,
    free: int = 10**12,
    stop_at: int = 0,
    program: str = PROGRAM,
    **more: str,
) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", program, *(names or (REPO,)), str(free), str(stop_at)],
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
        planned = run(hub, tmp_path, stop_at=-1)
        assert not list((tmp_path / "hub").rglob("*.json"))  # asking leaves nothing behind
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
        assert planned == {"size": total, "missing": total, "fits": True, "licence": "apache-2.0"}
        assert isinstance(said["seen"], list)
        assert said["seen"][-1] == [total, total]
        assert [done for done, _ in said["seen"]] == sorted(done for done, _ in said["seen"])
        count = len(hub.asked)
        again = run(hub, tmp_path)
        assert {path for path, _ in hub.asked[count:]} == {f"/api/models/{REPO}"}
        assert again["missing"] == 0
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
        planned = run(hub, tmp_path, stop_at=-1, free=2**30 + total // 2)
        assert isinstance(planned["missing"], int)
        assert 0 < planned["missing"] < total // 2 + 1000
        assert planned["fits"]  # what was received already takes no more room
        done = run(hub, tmp_path)
    folder = Path(str(done["folder"]))
    assert all((folder / name).read_bytes() == files[name] for name in (LARGE, "model_index.json"))
    assert f"bytes={size}-" in [range_ for path, range_ in hub.asked if range_ is not None]


@pytest.mark.parametrize("name", [LARGE, "vae/config.json"])
def test_a_file_that_arrives_damaged_is_not_kept(files: dict[str, bytes], tmp_path: Path, name: str) -> None:
    with running_hub(Hub(files, damaged=name)) as hub:
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
    assert said["pauses"] == [1, 2, 3]


def test_a_hub_that_gives_more_than_it_lists_is_not_listened_to(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    more = 3_000_000
    with running_hub(Hub(files, longer={LARGE: more})) as hub:
        said = run(hub, tmp_path)
    assert said["error"] == "HubUnreachable"
    assert f"the file {LARGE} of {REPO} arrived damaged" in str(said["said"])
    seen: Any = said["seen"]
    assert max(done for done, _ in seen) < sum(map(len, files.values())) + more // 2


def test_waiting_for_another_process_can_be_cancelled(tmp_path: Path) -> None:
    said = run(Hub(), tmp_path, COMMIT, program=WAITING)
    assert said == {"said": "the download was cancelled", "looks": 3}


def test_without_room_nothing_is_received(files: dict[str, bytes], tmp_path: Path) -> None:
    with running_hub(Hub(files)) as hub:
        said = run(hub, tmp_path, free=2**30)
    assert said["error"] == "DiskFull"
    assert "GB more on the disk, but 1.1 GB are free" in str(said["said"])
    assert not [path for path, _ in hub.asked if path.endswith(".safetensors")]


REFUSED = {
    "some/missing": "there is no model some/missing on the hub, or it is private",
    "some/private": "there is no model some/private on the hub, or it is private",
    "some/gated": "the model some/gated is gated: accept its terms on the hub and log in there",
    f"{REPO}@nowhere": f"the model {REPO} has no revision nowhere on the hub",
    "some/missing/ink.safetensors": "there is no file some/missing/ink.safetensors on the hub",
    f"some/gated/{INK}": "the repository some/gated is gated: accept its terms on the hub and log in there",
    f"{REPO}/{INK}@nowhere": f"the repository {REPO} has no revision nowhere on the hub",
    f"{REPO}/no.safetensors": f"the repository {REPO}@{COMMIT} has no file no.safetensors",
}


def test_what_the_hub_refuses_is_told(files: dict[str, bytes], tmp_path: Path) -> None:
    with running_hub(Hub({**files, INK: b"a LoRA"})) as hub:
        said = run(hub, tmp_path, *REFUSED, program=REFUSALS)
    assert said.keys() == REFUSED.keys()
    for name, words in REFUSED.items():
        assert str(said[name]).startswith(f"ModelNotFound {words}")


def test_one_file_of_a_repository_is_downloaded_by_name(tmp_path: Path) -> None:
    content = bytes(5000)
    name = f"{REPO}/{INK}"
    with running_hub(Hub({INK: content, "wan/other.safetensors": b"not asked for"})) as hub:
        said = run(hub, tmp_path, name)
        assert not [path for path, _ in hub.asked if "other" in path]
        told = run(hub, tmp_path / "full", name, free=2**30)
        assert (told["error"], str(told["said"]).split(" needs")[0]) == ("DiskFull", name)
    file = Path(str(said["folder"]))
    assert file.read_bytes() == content
    assert said["again"] == str(file)
    assert said["id"] == said["pinned"] == f"{name}@{COMMIT}"
    assert said["digest"] == sha256(content).hexdigest()
    assert (said["size"], said["licence"], said["seen"]) == (5000, "apache-2.0", [[5000, 5000], [5000, 5000]])


@pytest.mark.parametrize("name", [f"{REPO}/{INK}", f"{REPO}/{INK}@{COMMIT}"])
def test_offline_a_file_comes_from_the_cache_or_it_is_told(tmp_path: Path, name: str) -> None:
    with running_hub(Hub({INK: b"a LoRA"})) as hub:
        run(hub, tmp_path, f"{REPO}/{INK}")
        there = run(hub, tmp_path, name, program=LORA, HF_HUB_OFFLINE="1")
        told = run(hub, tmp_path / "empty", name, program=LORA, HF_HUB_OFFLINE="1")
    assert Path(str(there["path"])).read_bytes() == b"a LoRA"
    assert told["error"] == "HubUnreachable"
    assert told["said"] == (
        f"the LoRA {name} is not on this machine, and the hub is not asked for it (--offline or "
        f"HF_HUB_OFFLINE); run moc-studio models add {name} once without that"
    )


def test_names_of_files_that_lead_out_of_the_folder_are_left_out(
    files: dict[str, bytes], tmp_path: Path
) -> None:
    index = {**json.loads(files["model_index.json"]), "../../../../stolen": ["diffusers", "X"]}
    hostile = {**files, "model_index.json": json.dumps(index).encode(), "../../../../stolen/a.json": b"{}"}
    with running_hub(Hub(hostile)) as hub:
        run(hub, tmp_path)
    assert not list(tmp_path.rglob("stolen"))
    assert not [path for path, _ in hub.asked if "stolen" in path]


def test_a_repository_of_single_files_is_told_how_to_be_used(tmp_path: Path) -> None:
    with running_hub(Hub({"wan.safetensors": b"weights"})) as hub:
        said = run(hub, tmp_path)
    assert said["error"] == "ModelMismatch"
    assert "it is no pipeline; download its files and add them" in str(said["said"])
