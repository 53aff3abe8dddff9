"""What the studio occupies, and freeing it without losing what something still needs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from studio.domain.edits.cast import SetCastPicture
from studio.domain.edits.shot_inputs import SetCaption, SetFirstFrame
from studio.domain.edits.take_choice import Discard
from studio.domain.errors import NotThere, Refused
from studio.domain.settings import Settings
from studio.jobs import claims
from studio.service.storage import ABANDONED, DISCARDED, EXPORT, IN_BIN, NO_TAKE, Unused
from studio.store.database import Database
from studio.store.tables import ArtifactRow
from studio.store.usage import UNNAMED
from tests.fakes.artifact_stores import Store
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.pictures import write_picture
from tests.fakes.unknown_model import UNKNOWN_MODEL


@pytest.fixture
def studio(tmp_path: Path, database: Database, store: Store) -> Studio:
    return Studio(tmp_path, database, artifacts=store.opened())


def age(studio: Studio, store: Store) -> None:
    """Makes all files older than those that are kept for their sake."""
    store.age()
    for folder in ("exports", "scratch"):
        for file in (studio.service.root / folder).rglob("*"):
            os.utime(file, (0, 0))


def keys(files: Iterable[Unused]) -> list[str]:
    """The artifacts among files, by key."""
    return [file.orphan.key for file in files if file.orphan is not None]


def discarded(studio: Studio, project: str) -> str:
    """Discards the first take of shot a, after another was made; returns its id."""
    old = studio.service.projects.state(project).shots[0].take
    assert old is not None
    studio.service.editing.edit(project, SetCaption(shot="a", caption="Mira jumps"), base=0)
    studio.service.rendering.render(project)
    studio.work()
    state = studio.service.projects.state(project)
    studio.service.editing.edit(project, Discard(take=old), base=state.revision)
    return old


def test_pictures_are_freed_once_nothing_names_them(
    studio: Studio, database: Database, tmp_path: Path, store: Store
) -> None:
    pictures, storage = studio.service.pictures, studio.service.storage
    project = studio.service.projects.create(BOARD)
    named, of_cast, unnamed = (
        pictures.add(project, write_picture(tmp_path / f"{side}.png", (side, side))) for side in (32, 48, 64)
    )
    studio.service.editing.edit(project, SetFirstFrame(shot="a", first_frame=f"picture:{named}"), 0)
    studio.service.editing.edit(project, SetCastPicture(name="Mira", picture=f"picture:{of_cast}"), 1)
    studio.service.editing.edit(project, SetFirstFrame(shot="a", first_frame=None), 2)
    assert storage.unused() == ()
    age(studio, store)
    (listed,) = storage.unused()
    assert (Path(listed.location).stem, listed.reason) == (unnamed, UNNAMED)
    assert keys(storage.collect()) == keys([listed])
    with pytest.raises(NotThere):
        pictures.file(project, unnamed)
    assert pictures.file(project, named)
    assert pictures.file(project, of_cast)
    assert studio.service.editing.undo(project, 3).shots[0].first_frame == f"picture:{named}"

    studio.service.projects.trash(project)
    assert {Path(file.location).stem for file in storage.unused(with_bin=True)} == {named, of_cast}
    assert storage.empty_bin().deleted == 1
    assert store.contents() == {}


def test_a_picture_that_a_take_was_rendered_with_stays(studio: Studio, tmp_path: Path, store: Store) -> None:
    board = replace(BOARD, settings=Settings(model=UNKNOWN_MODEL))
    project = studio.service.projects.create(board)
    digest = studio.service.pictures.add(project, write_picture(tmp_path / "start.png"))
    first = replace(board.shots[0], first_frame=f"picture:{digest}")
    studio.service.editing.replace_storyboard(project, replace(board, shots=(first, *board.shots[1:])))
    studio.service.rendering.render(project, ("a",))
    studio.work()
    copy = studio.service.projects.duplicate(project)
    studio.service.editing.edit(copy, SetFirstFrame(shot="a", first_frame=None), 0)
    age(studio, store)
    studio.service.storage.collect()
    assert studio.service.pictures.file(copy, digest)


def test_projects_tell_what_they_occupy_and_what_is_theirs_alone(studio: Studio, store: Store) -> None:
    project = studio.rendered()
    (listed,) = studio.service.projects.all()
    assert listed.bytes == listed.own_bytes == sum(map(len, store.contents().values())) > 0
    copy = studio.service.projects.duplicate(project)
    usage = {one.id: (one.bytes, one.own_bytes) for one in studio.service.projects.all()}
    assert usage == {project: (listed.bytes, 0), copy: (listed.bytes, 0)}


def test_the_bin_is_emptied_for_good(studio: Studio, database: Database, store: Store) -> None:
    kept = studio.rendered()
    state = studio.service.projects.state(kept)
    alone = store.contents()
    gone = studio.service.projects.duplicate(kept)
    before = studio.service.projects.state(gone)
    studio.service.editing.edit(gone, SetCaption(shot="a", caption="Mira sleeps"), base=before.revision)
    studio.service.rendering.render(gone)
    studio.work()
    studio.service.projects.trash(gone)
    age(studio, store)
    listed = studio.service.storage.unused(with_bin=True)
    assert [file.reason for file in listed] == [IN_BIN] * len(listed) != []
    assert set(keys(listed)) == store.contents().keys() - alone.keys()
    assert studio.service.storage.unused() == ()
    freed = studio.service.storage.empty_bin()
    assert freed.deleted == 1
    assert freed.bytes == sum(file.bytes for file in listed)
    assert [one.id for one in studio.service.projects.all()] == [kept]
    assert store.contents() == alone
    assert studio.service.projects.state(kept) == state
    with database.read() as session:
        assert len(list(session.scalars(select(ArtifactRow)))) == len(alone)


def test_discarded_takes_are_deleted_for_good(studio: Studio, store: Store) -> None:
    project = studio.rendered()
    old = discarded(studio, project)
    age(studio, store)
    unused = studio.service.storage.unused(with_discarded=True)
    assert [file.reason for file in unused] == [DISCARDED] * len(unused) != []
    before = studio.service.projects.state(project)
    freed = studio.service.storage.delete_discarded(project)
    assert freed.deleted == 1
    assert freed.bytes > 0
    after = studio.service.projects.state(project)
    assert after.stamp != before.stamp
    assert [shot.take for shot in after.shots] == [shot.take for shot in before.shots]
    assert [take.id for take in after.shots[0].takes if take.discarded or take.id == old] == []
    for shot in after.shots:
        assert shot.take is not None
        for kind in ("clip", "latents", "trace", "thumbnail"):
            assert studio.service.files.media(project, shot.take, kind)


def test_undoing_a_deleted_take_leaves_its_shot_without_one(studio: Studio) -> None:
    project = studio.rendered()
    discarded(studio, project)
    studio.service.storage.delete_discarded()
    for _ in range(2):
        state = studio.service.projects.state(project)
        studio.service.editing.undo(project, base=state.revision)
    assert studio.service.projects.state(project).shots[0].caption == "Mira waves"


def test_takes_are_not_deleted_while_a_shot_is_rendered(studio: Studio, database: Database) -> None:
    project = studio.rendered()
    discarded(studio, project)
    studio.service.rendering.reroll(project, "b")
    with database.write() as session:
        assert claims.claim(session, "another worker") is not None
    with pytest.raises(Refused, match="is being rendered"):
        studio.service.storage.delete_discarded(project)


def test_a_take_that_is_discarded_but_shown_again_stays(studio: Studio) -> None:
    project = studio.rendered()
    discarded(studio, project)
    state = studio.service.projects.state(project)
    back = studio.service.editing.undo(project, base=state.revision)
    assert studio.service.storage.delete_discarded(project).deleted == 0
    assert studio.service.projects.state(project) == back


def test_exports_and_abandoned_files_are_removed_after_an_hour(
    studio: Studio, tmp_path: Path, store: Store
) -> None:
    project = studio.rendered()
    film = studio.service.files.export(project, "film.mp4")
    part = tmp_path / "scratch" / ".part-1-upload"
    part.write_bytes(bytes(10))
    orphan = f"00/{'0' * 64}.mp4"
    store.change(orphan, bytes(5))
    assert studio.service.storage.unused() == ()
    age(studio, store)
    found = {file.location: (file.bytes, file.reason) for file in studio.service.storage.unused()}
    assert found == {
        str(film): (film.stat().st_size, EXPORT),
        str(part): (10, ABANDONED),
        f"{studio.service.artifacts}/{orphan}": (5, NO_TAKE),
    }
    assert {file.location for file in studio.service.storage.collect()} == found.keys()
    assert not film.exists()
    assert not part.exists()
    assert orphan not in store.contents()
    assert studio.service.storage.unused() == ()
    assert studio.service.files.export(project, "film.mp4") == film


def test_several_may_collect_at_once(studio: Studio, tmp_path: Path, store: Store) -> None:
    for number in range(60):
        store.change(f"00/{number:064x}.mp4", bytes(10))
        for file in (
            tmp_path / "exports" / f"{number}" / "film.mp4",
            tmp_path / "scratch" / f".part-{number}-upload",
        ):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(bytes(10))
    age(studio, store)
    with ThreadPoolExecutor(4) as pool:
        for collecting in [pool.submit(studio.service.storage.collect) for _ in range(4)]:
            collecting.result()
    assert studio.service.storage.unused() == ()
    assert list((tmp_path / "exports").iterdir()) == []
