from trident.contract import CANDIDATES
from trident.stages.candidates import Candidates
from trident.triton import StageModel


class TritonPythonModel(StageModel):
    contract = CANDIDATES
    stage = Candidates
