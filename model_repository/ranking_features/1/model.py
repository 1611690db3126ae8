from trident.contract import RANKING_FEATURES
from trident.stages.ranking_features import RankingFeatures
from trident.triton import StageModel


class TritonPythonModel(StageModel):
    contract = RANKING_FEATURES
    stage = RankingFeatures
