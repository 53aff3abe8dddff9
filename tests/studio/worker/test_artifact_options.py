"""The options by which artifacts are found."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from studio.worker.artifact_options import ArtifactOptions
from tests.fakes.s3 import S3


def parsed(*given: str) -> ArtifactOptions:
    parser = argparse.ArgumentParser()
    ArtifactOptions.add_to(parser)
    return ArtifactOptions.of(parser.parse_args(given))


def test_a_worker_gets_what_the_web_process_has() -> None:
    options = parsed("--artifacts", "s3://films/a?endpoint_url=http://x:1", "--artifact-cache", "2.5")
    assert options == ArtifactOptions(place="s3://films/a?endpoint_url=http://x:1", cache=2.5)
    assert parsed(*options.arguments) == options
    assert parsed() == ArtifactOptions()
    assert parsed().arguments == []


def test_the_environment_says_what_options_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOC_STUDIO_ARTIFACTS", "s3://films/a")
    monkeypatch.setenv("MOC_STUDIO_ARTIFACT_CACHE", "3")
    assert parsed() == ArtifactOptions(place="s3://films/a", cache=3.0)
    assert parsed("--artifacts", "here", "--artifact-cache", "1") == ArtifactOptions(place="here", cache=1.0)


@pytest.mark.parametrize("size", ["-1", "much", "nan"])
def test_a_cache_has_a_size(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--artifact-cache", size)
    assert "--artifact-cache" in capsys.readouterr().err


def test_copies_take_no_more_than_the_cache_may(tmp_path: Path, s3: S3) -> None:
    file = tmp_path / "clip.mp4"
    options = ArtifactOptions(place=s3.new_place(), cache=3000 / 2**30)
    artifacts = options.opened(tmp_path)
    for number in range(5):
        file.write_bytes(bytes([number]) * 1000)
        artifacts.put(file)
    assert len(list((tmp_path / "artifact-cache").glob("??/*"))) == 3
