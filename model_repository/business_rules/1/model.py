from trident.contract import BUSINESS_RULES
from trident.stages.business_rules import BusinessRules
from trident.triton import StageModel


class TritonPythonModel(StageModel):
    contract = BUSINESS_RULES
    stage = BusinessRules
