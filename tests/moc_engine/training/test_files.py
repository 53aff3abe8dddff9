from pathlib import Path

import pytest

from moc_engine.training.files import replacing


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("old")
    with replacing(path) as fresh:
        fresh.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for text in ("old", "new"):
        with replacing(path) as fresh:
            fresh.mkdir()
            (fresh / "part").write_text(text)
    assert (path / "part").read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", [False, True])
def test_what_was_there_survives_a_failure_and_leftovers_do_no_harm(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "thing"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="killed"), replacing(path) as fresh:
        if folder:
            fresh.mkdir()
        else:
            fresh.write_text("half")
        raise RuntimeError("killed")
    assert path.read_text() == "old"
    with replacing(path) as fresh:
        assert not fresh.is_dir()
        fresh.write_text("new")
    assert path.read_text() == "new"
