"""What each model of the Python backend computes, as plain classes over numpy arrays."""

from trident.stages.business_rules import BusinessRules
from trident.stages.candidates import Candidates
from trident.stages.feedback import Feedback
from trident.stages.ranking_features import RankingFeatures
from trident.stages.stage import Stage
from trident.stages.user_encoder import UserEncoder

STAGES: dict[str, type[Stage]] = {
    "user_encoder": UserEncoder,
    "candidates": Candidates,
    "ranking_features": RankingFeatures,
    "business_rules": BusinessRules,
    "feedback": Feedback,
}
"""The stage behind each model of the Python backend."""
