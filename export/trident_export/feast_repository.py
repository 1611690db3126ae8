"""The Feast repository under `deploy/feast/`, written from the feature registry.

`python -m trident_export.feast_repository [FOLDER]` writes the committed one again; a test fails when it drifts.
"""

from __future__ import annotations

import sys
from pathlib import Path

from trident.features.registry import USER, Feature
from trident.state.feast import AGE, AS_OF, CONSUMED, CONSUMED_AT, HISTORY, HISTORY_AT, REGION, VIEW

FOLDER = Path("deploy/feast")
ROWS = "user_rows_*.parquet"
SCHEMA = "feature_schema"
"""The key in a Parquet file's metadata under which it says of which feature schema its rows are."""

FIELDS = (
    (REGION, "String", "home region, ISO 3166 code, empty when unknown"),
    (AGE, "Int32", "years, -1 unknown"),
    (AS_OF, "Int64", "unix seconds: the features count events before this"),
    (HISTORY, "Array(String)", "ids of the items clicked or bought last, newest first"),
    (HISTORY_AT, "Array(Int64)", "unix second of the newest such event of each"),
    (CONSUMED, "Array(String)", "ids of the items that count as consumed by the rules"),
    (CONSUMED_AT, "Array(Int64)", "unix second of the newest such event of each"),
)
"""What a row has beside its features: column, Feast type, meaning."""

STORE = """\
# Written by `python -m trident_export.feast_repository`.
project: trident
provider: local
registry: data/registry.db
online_store:
  type: redis
  connection_string: ${FEAST_REDIS} # from the environment
offline_store:
  type: file
entity_key_serialization_version: 3
"""

DEFINITIONS = '''\
"""What Feast knows of users: one feature view for each Parquet file in `data/`, named after its feature schema.

Written by `python -m trident_export.feast_repository` from trident/features/registry.py. Rows of two schemas never
mix: their codes mean different things, so they lie in views of their own.
"""

from pathlib import Path

import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Float32, Int32, Int64, String

DATA = Path(__file__).resolve().parent / "data"

USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)

FEATURES = [
%(features)s]

FIELDS = [
    *(Field(name=name, dtype=Float32, description=meaning) for name, meaning in FEATURES),
%(fields)s]


def view(path: Path) -> FeatureView:
    """The feature view of one exported file."""
    schema = pq.read_schema(path).metadata[b"%(schema)s"].decode()
    source = FileSource(name=f"%(view)s", path=str(path), timestamp_field="event_timestamp")
    return FeatureView(name=f"%(view)s", entities=[USER], schema=FIELDS, source=source)


for path in sorted(DATA.glob("%(rows)s")):  # Feast looks for its objects among the names of this module
    rows = view(path)
    globals()[rows.name] = rows
    globals()[f"service_{rows.name}"] = FeatureService(name=rows.name, features=[rows])
'''

README = """\
# The user rows in Feast

Written by `python -m trident_export.feast_repository` from the feature registry; the rows themselves lie in `data/`,
which is not committed. What the server asks of Feast and when: [docs/feature_store.md](../../docs/feature_store.md).

```sh
make feast                          # Feast in .venv-feast: it needs numpy 2, the server numpy 1
export FEAST_REDIS=127.0.0.1:6379   # the Redis of Feast's online store: host:port, or host:port,password=...,ssl=true

.venv/bin/trident features export build/release --out deploy/feast/data
.venv-feast/bin/feast -c deploy/feast apply
.venv-feast/bin/feast -c deploy/feast materialize 1970-01-01T00:00:00 2100-01-01T00:00:00
.venv-feast/bin/feast -c deploy/feast serve --no-access-log --max-requests 0 --registry_ttl_sec 10

FEATURE_SOURCE=feast://127.0.0.1:6566 .venv/bin/trident serve   # in another terminal
```

A file in `data/` is one feature schema: one feature view and one feature service. Remove the file of a schema that no
release reads any more and run `feast apply` again: the view goes, with its rows in Redis.
"""


REQUIREMENTS = """\
# Written by `python -m trident_export.feast_repository`; `make feast` installs it into an environment of its own.
feast[redis]==0.67.0
"""


def files() -> dict[str, str]:
    """The content of every file by its name."""
    features = "".join(f'    ("{feature.name}", "{_meaning(feature)}"),\n' for feature in USER)
    fields = "".join(f'    Field(name="{n}", dtype={kind}, description="{text}"),\n' for n, kind, text in FIELDS)
    named = {"features": features, "fields": fields, "schema": SCHEMA, "rows": ROWS, "view": VIEW}
    return {
        "feature_store.yaml": STORE,
        "definitions.py": DEFINITIONS % named,
        "README.md": README,
        "requirements.txt": REQUIREMENTS,
        ".gitignore": "/data/\n",
    }


def write(folder: Path) -> None:
    """Write the files into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text, "utf-8")


def _meaning(feature: Feature) -> str:
    return f"{feature.formula}; {feature.window}" if feature.window else feature.formula


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
