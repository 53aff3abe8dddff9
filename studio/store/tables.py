"""The tables of the database. Times are seconds since 1970, in UTC."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, ForeignKeyConstraint, Index, LargeBinary, MetaData
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from studio.store.column_types import Number, Text

Json = dict[str, Any]


class Table(DeclarativeBase):
    """The base of all tables; constraints have names, so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map = {Json: JSON, list[Any]: JSON, str: Text, int: Number}  # noqa: RUF012


class ProjectRow(Table):
    """A project: its document now, and how many edits have been made to it (undo and redo count as such)."""

    __tablename__ = "project"

    id: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[Json]
    revision: Mapped[int]
    created: Mapped[float]
    changed: Mapped[float]
    opened: Mapped[float] = mapped_column(index=True)
    trashed: Mapped[float | None]


class EditRow(Table):
    """One edit of a project: what it did in words, and the change it made. `undone` ones can be redone."""

    __tablename__ = "edit"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    project: Mapped[str] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), index=True)
    words: Mapped[str]
    before: Mapped[Json]
    after: Mapped[Json]
    undone: Mapped[bool] = mapped_column(default=False)
    at: Mapped[float]


class ArtifactRow(Table):
    """A file that is there, named by its content."""

    __tablename__ = "artifact"

    digest: Mapped[str] = mapped_column(primary_key=True)
    suffix: Mapped[str]
    bytes: Mapped[int]
    created: Mapped[float]


class TakeRow(Table):
    """A finished take of a project, named by its inputs. `links`: share of attention by context take;
    `strongest`: what in the picture drew most from each.

    `former_ids` are ids that it had with earlier versions; traces may name it so. `program`, `backend`,
    `device` and `dtype` say what rendered it, and `model_name` what its model was called, null where an
    earlier version did not record that.
    """

    __tablename__ = "take"

    project: Mapped[str] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    inputs: Mapped[Json]
    caption: Mapped[str]
    context: Mapped[list[Any]]
    links: Mapped[Json]
    own_share: Mapped[float | None]
    caption_share: Mapped[float | None]
    strongest: Mapped[Json] = mapped_column(server_default="{}")
    rolled_from: Mapped[int | None]
    frames: Mapped[int]
    backend: Mapped[str]
    former_ids: Mapped[list[Any]] = mapped_column(server_default="[]")
    program: Mapped[str | None]
    model_name: Mapped[str | None]
    device: Mapped[str | None]
    dtype: Mapped[str | None]
    lora_files: Mapped[list[Any]] = mapped_column(server_default="[]")
    timings: Mapped[Json]
    clip: Mapped[str] = mapped_column(ForeignKey("artifact.digest"), index=True)
    latents: Mapped[str] = mapped_column(ForeignKey("artifact.digest"), index=True)
    trace: Mapped[str] = mapped_column(ForeignKey("artifact.digest"), index=True)
    thumbnail: Mapped[str] = mapped_column(ForeignKey("artifact.digest"), index=True)
    created: Mapped[float]


class PictureRow(Table):
    """A picture of a project, with which its shots may start; its artifact is a PNG file."""

    __tablename__ = "picture"

    project: Mapped[str] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("artifact.digest"), primary_key=True, index=True)
    added: Mapped[float]


class StripRow(Table):
    """A take that was rendered or chosen for a shot at some time."""

    __tablename__ = "strip"
    __table_args__ = (
        ForeignKeyConstraint(["project", "take"], ["take.project", "take.id"], ondelete="CASCADE"),
    )

    project: Mapped[str] = mapped_column(primary_key=True)
    shot: Mapped[str] = mapped_column(primary_key=True)
    take: Mapped[str] = mapped_column(primary_key=True)
    added: Mapped[float]


class JobRow(Table):
    """A job of any kind; `project` and `shot` are null where the kind has none.

    `position` orders the queue. `payload` holds the fields of the order that have no column, `result` is what
    the job made, such as the id of a take. `problem` is why it failed, a message as code and parameters, and
    `error` the same in English. `fence` counts claims, to tell a worker that lost its claim.
    An id is never given twice: a page or a worker may still name a job that was cleared away.
    """

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_state_position", "state", "position"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    project: Mapped[str | None] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(server_default="render")
    shot: Mapped[str | None]
    position: Mapped[float]
    state: Mapped[str]
    payload: Mapped[Json]
    reason: Mapped[str]
    seconds: Mapped[float]
    attempts: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None]
    lease_until: Mapped[float | None]
    cancelled: Mapped[bool] = mapped_column(default=False)
    progress: Mapped[Json | None]
    error: Mapped[str | None]
    problem: Mapped[Json | None]
    result: Mapped[str | None]
    created: Mapped[float]
    started: Mapped[float | None]
    finished: Mapped[float | None]


class PreviewRow(Table):
    """The latest preview picture (PNG) of a running job."""

    __tablename__ = "preview"

    job: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int]
    picture: Mapped[bytes] = mapped_column(LargeBinary)


class SettingRow(Table):
    """What holds for the whole studio, such as whether the queue is paused."""

    __tablename__ = "setting"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Json]


class FootageRow(Table):
    """A long video that is cut into shots for training, as far as a job has read it.

    `path` is where its file lies; null for one that was uploaded, which lies in the studio's folder.
    `frames`, `rate`, `width`, `height` and `shots` are null until it was read. `given` are the shots of a
    storyboard that it came with, in seconds, until then. `style` is the caption of all shots, `notes` say
    what could not be read. `read` is when its preview film was written.
    """

    __tablename__ = "footage"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    path: Mapped[str | None]
    title: Mapped[str] = mapped_column(default="")
    style: Mapped[str] = mapped_column(default="")
    frames: Mapped[int | None]
    rate: Mapped[str | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    shots: Mapped[list[Any] | None]
    given: Mapped[list[Any] | None]
    notes: Mapped[list[Any]]
    revision: Mapped[int] = mapped_column(default=0)
    created: Mapped[float]
    changed: Mapped[float]
    read: Mapped[float | None]


class FootageEditRow(Table):
    """One edit of footage: in words, the shots from `position` on before and after it, and both styles."""

    __tablename__ = "footage_edit"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    footage: Mapped[str] = mapped_column(ForeignKey("footage.id", ondelete="CASCADE"), index=True)
    words: Mapped[str]
    position: Mapped[int]
    before: Mapped[list[Any]]
    after: Mapped[list[Any]]
    styles: Mapped[list[Any]]
    undone: Mapped[bool] = mapped_column(default=False)
    at: Mapped[float]


class CommitTokenRow(Table):
    """A transaction that took place, for who lost the answer to its commit; a `revoked` one did not."""

    __tablename__ = "commit_token"

    token: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[float]
    revoked: Mapped[bool]
