"""Gemini's generateContent: what is sent for a chat request, what is read, which class an error has."""

from __future__ import annotations

import json

import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from upstreams import asked, gathered, text_of, verbatim

from cacheguard.failures import AttemptFailed, FailureClass
from cacheguard.providers.base import Call, Finish, Usage
from cacheguard.providers.calling import Host, HttpProvider
from cacheguard.providers.gemini import DROPPED, GenerateContent

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = {"role": "user", "content": "How do I raise my limit?"}
TRANSLATED = {
    "frequency_penalty",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "presence_penalty",
    "response_format",
    "seed",
    "stop",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
}
REFUSED = {"function_call", "functions"}

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
WEATHER_CALL = {"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}}
SIGNED = {"google": {"thought_signature": "sig"}}


@pytest.fixture(scope="module")
def host():
    with verbatim() as host:
        yield host


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider(host):
    provider = HttpProvider(GenerateContent(), Host(host.url, ["sk-1"]))
    yield provider
    await provider.aclose()


@pytest.fixture
def told(host, provider):
    """What comes of an error reply."""

    async def failure(code, status, message="Enough.", *details):
        error = {"code": code, "message": message, "status": status, "details": details}
        host.says({"error": error}, status=code)
        return await failure_of(provider)

    return failure


def candidate(*parts, finish=None, index=0):
    said = {"content": {"role": "model", "parts": parts}, "index": index}
    return said | ({"finishReason": finish} if finish else {})


def content(*candidates, **rest):
    return {"candidates": candidates, "modelVersion": "gemini", "responseId": "r1", **rest}


def text(words):
    return {"text": words}


YES = content(candidate(text("Yes."), finish="STOP"))


async def complete(provider, **rest):
    return await provider.complete(Call("gemini", asked(**rest)))


async def stream(provider):
    return await gathered(provider.stream(Call("gemini", asked())))


async def sent(host, provider, **rest):
    """The body that goes out for a chat request with these fields."""
    host.says(YES)
    await complete(provider, **rest)
    return host.requests[-1][1]


async def failure_of(provider, *, streamed=False, **rest):
    with pytest.raises(AttemptFailed) as raised:
        await (stream(provider) if streamed else complete(provider, **rest))
    return raised.value


async def test_a_bare_question_is_sent_bare(host, provider):
    assert await sent(host, provider) == {"contents": [{"role": "user", "parts": [text(QUESTION["content"])]}]}


@pytest.mark.parametrize(
    ("model", "place"),
    [("gemini-3-flash", "models/gemini-3-flash"), ("tunedModels/mine", "tunedModels/mine"), ("a?b", "models/a%3Fb")],
)
async def test_the_address_names_the_model_and_the_way(host, provider, model, place):
    host.says(YES)
    await provider.complete(Call(model, asked()))
    host.streams(YES)
    await gathered(provider.stream(Call(model, asked())))
    assert host.addresses[-2:] == [f"v1beta/{place}:generateContent", f"v1beta/{place}:streamGenerateContent?alt=sse"]


async def test_every_field_of_openais_request_is_translated_refused_or_dropped_with_a_reason():
    known = set(CompletionCreateParamsBase.__annotations__)
    assert known == TRANSLATED | REFUSED | DROPPED.keys()


@pytest.mark.parametrize(
    ("given", "config"),
    [
        ({"max_tokens": 9, "max_completion_tokens": 8}, {"maxOutputTokens": 8}),
        ({"stop": "\nQ:"}, {"stopSequences": ["\nQ:"]}),
        ({"temperature": 1.7, "top_p": 0.9, "seed": 0}, {"temperature": 1.7, "topP": 0.9, "seed": 0}),
        ({"presence_penalty": 1, "frequency_penalty": -1}, {"presencePenalty": 1, "frequencyPenalty": -1}),
        ({"n": 2}, {"candidateCount": 2}),
        ({"response_format": {"type": "json_object"}}, {"responseMimeType": "application/json"}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}},
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}},
        ),
        ({"response_format": {"type": "text"}, "temperature": None, "stop": None}, None),
        (dict.fromkeys(DROPPED, "something"), None),
        ({"some_new_field": 1}, None),
    ],
    ids=str,
)
async def test_a_field_goes_where_the_format_has_it(host, provider, given, config):
    bare = await sent(host, provider)
    assert await sent(host, provider, **given) == (bare | {"generationConfig": config} if config else bare)


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (WEATHER, {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
    ids=str,
)
async def test_tools_and_their_choice_are_passed_on(host, provider, choice, calling):
    body = await sent(host, provider, tools=[WEATHER], tool_choice=choice)
    declared = {"name": "weather", "description": "", "parametersJsonSchema": {"type": "object"}}
    assert body["tools"] == [{"functionDeclarations": [declared]}]
    assert body["toolConfig"] == {"functionCallingConfig": calling}


async def test_instructions_are_gathered_and_turns_alternate(host, provider):
    messages = [
        {"role": "system", "content": "You are a bank."},
        {"role": "user", "content": "Hello"},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "there"},
        {"role": "assistant", "content": "Hello!"},
        QUESTION,
    ]
    body = await sent(host, provider, messages=messages)
    assert body["systemInstruction"] == {"parts": [text("You are a bank.\n\nBe brief.")]}
    assert body["contents"] == [
        {"role": "user", "parts": [text("Hello"), text("there")]},
        {"role": "model", "parts": [text("Hello!")]},
        {"role": "user", "parts": [text(QUESTION["content"])]},
    ]


async def test_nothing_stands_beside_a_reference_in_a_schema(host, provider):
    """The format refuses that, and passes over what else it doesn't know."""
    defs = {"$defs": {"$ref": {"type": "string", "pattern": "^a"}}}
    schema = {"properties": {"a": {"$ref": "#/$defs/$ref", "description": "One."}}, "required": ["a"], **defs}
    wish = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    lone = {"properties": {"a": {"$ref": "#/$defs/$ref"}}, "required": ["a"], **defs}
    assert (await sent(host, provider, response_format=wish))["generationConfig"]["responseJsonSchema"] == lone
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    (tools,) = (await sent(host, provider, tools=[tool]))["tools"]
    assert tools["functionDeclarations"][0]["parametersJsonSchema"] == lone


async def test_results_of_tools_name_the_tool_and_are_objects(host, provider):
    messages = [
        QUESTION,
        {"role": "assistant", "tool_calls": [WEATHER_CALL | {"id": f"t{n}"} for n in range(3)]},
        {"role": "tool", "tool_call_id": "t0", "content": '{"sky": "rain"}'},
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
        {"role": "tool", "tool_call_id": "t2", "content": "[1]"},
    ]
    _, _, answered = (await sent(host, provider, messages=messages))["contents"]
    assert answered["role"] == "user"
    assert [part["functionResponse"] for part in answered["parts"]] == [
        {"id": "t0", "name": "weather", "response": {"sky": "rain"}},
        {"id": "t1", "name": "weather", "response": {"output": "rain"}},
        {"id": "t2", "name": "weather", "response": {"output": [1]}},
    ]


async def test_a_signature_comes_back_with_the_call_it_came_with(host, provider):
    call = {"functionCall": {"id": "t1", "name": "weather", "args": {"city": "Köln"}}, "thoughtSignature": "sig"}
    host.says(content(candidate(text("Let me see."), call, finish="STOP")))
    completion = await complete(provider)
    message = ChatCompletion.model_validate(completion.body).choices[0].message.model_dump()
    result = {"role": "tool", "tool_call_id": "t1", "content": "rain"}
    _, called, _ = (await sent(host, provider, messages=[QUESTION, message, result]))["contents"]
    assert called == {"role": "model", "parts": [text("Let me see."), call]}


async def test_the_first_call_of_a_turn_is_signed_even_when_another_model_made_it(host, provider):
    calls = [WEATHER_CALL, WEATHER_CALL | {"id": "t2"}]
    _, called = (await sent(host, provider, messages=[QUESTION, {"role": "assistant", "tool_calls": calls}]))[
        "contents"
    ]
    assert [part.get("thoughtSignature") for part in called["parts"]] == ["skip_thought_signature_validator", None]


@pytest.mark.parametrize(
    ("part", "sent_as"),
    [
        (
            {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
            {"fileData": {"fileUri": "https://x/a.png"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
            {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
        ),
    ],
    ids=["image by address", "image", "sound", "document"],
)
async def test_images_sounds_and_documents_are_passed_on(host, provider, part, sent_as):
    body = await sent(host, provider, messages=[{"role": "user", "content": [part]}])
    assert body["contents"][0]["parts"] == [sent_as]


async def test_reasoning_stands_beside_the_text(host, provider):
    host.says(content(candidate({"text": "Hm.", "thought": True}, text("Yes, "), text("do."), finish="STOP")))
    completion = await complete(provider)
    assert completion.text == "Yes, do."
    assert completion.body["choices"][0]["message"]["reasoning_content"] == "Hm."


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        ("SAFETY", Finish.CONTENT_FILTER),
        ("RECITATION", Finish.CONTENT_FILTER),
        ("BLOCKLIST", Finish.CONTENT_FILTER),
        ("PROHIBITED_CONTENT", Finish.CONTENT_FILTER),
        ("SPII", Finish.CONTENT_FILTER),
        ("LANGUAGE", Finish.UNKNOWN),
        ("OTHER", Finish.UNKNOWN),
        ("MALFORMED_FUNCTION_CALL", Finish.UNKNOWN),
        ("FINISH_REASON_UNSPECIFIED", Finish.UNKNOWN),
        ("stop", Finish.UNKNOWN),
        (None, Finish.UNKNOWN),
    ],
)
async def test_a_finish_reason_has_its_meaning(host, provider, reason, finish):
    host.says(content(candidate(text("Yes."), finish=reason)))
    assert (await complete(provider)).finish is finish


async def test_a_candidate_that_a_filter_emptied_is_read(host, provider):
    host.says(content({"finishReason": "SAFETY", "index": 0}, {"content": {"role": "model"}, "finishReason": "STOP"}))
    completion = await complete(provider)
    assert (completion.text, completion.finish) == ("", Finish.CONTENT_FILTER)
    assert completion.body["choices"][1]["finish_reason"] == "stop"


async def test_a_blocked_prompt_is_stopped_by_a_filter(host, provider):
    blocked = {"promptFeedback": {"blockReason": "OTHER"}, "usageMetadata": {"promptTokenCount": 9}}
    host.says(blocked)
    completion = await complete(provider)
    assert (completion.text, completion.finish, completion.usage.input) == ("", Finish.CONTENT_FILTER, 9)
    host.streams(blocked)
    *_, ending, usage = await stream(provider)
    assert ending.body["choices"][0]["finish_reason"] == "content_filter"
    assert usage.body["usage"]["prompt_tokens"] == 9


async def test_feedback_on_a_prompt_that_was_answered_blocks_nothing(host, provider):
    host.says(YES | {"promptFeedback": {"blockReason": "BLOCKED_REASON_UNSPECIFIED"}})
    assert (await complete(provider)).text == "Yes."


async def test_thoughts_are_output_and_cached_tokens_are_input(host, provider):
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 90,
        "candidatesTokenCount": 7,
        "thoughtsTokenCount": 20,
    }
    host.says(YES | {"usageMetadata": usage})
    assert (await complete(provider)).usage == Usage(input=100, output=27, cached_input=90)


async def test_usage_that_is_left_out_counts_as_nothing(host, provider):
    host.says(YES)
    assert (await complete(provider)).usage == Usage()


async def test_calls_of_tools_are_read_and_named(host, provider):
    call = {"functionCall": {"name": "weather", "args": {"city": "Köln"}}}
    host.says(content(candidate(call, {"functionCall": {"name": "time"}}, finish="STOP")))
    completion = await complete(provider)
    assert completion.has_tool_calls
    assert completion.finish is Finish.TOOL_CALLS
    first, second = ChatCompletion.model_validate(completion.body).choices[0].message.tool_calls
    assert (first.function.name, first.function.arguments) == ("weather", '{"city": "Köln"}')
    assert (second.function.name, second.function.arguments) == ("time", "{}")
    assert first.id != second.id


async def test_streamed_calls_of_tools_are_numbered(host, provider):
    calls = [{"functionCall": {"id": f"t{n}", "name": f"f{n}", "args": {}}} for n in range(3)]
    host.streams(
        content(candidate(text("Let me see."), calls[0])),
        content(candidate(*calls[1:])),
        content(candidate(text(""), finish="STOP")),
    )
    chunks = [ChatCompletionChunk.model_validate(chunk.body) for chunk in await stream(provider)]
    pieces = [piece for chunk in chunks for choice in chunk.choices for piece in choice.delta.tool_calls or ()]
    assert [(piece.index, piece.id, piece.function.name) for piece in pieces] == [
        (0, "t0", "f0"),
        (1, "t1", "f1"),
        (2, "t2", "f2"),
    ]
    assert chunks[-2].choices[0].finish_reason == "tool_calls"


async def test_each_of_several_candidates_has_its_own_choice(host, provider):
    host.says(content(candidate(text("Yes."), finish="STOP"), candidate(text("No."), finish="MAX_TOKENS", index=1)))
    choices = (await complete(provider)).body["choices"]
    assert [(choice["index"], choice["message"]["content"]) for choice in choices] == [(0, "Yes."), (1, "No.")]
    host.streams(content(candidate(text("Yes."))), content(candidate(text("No."), finish="STOP", index=1)))
    assert (await failure_of(provider, streamed=True)).failure is FailureClass.TRUNCATED
    host.streams(YES, content(candidate(text("No."), finish="MAX_TOKENS", index=1)))
    said = [choice for chunk in await stream(provider) for choice in chunk.body["choices"]]
    assert [(choice["index"], choice["finish_reason"]) for choice in said if choice["finish_reason"]] == [
        (0, "stop"),
        (1, "length"),
    ]


@pytest.mark.parametrize(
    ("part", "speaks"),
    [
        (text(""), []),
        ({"thoughtSignature": "sig", "text": ""}, []),
        ({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, []),
        (text(" "), [True]),
        ({"text": "Hm.", "thought": True}, [True]),
        ({"functionCall": {"name": "f"}}, [True]),
    ],
    ids=str,
)
async def test_only_text_reasoning_and_tools_speak(host, provider, part, speaks):
    host.streams(content(candidate(part)), content(candidate(text(""), finish="STOP")))
    opening, *said, _, _ = await stream(provider)
    assert not opening.speaks
    assert [chunk.speaks for chunk in said] == speaks


async def test_a_line_separator_inside_a_text_does_not_split_it(host, provider):
    said = "one\u2028two\u2029three\x85four"
    event = json.dumps(content(candidate(text(said), finish="STOP")), ensure_ascii=False)
    host.streams(b"data: " + event.encode())
    assert text_of(await stream(provider)) == said


async def test_what_comes_behind_the_finish_is_still_of_the_answer(host, provider):
    host.streams(YES, {"usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 7}}, b"data: [DONE]")
    assert (await stream(provider))[-1].body["usage"]["total_tokens"] == 12


@pytest.mark.parametrize(
    "events",
    [
        (),
        (content(candidate(text("Yes."))),),
        (content(candidate(text("Yes."))), b"data: [DONE]"),
        (content(usageMetadata={}),),
    ],
    ids=len,
)
async def test_a_stream_without_a_finish_is_cut(host, provider, events):
    host.streams(*events)
    assert (await failure_of(provider, streamed=True)).failure is FailureClass.TRUNCATED


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ("UNAVAILABLE", FailureClass.TRANSPORT),
        ("INTERNAL", FailureClass.TRANSPORT),
        ("DEADLINE_EXCEEDED", FailureClass.TRANSPORT),
        ("SOMETHING_NEW", FailureClass.TRANSPORT),
        ("RESOURCE_EXHAUSTED", FailureClass.RATE_LIMIT),
    ],
)
@pytest.mark.parametrize("before", [(), (content(candidate(text("Yes."))),)], ids=["before a word", "after a word"])
async def test_an_error_inside_a_stream_has_its_class(host, provider, status, failure, before):
    host.streams(*before, {"error": {"code": 503, "message": "The model is overloaded.", "status": status}})
    failed = await failure_of(provider, streamed=True)
    assert (failed.failure, failed.status, str(failed)) == (failure, 503, "The model is overloaded.")


INVALID, EXHAUSTED = (400, "INVALID_ARGUMENT"), (429, "RESOURCE_EXHAUSTED")
QUOTA_WORDS = "You exceeded your current quota, please check your plan and billing details."


def quota(*ids):
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": at} for at in ids]}


def reason(word):
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": word}


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ((*INVALID, "Invalid value at 'contents'"), FailureClass.BAD_REQUEST),
        ((*INVALID, "API key not valid. Please pass a valid API key."), FailureClass.AUTH),
        ((*INVALID, "API key expired. Please renew the API key."), FailureClass.AUTH),
        ((*INVALID, "No.", reason("API_KEY_INVALID")), FailureClass.AUTH),
        (
            (*INVALID, "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576)."),
            FailureClass.CONTEXT_LENGTH,
        ),
        ((400, "FAILED_PRECONDITION", "User location is not supported for the API use."), FailureClass.AUTH),
        ((401, "UNAUTHENTICATED"), FailureClass.AUTH),
        ((403, "PERMISSION_DENIED"), FailureClass.AUTH),
        ((404, "NOT_FOUND", "models/gemini-99 is not found for API version v1beta"), FailureClass.BAD_REQUEST),
        ((*EXHAUSTED, QUOTA_WORDS), FailureClass.RATE_LIMIT),
        ((*EXHAUSTED, QUOTA_WORDS, quota("GenerateRequestsPerMinutePerProjectPerModel")), FailureClass.RATE_LIMIT),
        ((*EXHAUSTED, QUOTA_WORDS, quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")), FailureClass.QUOTA),
        ((*EXHAUSTED, QUOTA_WORDS, quota("TokensPerMinute", "RequestsPerDay")), FailureClass.QUOTA),
        ((*EXHAUSTED, "Your prepayment credits are depleted."), FailureClass.QUOTA),
        ((499, "CANCELLED"), FailureClass.TRANSPORT),
        ((500, "INTERNAL"), FailureClass.TRANSPORT),
        ((503, "UNAVAILABLE", "The model is overloaded."), FailureClass.TRANSPORT),
        ((504, "DEADLINE_EXCEEDED"), FailureClass.TRANSPORT),
        ((503, ""), FailureClass.TRANSPORT),
    ],
    ids=str,
)
async def test_an_error_reply_has_its_class(told, error, failure):
    failed = await told(*error)
    assert (failed.failure, failed.status) == (failure, error[0])
    assert failed.unknown_model == (error[0] == 404)


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("7s", 7), ("1.5s", 1.5), ("0.250000000s", 0.25), ("0s", 0), ("soon", None), (7, None), ("-1s", None)],
)
async def test_the_hint_stands_in_the_body(told, delay, seconds):
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    failed = await told(*EXHAUSTED, QUOTA_WORDS, quota("PerMinute"), info)
    assert (failed.failure, failed.retry_after_s) == (FailureClass.RATE_LIMIT, seconds)


async def test_a_proxys_hint_in_a_header_counts_where_the_body_has_none(host, provider):
    host.says({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, status=429, retry_after="3")
    assert (await failure_of(provider)).retry_after_s == 3


@pytest.mark.parametrize("arguments", ["[]", '{"city": ', "[" * 100_000], ids=lambda arguments: arguments[:9])
async def test_arguments_that_are_no_json_object_are_a_bad_request(provider, arguments):
    call = WEATHER_CALL | {"function": {"name": "weather", "arguments": arguments}}
    messages = [QUESTION, {"role": "assistant", "tool_calls": [call]}]
    assert (await failure_of(provider, messages=messages)).failure is FailureClass.BAD_REQUEST


@pytest.mark.parametrize(
    "event",
    [
        {"candidates": [{"content": {"parts": [{"text": 7}]}}]},
        {"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]},
        {"candidates": [{"content": {"parts": 7}}]},
        {"candidates": [{"content": {"parts": [7]}}]},
        YES | {"usageMetadata": {"promptTokenCount": "many"}},
        YES | {"usageMetadata": {"promptTokenCount": 1e999}},
        {"no": "candidates"},
    ],
    ids=str,
)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
async def test_a_reply_of_another_shape_is_a_failure(host, provider, event, streamed):
    if streamed:
        host.streams(event)
    else:
        host.says(event)
    assert (await failure_of(provider, streamed=streamed)).failure is FailureClass.TRANSPORT
