"""Offline: data, features, training, evaluation, and publishing releases."""
