from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from moc_engine.errors import FootageError
from moc_engine.evaluation.process_outcome import exit_code


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (None, 0, ""),
        (FootageError("no clips"), 1, "no clips\n"),
        (OSError(errno.ENOSPC, "No space left"), 1, "out: No space left\n"),
        (OSError(errno.EACCES, "Permission denied", "run.json"), 1, "run.json: Permission denied\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_failures_are_words_and_exit_codes(
    capsys: pytest.CaptureFixture[str], error: BaseException | None, code: int, words: str
) -> None:
    def work() -> None:
        if error is not None:
            raise error

    assert exit_code(work, Path("out")) == code
    assert capsys.readouterr().err == words


def test_sigterm_ends_the_work_as_an_exit_does() -> None:
    with pytest.raises(SystemExit) as ended:
        exit_code(lambda: signal.raise_signal(signal.SIGTERM), Path("out"))
    assert ended.value.code == 128 + signal.SIGTERM
