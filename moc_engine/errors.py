"""The exceptions the engine raises on purpose.

    EngineError
    ├── ModelNotFound      no model at the given path, or none of that name on the hub
    │   └── HubUnreachable the hub would have to be asked, and does not answer
    ├── ModelMismatch      something is there, but it is not a model that the engine can open
    ├── DiskFull           the disk has no room for a download, or for a cache of footage; what is there stays
    ├── FolderInUse        another process writes into the folder
    ├── OutOfMemory        the device ran out of memory; the message says what to change
    ├── RenderCancelled    the caller asked for it
    ├── FootageError       footage, or a cache made of it, that cannot be used
    ├── TraceError         a routing trace that is missing, damaged or of a newer version
    └── CheckpointError    a training run's state that is damaged, or of another recipe

Wrong arguments are plain `ValueError`s that name the argument.
"""

from __future__ import annotations


class EngineError(Exception):
    """Anything the engine reports to a person."""


class ModelNotFound(EngineError):
    """There is no model folder or hub model of that name, or it is damaged."""


class HubUnreachable(ModelNotFound):
    """The hub does not answer or must not be asked, and the model is not in its cache."""


class ModelMismatch(EngineError):
    """Something is there, but it is not a model that the engine can open."""


class DiskFull(EngineError):
    """The disk has no room for what is to be downloaded or cached; the message says how much it needs."""


class FolderInUse(EngineError):
    """Another process writes into the folder; the message says which folder, and what to do."""


class OutOfMemory(EngineError):
    """The device ran out of memory; the message names what to lower."""


class RenderCancelled(EngineError):
    """A render ended because its caller cancelled it."""


class FootageError(EngineError):
    """Footage cannot be used for training, or a cache made of it is damaged; the message names the file."""


class TraceError(EngineError):
    """A routing trace cannot be read."""


class CheckpointError(EngineError):
    """A training run cannot go on from this checkpoint."""
