from trident.contract import CANDIDATES
from trident.stages.featured_candidates import FeaturedCandidates
from trident.triton import StageModel


class TritonPythonModel(StageModel):
    contract = CANDIDATES
    stage = FeaturedCandidates
