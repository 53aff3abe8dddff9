"""Every edit that a person makes."""

from __future__ import annotations

from studio.domain.edits.cast import SetCast, SetCastPicture
from studio.domain.edits.film import SetFilm, SetLane, SetSettings
from studio.domain.edits.restore import Restore
from studio.domain.edits.shot_inputs import (
    SetCaption,
    SetFirstFrame,
    SetGuide,
    SetLoras,
    SetNegativePrompt,
    SetSeed,
    Steer,
)
from studio.domain.edits.take_choice import Choose, Discard
from studio.domain.edits.timeline import AddShot, Delete, Duplicate, Lock, Move, Skip, Split, Trim

Edit = (
    SetFilm
    | SetSettings
    | SetLane
    | SetGuide
    | SetCast
    | SetCastPicture
    | AddShot
    | SetCaption
    | SetSeed
    | SetNegativePrompt
    | SetLoras
    | SetFirstFrame
    | Trim
    | Split
    | Duplicate
    | Delete
    | Move
    | Lock
    | Skip
    | Steer
    | Choose
    | Discard
    | Restore
)
