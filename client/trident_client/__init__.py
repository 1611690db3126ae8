"""The client that a service imports: `Recommender` and its variants.

>>> from trident_client import Recommender
>>> with Recommender("localhost:8001", deadline=0.1) as trident:  # doctest: +SKIP
...     answer = trident.recommend("u42", device="mobile", limit=10)
...     print(answer.item_ids)
"""

from trident_client.aio import AsyncHttpRecommender, AsyncRecommender
from trident_client.errors import DeadlineExceeded, InvalidRequest, RecommenderError, ServerError, Unreachable
from trident_client.events import Event
from trident_client.recommender import HttpRecommender, Recommender
from trident_client.results import Recommendation, RecommendedItem

__all__ = [
    "AsyncHttpRecommender",
    "AsyncRecommender",
    "DeadlineExceeded",
    "Event",
    "HttpRecommender",
    "InvalidRequest",
    "Recommendation",
    "RecommendedItem",
    "Recommender",
    "RecommenderError",
    "ServerError",
    "Unreachable",
]
