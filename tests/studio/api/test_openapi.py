"""The description of the routes: every name in it is one that a stranger reads once."""

import re
from typing import Any

import pytest
from fastapi import FastAPI

from studio.api.routes import routes
from studio.service.studio import Service
from studio.store.database import Database
from studio.store.database_url import file_url

SCHEMAS = {
    *("ErrorAnswer", "HTTPValidationError", "ValidationError"),
    *(
        "CreateProjectRequest",
        "EditRequest",
        "FieldRequest",
        "MoveJobRequest",
        "PauseRequest",
        "RenderRequest",
    ),
    *("RerollRequest", "ScheduleRequest", "UndoRequest", "UnknownWordsRequest"),
    *("RenderSchedule", "RenderTime", "ScheduledRender"),
    *(
        "AddShot",
        "Lora",
        "LoraSampler",
        "SetFirstFrame",
        "ProfileNeedState",
        "SetGuide",
        "RenderNeedState",
        "SuggestedCaption",
        "SetLane",
        "SetLoras",
        "SetNegativePrompt",
        "PictureAnswer",
        "Choose",
        "Delete",
        "Discard",
        "Duplicate",
        "Lock",
        "Move",
        "Restore",
        "SetCaption",
        "SetCast",
        "SetCastPicture",
    ),
    *("SetFilm", "SetSeed", "SetSettings", "Skip", "Split", "Steer", "Trim"),
    *(
        "CastMember",
        "CastState",
        "JobState",
        "PlannedRender",
        "ProjectState",
        "ProjectStatus",
        "ProjectSummary",
    ),
    *("QueueState", "Settings", "ShotState", "TakeState", "UnknownSpan"),
    *("AttendedSource", "Box", "ChunkMap", "ConsistencyReport", "DriftedAppearance", "FrameParts", "Part"),
    *("AddModelRequest", "KnownModel", "LibraryLora", "LibraryModel", "LibraryState", "MachineMemory"),
    *("ModelRequest", "ModelState", "ProfileNeed", "RemoteState"),
    *("AddFootageRequest", "FindCutsRequest", "FootageEditRequest", "FootageShotState", "FootageState"),
    *("CaptionShot", "FootageSummary", "LeaveOut", "MergeShots", "MoveCut", "SplitShot", "StyleFootage"),
    *("FreedSpace", "PartAttention", "StoryRouting", "StoryRow", "TakeComparison"),
}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("openapi")
    app = FastAPI()
    app.include_router(routes(Service(root, Database(file_url(root / "none.db")))))
    return app.openapi()


def test_schemas_have_names_of_the_field(described: dict[str, Any]) -> None:
    assert set(described["components"]["schemas"]) <= SCHEMAS


def test_every_route_has_a_summary_an_explanation_and_a_typed_answer(described: dict[str, Any]) -> None:
    operations = [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]
    assert len(operations) >= 35
    assert len({operation["summary"] for _, _, operation in operations}) == len(operations)
    for path, method, operation in operations:
        where = f"{method} {path}"
        assert re.fullmatch(r"[A-Z][\w', ]+", operation["summary"]), where
        assert operation["description"].endswith("."), where
        assert len(operation["tags"]) == 1, where
        (good,) = [status for status in operation["responses"] if status.startswith("2")]
        answer = operation["responses"][good]
        assert good == "204" or all(
            kind != "application/json" or content.get("schema") for kind, content in answer["content"].items()
        ), where
