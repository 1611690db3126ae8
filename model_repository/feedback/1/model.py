from trident.contract import FEEDBACK
from trident.stages.feedback import Feedback
from trident.triton import StageModel


class TritonPythonModel(StageModel):
    contract = FEEDBACK
    stage = Feedback
