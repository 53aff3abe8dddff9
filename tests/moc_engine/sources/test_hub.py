"""Hub models where the hub is not there or must not be asked: the cache answers, or it is told why not."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

PROGRAM = """
import sys
from moc_engine.errors import EngineError
from moc_engine.sources.download import find_on_hub
try:
    folder = find_on_hub(sys.argv[1])
except EngineError as error:
    print(type(error).__name__, error)
else:
    print(folder, (folder / "model_index.json").read_text())
"""


def find(model: str, home: Path, **environment: str) -> str:
    """What `find_on_hub` says of a model, in a process whose hub is told by the environment."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, model],
        env={**kept, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


NO_HUB = {"HF_ENDPOINT": "http://127.0.0.1:9"}


def keep_in_cache(home: Path, model: str) -> Path:
    """Puts the index of a model where the hub's client keeps what it has downloaded."""
    repository = home / "hub" / f"models--{model.replace('/', '--')}"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline"}))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    return snapshot


def test_a_hub_that_is_not_there_is_told_quickly(tmp_path: Path) -> None:
    began = monotonic()
    said = find("some/model", tmp_path, **NO_HUB)
    assert said == (
        "HubUnreachable the model some/model is not on this machine, and the hub cannot be reached "
        "(Connection refused): check the network and try again"
    )
    assert monotonic() - began < 15  # its client would retry for 23 seconds


def test_offline_the_hub_is_not_asked(tmp_path: Path) -> None:
    said = find("some/model", tmp_path, HF_HUB_OFFLINE="1")
    assert said == (
        "HubUnreachable the model some/model is not on this machine, and the hub is not asked for it "
        "(--offline or HF_HUB_OFFLINE); run moc-studio models add some/model once without that"
    )


def test_a_hub_that_never_answers_is_given_up_within_seconds(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # takes connections, and says nothing
        began = monotonic()
        said = find("some/model", tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert "the hub cannot be reached (" in said
    assert "timed out" in said or "no answer within 5 s" in said
    assert monotonic() - began < 15


def test_what_is_no_address_of_a_hub_is_told(tmp_path: Path) -> None:
    assert "the hub cannot be reached (unknown url type: " in find("some/model", tmp_path, HF_ENDPOINT="x")


@pytest.mark.parametrize("environment", [NO_HUB, {"HF_HUB_OFFLINE": "1"}], ids=["unreachable", "offline"])
def test_without_the_hub_a_model_of_the_cache_is_taken(tmp_path: Path, environment: dict[str, str]) -> None:
    snapshot = keep_in_cache(tmp_path, "some/model")
    assert find("some/model", tmp_path, **environment) == f'{snapshot} {{"_class_name": "WanPipeline"}}'


def test_a_model_with_parts_missing_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    snapshot = keep_in_cache(tmp_path, "some/model")
    index = {"_class_name": "WanPipeline", "vae": ["diffusers", "AutoencoderKLWan"]}
    (snapshot / "model_index.json").write_text(json.dumps(index))
    assert find("some/model", tmp_path, HF_HUB_OFFLINE="1").startswith("HubUnreachable ")
