"""The business rules of a release: what `rules.toml` may say, and each rule in a file of its own."""

from trident.rules.config import DAY, DEFAULT_RULES, Rules
from trident.rules.entries import Boost, Pin

__all__ = ["DAY", "DEFAULT_RULES", "Boost", "Pin", "Rules"]
