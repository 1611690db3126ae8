"""The path behind FastAPI: `uvicorn benchmarks.alternatives.service:app`, told by the environment what to serve.

RELEASE is the release folder, REDIS_URL the Redis with the users, ITEM_ROWS "mapped" or the Redis with item features.
Bodies are read and written by orjson: models of pydantic would cost more.
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson
from fastapi import FastAPI, Request, Response

from benchmarks.alternatives.paths import answer, in_process, with_rows_from_redis
from trident.errors import InvalidInput

release, item_rows = Path(os.environ["RELEASE"]), os.environ["ITEM_ROWS"]
pipeline = in_process(release) if item_rows == "mapped" else with_rows_from_redis(release, item_rows)
answer(pipeline, {"user_id": "warm-up", "record": False})
app = FastAPI(openapi_url=None)


@app.post("/recommend")
async def recommend(request: Request) -> Response:
    """Answer one user; the work holds the interpreter, so a thread for it would only add a hop."""
    try:
        made = answer(pipeline, orjson.loads(await request.body()))
    except InvalidInput as error:
        return Response(orjson.dumps({"error": str(error)}), 400, media_type="application/json")
    return Response(orjson.dumps(made), media_type="application/json")
