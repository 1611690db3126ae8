"""`python -m trident.features [FILE]` writes the documentation page, docs/features.md unless a file is named."""

import sys
from pathlib import Path

from trident.features.page import page

Path(sys.argv[1] if len(sys.argv) > 1 else "docs/features.md").write_text(page(), "utf-8")
