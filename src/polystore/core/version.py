"""The version, in one place: the build and the history of items read it."""

__version__ = "1.0.0a1"
