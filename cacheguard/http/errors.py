"""Errors in OpenAI's shape."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from cacheguard.errors import CacheGuardError, Overloaded, RequestError, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.exceptions import HTTPException
    from starlette.requests import Request

# A broken store mends itself, or someone mends it: when clients whose request needs it may ask again.
STORE_RETRY_S = 5.0


def error_body(error: CacheGuardError) -> dict[str, Any]:
    param = error.param if isinstance(error, RequestError) else None
    return {"error": {"message": str(error), "type": error.type, "param": param, "code": error.code}}


def error_response(error: CacheGuardError, fields: Mapping[str, str] | None = None) -> JSONResponse:
    """fields: further header fields."""
    if isinstance(error, StoreError):  # its message names files, which are no client's business
        error = Overloaded("the cache can't be used right now; try again soon", STORE_RETRY_S)
    headers = dict(fields or {})
    if isinstance(error, Overloaded):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    return JSONResponse(error_body(error), error.status, headers)


def no_such_endpoint(request: Request, error: HTTPException) -> JSONResponse:
    """The framework's own refusals: an unknown path, a wrong method."""
    refused = RequestError(f"{error.detail}: {request.method} {request.url.path}", code="unknown_url")
    return JSONResponse(error_body(refused), error.status_code, error.headers)


def failed() -> JSONResponse:
    """A mistake of ours. What it was stands in the log alone."""
    return JSONResponse(error_body(CacheGuardError("the service made a mistake, which its log tells of")), 500)
