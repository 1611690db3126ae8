"""Features as of a time: user and item rows from the events of strictly earlier seconds."""

from trident_export.features.histories import histories
from trident_export.features.rows import default_user_row, item_rows, user_rows
from trident_export.features.vocabulary import build_vocabulary

__all__ = ["build_vocabulary", "default_user_row", "histories", "item_rows", "user_rows"]
