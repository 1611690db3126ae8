from trident.contract import RECOMMEND_AB
from trident.router import Router
from trident.triton_router import RouterModel


class TritonPythonModel(RouterModel):
    contract = RECOMMEND_AB
    stage = Router
