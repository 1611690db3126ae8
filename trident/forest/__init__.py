"""A gradient-boosted forest from a Treelite checkpoint, scored faster than by walking down its trees.

- `checkpoint`: the trees of a file, as arrays.
- `sortable`: values as whole numbers that need one comparison, missing values included.
- `runs`: which rows belong to one request, and in which columns these are equal.
- `pruning`: what is left of the trees where those columns are known.
- `leaf_bits`: all tests of a tree for 64 rows at once, and the leaf that is left standing.
- `walking`: down the trees, for very few rows.
- `forest`: the choice between them.
- `fallback`: Treelite's own evaluation for a forest that these cannot take.
"""

from trident.forest.checkpoint import UnsupportedForest, open_checkpoint
from trident.forest.fallback import predictor
from trident.forest.forest import Forest

__all__ = ["Forest", "UnsupportedForest", "open_checkpoint", "predictor"]
