"""From raw events to 20 recommendations out of a real Triton: the whole path on made-up data.

Leaves the release in build/release and the model repository in build/repository.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

from rich.console import Console
from rich.table import Table

from trident.errors import TridentError
from trident.items import ItemColumns
from trident.locations import DEFAULT_REPOSITORY
from trident.serving.serve import Serving, serving
from trident_client import Recommender
from trident_client.table import print_answer
from trident_export.build import build
from trident_export.build_report import print_report
from trident_export.build_source import synthetic_source
from trident_export.publishing.publish import publish
from trident_loadtest.stage_times import stage_times

RELEASE = Path("build/release")
USER = "u42"
WARM_UP = 50  # requests before the one whose stages are timed

console = Console()


def main() -> None:
    """Make data, learn, publish, serve, ask."""
    console.rule("data → features → towers → index → ranker → release")
    print_report(build(synthetic_source(), RELEASE), console)
    console.rule("publish")
    number = publish(RELEASE, DEFAULT_REPOSITORY)
    console.print(f"release {number} of {RELEASE} is in {DEFAULT_REPOSITORY}")
    console.rule("serve and ask")
    with serving(DEFAULT_REPOSITORY) as server:
        ask(server)
        body = request_body(USER)
        console.print(f"the same over HTTP, {len(post(server.http, body)['outputs'])} output tensors:")
    console.print(f"  curl localhost:8000/v2/models/recommend/infer -d '{body}'", soft_wrap=True)
    console.print("everything was stopped; `make serve` serves on, and that line then answers")


def ask(server: Serving) -> None:
    """Print one user's items, the funnel, and where the time of the call went."""
    items = ItemColumns.open(RELEASE / "items")
    with Recommender(server.grpc) as recommender:
        for number in range(WARM_UP):
            recommender.recommend(f"somebody else {number}")
        before = stage_times(server.http, server.key)
        answer = recommender.recommend(USER)
        after = stage_times(server.http, server.key)
    print_answer(answer, console, items)
    table = Table(title="time per stage", title_justify="left")
    table.add_column("model")
    table.add_column("ms", justify="right")
    for model in after:
        spent = after[model] - before[model]
        if spent.requests:
            table.add_row(model, f"{spent.mean_ms:.2f}")
    console.print(table)


def request_body(user: str) -> str:
    """The smallest request there is."""
    tensor = {"name": "user_id", "shape": [1, 1], "datatype": "BYTES", "data": [user]}
    return json.dumps({"inputs": [tensor]}, separators=(",", ":"))


def post(address: str, body: str) -> dict:
    """Send a request as curl would."""
    with urllib.request.urlopen(f"http://{address}/v2/models/recommend/infer", body.encode()) as response:
        return json.load(response)


if __name__ == "__main__":
    try:
        main()
    except TridentError as error:
        sys.exit(f"demo: {error}")
