"""Messages: every one that the server raises has a code, words in the catalogue and all their parameters."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.domain import errors
from studio.domain.errors import BadStoryboard, Refused, StudioError
from studio.domain.messages import Message, in_words, message
from studio.domain.messages_en import ENGLISH

STUDIO = Path(errors.__file__).parents[1]
SERVER = ("domain", "store", "jobs", "exchange", "inspect", "service", "api", "web", "worker")
COMMAND_LINE = {"errors.py", "security.py"}
"""Files whose errors are about options of the command line, which says them in plain words."""

ERRORS = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, StudioError)
}


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Where the server calls what by name."""
    for room in SERVER:
        for path in sorted((STUDIO / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    yield f"{path.relative_to(STUDIO)}:{node.lineno}", node.func.id, node


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def test_no_error_of_the_server_is_plain_text() -> None:
    plain = [
        where
        for where, name, call in calls()
        if name in ERRORS
        and where.split(":")[0].rpartition("/")[2] not in COMMAND_LINE
        and call.args
        and isinstance(call.args[0], ast.Constant | ast.JoinedStr | ast.BinOp)
    ]
    assert plain == []


def test_every_message_is_in_the_catalogue_with_its_parameters() -> None:
    used = set()
    for where, name, call in calls():
        if name != "message" or not call.args or not isinstance(call.args[0], ast.Constant):
            continue
        code = str(call.args[0].value)
        used.add(code)
        assert code in ENGLISH, where
        if all(keyword.arg for keyword in call.keywords):
            assert {keyword.arg for keyword in call.keywords} == fields(ENGLISH[code]), where
    assert len(used) > 100


def test_every_code_is_used() -> None:
    constants = {
        node.value
        for room in SERVER
        for path in (STUDIO / room).rglob("*.py")
        if path.name != "messages_en.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
    }
    assert set(ENGLISH) <= constants


def test_messages_may_hold_messages() -> None:
    parts = (message("kind-list"), message("kind-mapping"))
    assert str(message("formats-differ", formats=parts)) == (
        "these do not fit into one film: a list; a mapping. Render those that differ again"
    )
    said = message("line-invalid", line=3, problem=message("empty"))
    assert str(said) == "line 3: is empty"
    assert in_words(said, {"line-invalid": "{problem} (Zeile {line})", "empty": "leer"}) == "leer (Zeile 3)"


def test_an_error_keeps_its_message() -> None:
    error = Refused(message("nothing-to-undo"))
    assert (error.message, str(error)) == (Message("nothing-to-undo"), "there is nothing to undo")
    inner = BadStoryboard(message("empty"), ("name",)).within("cast", 1)
    assert (inner.message.code, inner.field) == ("empty", ("cast", 1, "name"))
    plain = Refused("as it is {}")
    assert (plain.message.code, str(plain)) == ("text", "as it is {}")


@pytest.mark.parametrize("text", ["", "{", "{x}", "100 %"])
def test_text_with_braces_is_no_template(text: str) -> None:
    assert str(message("not-a-number", text=text)) == f"must be a number, got '{text}'"
