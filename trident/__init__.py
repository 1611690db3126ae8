"""Trident: recommendations in one NVIDIA Triton inference call."""

__version__ = "0.1.0"
