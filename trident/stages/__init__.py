"""What each model of the Python backend computes, as plain classes over numpy arrays."""

from trident.stages.business_rules import BusinessRules
from trident.stages.featured_candidates import FeaturedCandidates
from trident.stages.feedback import Feedback
from trident.stages.stage import Stage
from trident.stages.user_encoder import UserEncoder

STAGES: dict[str, type[Stage]] = {
    "user_encoder": UserEncoder,
    "candidates": FeaturedCandidates,
    "business_rules": BusinessRules,
    "feedback": Feedback,
}
"""The stage behind each model of the Python backend."""
