from trident.contract import USER_ENCODER
from trident.stages.user_encoder import UserEncoder
from trident.triton import StageModel


class TritonPythonModel(StageModel):
    contract = USER_ENCODER
    stage = UserEncoder
