"""Two-tower retrieval: a user and an item network whose unit-length outputs are close when the user picks the item."""

from trident_export.towers.config import TowerConfig
from trident_export.towers.data import TowerData
from trident_export.towers.result import Towers
from trident_export.towers.train import train

__all__ = ["TowerConfig", "TowerData", "Towers", "train"]
