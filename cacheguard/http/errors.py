"""Errors in OpenAI's shape."""

from __future__ import annotations

import math
from typing import Any

from starlette.responses import JSONResponse

from cacheguard.errors import CacheGuardError, Overloaded, RequestError


def error_body(error: CacheGuardError) -> dict[str, Any]:
    param = error.param if isinstance(error, RequestError) else None
    return {"error": {"message": str(error), "type": error.type, "param": param, "code": error.code}}


def error_response(error: CacheGuardError) -> JSONResponse:
    headers = {}
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    return JSONResponse(error_body(error), error.status, headers)
