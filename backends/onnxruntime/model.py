"""Stands in for the native onnxruntime backend."""

from trident.standin import OnnxruntimeBackend as TritonPythonModel

__all__ = ["TritonPythonModel"]
