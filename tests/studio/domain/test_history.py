"""Undo and redo of plain documents: exact, and of what an edit touched alone."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from studio.domain.edits.film import SetFilm
from studio.domain.edits.shot_inputs import SetCaption
from studio.domain.errors import BadStoryboard, Refused
from studio.domain.history import Change, Document, difference
from studio.domain.project import Project
from studio.store.documents import from_document, to_document
from tests.fakes.edits import EDITS, STORY
from tests.fakes.projects import project, rendered


def change_of(edit: Any, old: Project) -> Change:
    return difference(to_document(old), to_document(edit.apply(old, {})))


def as_kept(document: Document) -> Any:
    """The document as a database gives it back."""
    return json.loads(json.dumps(document))


def test_a_change_holds_the_places_it_touches_alone() -> None:
    change = change_of(SetCaption(shot="b", caption="Otto sits"), project(*STORY))
    assert change.before.keys() == change.after.keys() == {"shots/b"}
    assert change.after["shots/b"]["caption"] == "Otto sits"
    assert change_of(SetFilm(title="New"), project(*STORY)).after == {"title": "New"}


def test_no_difference_is_no_change() -> None:
    assert not difference(to_document(project(*STORY)), to_document(project(*STORY)))
    assert change_of(SetFilm(title="New"), project(*STORY))


def test_an_inverse_leaves_what_others_did_meanwhile() -> None:
    start = project(*STORY)
    change = change_of(SetCaption(shot="b", caption="Otto sits"), start)
    meanwhile = to_document(SetCaption(shot="a", caption="Mira sits").apply(start, {}).choosing("b", "take"))
    back = from_document(change.inverse.apply(change.apply(meanwhile)))
    assert [shot.caption for shot in back.board.shots[:2]] == ["Mira sits", STORY[1]]
    assert back.chosen == {"b": "take"}


def test_ids_may_look_like_places() -> None:
    old: Document = {"title": "x", "shots": {"a/b": {"n": 1}}, "chosen": {}, "drafts": {}, "discarded": {}}
    new: Document = {
        "title": "x",
        "shots": {},
        "chosen": {"a/b": "t/u"},
        "drafts": {},
        "discarded": {"t/u": True},
    }
    change = difference(old, new)
    assert change.apply(old) == new
    assert change.inverse.apply(new) == old


@given(st.lists(EDITS, max_size=8))
def test_changes_lead_there_and_back(edits: list[Any]) -> None:
    now, takes = rendered(project(*STORY))
    documents, changes = [to_document(now)], []
    for edit in edits:
        try:
            now = edit.apply(now, takes)
        except (BadStoryboard, Refused):
            continue
        changes.append(difference(documents[-1], to_document(now)))
        documents.append(to_document(now))
    at = as_kept(documents[0])
    for change, document in zip(changes, documents[1:], strict=True):
        at = change.apply(at)
        assert at == document
    for change, document in zip(reversed(changes), reversed(documents[:-1]), strict=True):
        at = change.inverse.apply(at)
        assert at == document


@given(st.lists(EDITS, max_size=8))
def test_documents_are_json_that_gives_the_project_back(edits: list[Any]) -> None:
    now, takes = rendered(project(*STORY))
    for edit in edits:
        try:
            now = edit.apply(now, takes)
        except (BadStoryboard, Refused):
            continue
    document = to_document(now)
    assert as_kept(document) == document
    assert from_document(as_kept(document)) == now
