"""The studio: storyboards, takes, films and the command line around the engine."""

__version__ = "0.2.0.dev0"
