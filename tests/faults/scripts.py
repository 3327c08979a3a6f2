"""Every way to fail that the table of failure classes knows, as each wire format plays it.

Sources of the errors' words: the formats' own error references, as in `cacheguard/simulate`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from upstreams import ONE_HOUR_MS

from tests.faults.classes import AS_IT_CAME, BROKEN, LINES

if TYPE_CHECKING:
    from collections.abc import Mapping

OPENAI, ANTHROPIC, GEMINI = WIRES = ("openai", "anthropic", "gemini")
PLAIN, STREAM = MODES = ("plain", "stream")

# What a tier that fails is like: as usual, with hardly any time, with hardly any between tokens, with two keys, or
# without a host.
USUAL, HASTY, RESTLESS, KEYED, GONE = "usual", "hasty", "restless", "keyed", "gone"

FORBIDDEN = "moonshine"
# A wait that fits every deadline, and one that fits none.
SHORT_S, LONG_S = 0.01, 100
NO_MARKER = "truncated, a stream without marker"
SORRY = "I'm sorry, but I can't help with that."


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """One way to fail. line: of the table. scripts: by wire format. tier: what it is like.

    spoken: of a stream whose words are out when it fails: it breaks (BROKEN), or ends as if it were well (AS_IT_CAME).
    asks_for_json: the request asks for an answer in that form.
    """

    name: str
    line: str
    scripts: Mapping[str, Mapping[str, Any]]
    spoken: str = ""
    tier: str = USUAL
    modes: tuple[str, ...] = MODES
    asks_for_json: bool = False

    @property
    def failure(self):
        return LINES[self.line].failure


def everywhere(**then):
    return dict.fromkeys(WIRES, then)


TRANSPORT = (
    Fault("no host there", "transport", everywhere(), tier=GONE),
    Fault("connection reset", "transport", everywhere(connection="reset")),
    Fault("request time-out", "transport", everywhere(status=408)),
    Fault("server error", "transport", everywhere(status=500)),
    Fault(
        "overloaded",
        "transport",
        {
            OPENAI: {"status": 503, "message": "The engine is currently overloaded, please try again later."},
            ANTHROPIC: {"status": 529, "message": "Overloaded"},
            GEMINI: {"status": 503, "message": "The model is overloaded. Please try again later."},
        },
    ),
    Fault("an HTML page", "transport", everywhere(garbage="html")),
    Fault("half a JSON document", "transport", everywhere(garbage="broken_json")),
    Fault("JSON of another kind", "transport", everywhere(garbage="other_json")),
    Fault("cut before the first word", "transport", everywhere(cut_after_tokens=0)),
    Fault("cut in the middle", "transport", everywhere(cut_after_tokens=3), spoken=BROKEN),
    Fault(
        "error event before the first word",
        "transport",
        {
            OPENAI: {"error_after_tokens": 0},
            ANTHROPIC: {"error_after_tokens": 0, "type": "overloaded_error", "message": "Overloaded"},
            GEMINI: {"error_after_tokens": 0, "type": "UNAVAILABLE"},
        },
        modes=(STREAM,),
    ),
    Fault(
        "error event in the middle",
        "transport",
        {
            OPENAI: {"error_after_tokens": 3},
            ANTHROPIC: {"error_after_tokens": 3, "type": "overloaded_error", "message": "Overloaded"},
            GEMINI: {"error_after_tokens": 3, "type": "UNAVAILABLE"},
        },
        spoken=BROKEN,
        modes=(STREAM,),
    ),
)

SLOW = (
    Fault("silence", "slow", everywhere(connection="hang"), tier=HASTY),
    Fault("no first token", "slow", everywhere(first_token_ms=ONE_HOUR_MS), tier=HASTY),
    Fault("a token an hour", "slow", everywhere(between_tokens_ms=ONE_HOUR_MS), tier=HASTY, modes=(PLAIN,)),
    Fault(
        "stall in the middle",
        "slow",
        everywhere(between_tokens_ms=ONE_HOUR_MS),
        spoken=BROKEN,
        tier=RESTLESS,
        modes=(STREAM,),
    ),
)


def throttled(seconds):
    return {
        OPENAI: {
            "status": 429,
            "message": f"Rate limit reached on requests per min (RPM). Please try again in {seconds:g}s.",
            "type": "requests",
            "code": "rate_limit_exceeded",
            "retry_after_ms": seconds * 1000,
        },
        ANTHROPIC: {
            "status": 429,
            "message": "This request would exceed your organization's rate limit of 50 requests per minute.",
            "retry_after_s": seconds,
        },
        GEMINI: {
            "status": 429,
            "message": f"You exceeded your current quota, please check your plan. Please retry in {seconds:g}s.",
            "code": "GenerateRequestsPerMinutePerProjectPerModel",
            "retry_after_s": seconds,
        },
    }


LIMITS = (
    Fault("throttled for long", "rate_limit", throttled(LONG_S)),
    Fault("throttled for a moment", "rate_limit, the wait fits", throttled(SHORT_S)),
    Fault(
        "quota used up",
        "quota",
        {
            OPENAI: {
                "status": 429,
                "message": "You exceeded your current quota, please check your plan and billing details.",
                "type": "insufficient_quota",
                "code": "insufficient_quota",
            },
            ANTHROPIC: {"status": 429, "message": "You have reached your specified API usage limits."},
            GEMINI: {
                "status": 429,
                "message": "You exceeded your current quota, please check your plan and billing details.",
                "code": "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
                "retry_after_s": LONG_S,
            },
        },
    ),
    Fault(
        "payment required",
        "quota",
        {
            OPENAI: {"status": 402, "message": "Payment required."},
            ANTHROPIC: {"status": 402, "message": "There's an issue with your billing or payment information."},
            GEMINI: {"status": 429, "message": "Your prepayment credits are depleted."},
        },
    ),
    Fault(
        "key refused",
        "auth",
        {
            OPENAI: {"status": 401, "message": "Incorrect API key provided.", "code": "invalid_api_key"},
            ANTHROPIC: {"status": 401, "message": "invalid x-api-key"},
            GEMINI: {
                "status": 400,
                "message": "API key not valid. Please pass a valid API key.",
                "code": "API_KEY_INVALID",
            },
        },
    ),
    Fault("key may not", "auth", everywhere(status=403)),
    Fault("both keys refused", "auth, another key", everywhere(status=401), tier=KEYED),
)

REQUESTS = (
    Fault("bad request", "bad_request", everywhere(status=400, message="temperature is too high")),
    Fault("can't be processed", "bad_request", everywhere(status=422, message="messages: wrong order")),
    Fault(
        "unknown model",
        "bad_request, unknown model",
        {
            OPENAI: {"status": 404, "message": "The model does not exist.", "code": "model_not_found"},
            ANTHROPIC: {"status": 404, "message": "model: claude-9"},
            GEMINI: {"status": 404, "message": "models/gemini-9 is not found for API version v1beta."},
        },
    ),
    Fault(
        "prompt too long",
        "context_length",
        {
            OPENAI: {
                "status": 400,
                "message": "This model's maximum context length is 128000 tokens.",
                "code": "context_length_exceeded",
            },
            ANTHROPIC: {"status": 400, "message": "prompt is too long: 215000 tokens > 200000 maximum"},
            GEMINI: {
                "status": 400,
                "message": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
            },
        },
    ),
    Fault("body too large", "context_length", {ANTHROPIC: {"status": 413}, OPENAI: {"status": 413}}),
    Fault(
        "window full",
        "context_length",
        {ANTHROPIC: {"finish_reason": "model_context_window_exceeded"}},
        spoken=BROKEN,
    ),
)

ANSWERS = (
    Fault(
        "filtered in the middle",
        "content_filter",
        {OPENAI: {"finish_reason": "content_filter"}, GEMINI: {"finish_reason": "PROHIBITED_CONTENT"}},
        spoken=AS_IT_CAME,
    ),
    Fault(
        "filtered before the first word",
        "content_filter",
        {OPENAI: {"text": "", "finish_reason": "content_filter"}, GEMINI: {"text": "", "finish_reason": "SAFETY"}},
    ),
    Fault("prompt blocked", "content_filter", {GEMINI: {"refusal": ""}}),
    Fault(
        "blocked with an error",
        "content_filter, nothing came",
        {
            OPENAI: {"status": 400, "message": "The prompt was filtered.", "code": "content_filter"},
            ANTHROPIC: {"status": 400, "message": "Output blocked by content filtering policy"},
        },
    ),
    Fault("refusal in its own field", "refusal", {OPENAI: {"refusal": SORRY}, ANTHROPIC: {"refusal": SORRY}}),
    Fault("refusal in words", "refusal", everywhere(text=SORRY), spoken=AS_IT_CAME),
    Fault("no JSON", "schema", everywhere(text="In the app."), asks_for_json=True),
    Fault("a field is missing", "schema", everywhere(text="{}"), asks_for_json=True),
    Fault("a wrong type", "schema", everywhere(text='{"limit": "high"}'), asks_for_json=True),
    Fault("no text", "empty", everywhere(text="")),
    Fault("nothing but blanks", "empty", everywhere(text="   "), spoken=AS_IT_CAME),
    Fault("cut at the length limit", "truncated, by length", everywhere(truncate_after_tokens=3), spoken=AS_IT_CAME),
    Fault("unknown finish reason", "truncated, unknown end", everywhere(finish_reason="pause_turn"), spoken=AS_IT_CAME),
    Fault("no finish reason", "truncated, unknown end", everywhere(finish_reason=None), modes=(PLAIN,)),
    Fault("no finish reason in the end", NO_MARKER, everywhere(finish_reason=None), spoken=BROKEN, modes=(STREAM,)),
    Fault("no end", NO_MARKER, everywhere(no_end_marker=True), spoken=BROKEN, modes=(STREAM,)),
    Fault("no end, no word", NO_MARKER, everywhere(text="", no_end_marker=True), modes=(STREAM,)),
    Fault("forbidden word", "rejected", everywhere(text=f"Try some {FORBIDDEN}."), spoken=AS_IT_CAME),
)

FAULTS = TRANSPORT + SLOW + LIMITS + REQUESTS + ANSWERS
