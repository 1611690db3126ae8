"""`python -m trident_export.data [FILE]` writes the documentation page, docs/data.md unless a file is named."""

import sys
from pathlib import Path

from trident_export.data.page import page

Path(sys.argv[1] if len(sys.argv) > 1 else "docs/data.md").write_text(page(), "utf-8")
