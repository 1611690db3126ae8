from trident.contract import USER_ENCODER
from trident.stages.user_encoder import UserEncoder
from trident.triton_intake import IntakeModel


class TritonPythonModel(IntakeModel):
    contract = USER_ENCODER
    stage = UserEncoder
