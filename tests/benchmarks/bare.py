"""The floor for an HTTP answer: a FastAPI endpoint that parses the request's JSON and returns bytes that it has.

Run it with `python -m tests.benchmarks.bare PORT ANSWERS.json`; the file maps each question to its answer's body.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response


def make_app(answers: dict[str, str]) -> FastAPI:
    app = FastAPI()
    bodies = {question: body.encode() for question, body in answers.items()}

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ready"}

    @app.post("/v1/chat/completions", response_model=None)
    async def answer(request: Request) -> Response:
        asked = json.loads(await request.body())
        return Response(bodies[asked["messages"][-1]["content"]], media_type="application/json")

    return app


if __name__ == "__main__":
    port, answers = sys.argv[1:]
    uvicorn.run(make_app(json.loads(Path(answers).read_bytes())), port=int(port), access_log=False, log_level="warning")
