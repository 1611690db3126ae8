"""Stands in for the native fil backend."""

from trident.standin import FilBackend as TritonPythonModel

__all__ = ["TritonPythonModel"]
