"""Features as of a time: user and item rows from the events of strictly earlier seconds."""

from trident_export.features.histories import dated_histories, histories
from trident_export.features.rows import default_user_row, item_rows, user_rows
from trident_export.features.vocabulary import build_vocabulary

__all__ = ["build_vocabulary", "dated_histories", "default_user_row", "histories", "item_rows", "user_rows"]
