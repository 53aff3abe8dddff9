"""Where artifacts are stored, by what a command names."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.domain.errors import StoreFailed, WrongUse
from studio.store.artifact_place import artifacts_at
from tests.fakes.s3 import S3


@pytest.mark.parametrize("written", ["{}/films", "file://{}/films"])
def test_a_folder_is_a_place(tmp_path: Path, written: str) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    artifacts = artifacts_at(tmp_path / "root", written.format(tmp_path))
    put = artifacts.put(tmp_path / "a.jpg")
    assert (tmp_path / "films" / put.digest[:2] / f"{put.digest}.jpg").read_bytes() == b"a"
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize("place", [None, ""])
def test_the_studios_own_folder_is_the_usual_place(tmp_path: Path, place: str | None) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    put = artifacts_at(tmp_path, place).put(tmp_path / "a.jpg")
    assert (tmp_path / "artifacts" / put.digest[:2] / f"{put.digest}.jpg").is_file()


@pytest.mark.parametrize("place", ["ftp://host/films", "s3://", "s3:///films", "memory://films"])
def test_other_places_are_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(WrongUse, match="give a folder or a URL such as s3://BUCKET/PREFIX"):
        artifacts_at(tmp_path, place)


def test_secrets_do_not_belong_into_a_url(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="secret does not belong into a URL") as told:
        artifacts_at(tmp_path, "s3://films/a?secret=hush")
    assert "hush" not in str(told.value)


def test_a_service_without_its_package_says_which_one_is_needed(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="pip install 'gcsfs'"):
        artifacts_at(tmp_path, "gs://films/a")


def test_a_bucket_that_is_not_there_is_told(tmp_path: Path, s3: S3) -> None:
    with pytest.raises(StoreFailed, match="there is no bucket nowhere"):
        artifacts_at(tmp_path, f"s3://nowhere/films?endpoint_url={s3.endpoint}&region=eu-central-1")


def test_two_prefixes_of_one_bucket_are_two_places(tmp_path: Path, s3: S3) -> None:
    place = s3.new_place()
    (tmp_path / "a.jpg").write_bytes(b"a")
    one, other = artifacts_at(tmp_path, place), artifacts_at(tmp_path, place.replace("/studio?", "/other?"))
    one.put(tmp_path / "a.jpg")
    s3.age(place)
    assert not one.is_empty()
    assert other.is_empty()
    assert list(other.orphans(())) == []
    assert len(list(one.orphans(()))) == 1
