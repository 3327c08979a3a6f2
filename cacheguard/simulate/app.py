"""The simulated provider: a web app that speaks a provider's wire format and misbehaves on a script."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cacheguard.errors import ConfigError
from cacheguard.simulate.anthropic import AnthropicMessages
from cacheguard.simulate.connection import ClientGone, Connection
from cacheguard.simulate.director import Director
from cacheguard.simulate.gemini import GeminiContent
from cacheguard.simulate.openai import OpenAIChat
from cacheguard.simulate.play import Play
from cacheguard.simulate.record import Record
from cacheguard.simulate.script import Script, parse_script
from cacheguard.simulate.wire import BadRequest, WireFormat

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from cacheguard.simulate.answers import Answers

# A new wire format is one file and one member here.
WIRE_FORMATS: tuple[WireFormat, ...] = (OpenAIChat(), AnthropicMessages(), GeminiContent())


def simulated_provider(answers: Answers, script: Script | None = None, *, seed: int = 0) -> Starlette:
    """The provider as an ASGI app, to be run by uvicorn. seed: of the script's pauses and shares.

    Beside the provider's own endpoints: GET /_simulate/calls, POST /_simulate/reset, PUT /_simulate/script.
    """
    stage = Stage(answers, script or Script(), seed)
    return Starlette(
        routes=[
            *(Route(wire.path, Endpoint(wire, stage), methods=["POST"]) for wire in WIRE_FORMATS),
            Route("/v1/models", stage.list_models),
            Route("/_simulate/calls", stage.show_calls),
            Route("/_simulate/reset", stage.reset, methods=["POST"]),
            Route("/_simulate/script", stage.replace_script, methods=["PUT"]),
        ]
    )


class Stage:
    """What all wire formats share: the answers, the script as it runs, the record of calls."""

    def __init__(self, answers: Answers, script: Script, seed: int) -> None:
        self.answers = answers
        self._seed = seed
        self._set(script)

    def _set(self, script: Script) -> None:
        self._script = script
        self.director = Director(script, self._seed)
        self.record = Record()

    async def list_models(self, request: Request) -> Response:  # noqa: ARG002
        models = [
            {"id": name, "object": "model", "created": 0, "owned_by": "cacheguard"} for name in self._script.models
        ]
        return JSONResponse({"object": "list", "data": models})

    async def show_calls(self, request: Request) -> Response:  # noqa: ARG002
        return JSONResponse(self.record.summary())

    async def reset(self, request: Request) -> Response:  # noqa: ARG002
        """Forget the calls; the script begins anew."""
        self._set(self._script)
        return Response(status_code=204)

    async def replace_script(self, request: Request) -> Response:
        """The body, YAML or JSON, is the script from now on; calls already begun keep their rule."""
        try:
            self._set(parse_script(await request.body(), source="the body"))
        except ConfigError as exc:
            return JSONResponse({"error": {"message": str(exc)}}, status_code=400)
        return Response(status_code=204)


class Endpoint:
    """One wire format's endpoint: bare ASGI, since it must see the client leave and drop connections."""

    def __init__(self, wire: WireFormat, stage: Stage) -> None:
        self._wire = wire
        self._stage = stage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = Connection(receive, send)
        try:
            body = _json_object(await connection.body())
            question = self._wire.question(scope["path_params"], body)
        except ClientGone:
            return
        except BadRequest as exc:
            await connection.respond(exc.failure.status, self._wire.error(exc.failure))
            return
        stage = self._stage
        with stage.record.call(question.model, body) as number:
            then = stage.director.cue(question.model, question.prompt)
            text = stage.answers.to(question.prompt)
            await Play(self._wire, connection, question, then, stage.director.random).perform(number, text)


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError as exc:
        raise BadRequest(f"the body is not JSON: {exc}") from exc
    if not isinstance(content, dict):
        raise BadRequest("the body is not a JSON object")
    return content
