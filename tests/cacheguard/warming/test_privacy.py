from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.warming.privacy import blacked_out, personal_in


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to anna.b+x@mail.example.org, please.", "e-mail address"),
        ("My card is 4111 1111 1111 1111.", "payment card"),
        ("5500-0000-0000-0004", "payment card"),
        ("Send it to DE89 3704 0044 0532 0130 00 today", "bank account"),
        ("GB82WEST12345698765432", "bank account"),
        ("SSN 123-45-6789", "social security number"),
        ("Call +49 30 901820 or", "phone number"),
        ("call (555) 123-4567", "phone number"),
        ("key sk-proj-abcdefghijklmnopqrstuvwx", "secret"),
        ("AKIAIOSFODNN7EXAMPLE", "secret"),
        ("ghp_0123456789abcdefghijklmnopqrstuvwxyz", "secret"),
        ("my password is hunter2024", "secret"),
        ("api_key=abc123def", "secret"),
        ("-----BEGIN RSA PRIVATE KEY-----", "secret"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.x", "secret"),
    ],
)
def test_it_is_found_and_blacked_out(text, kind):
    assert personal_in(text) == kind
    assert f"[{kind}]" in blacked_out(text)
    assert personal_in(blacked_out(text)) == ""


@pytest.mark.parametrize(
    "text",
    [
        "How do I reset my password?",
        "Your password is safe with us.",
        "The order number has 16 digits, such as 1234 5678 9012 3456.",
        "It costs 1,299.00 euros until 2026-11-28, 10:00 to 12:00.",
        "Version 3.14.15.9265, RFC 7519, ISO 13616",
        "1111111111111111",
        "@mention and a@b",
        "https://example.org/a/b?c=d",
        "The token limit is 128000 tokens: 2^17.",
        "DE89 3704 0044 0532 0130 02",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text):
    assert personal_in(text) == ""
    assert blacked_out(text) == text


@given(st.text())
def test_whatever_is_blacked_out_holds_nothing_more(text):
    assert personal_in(blacked_out(text)) == ""


@given(st.text(alphabet="0123456789 -+().@:=abAK_", max_size=200))
def test_a_text_holds_something_exactly_where_blacking_out_changes_it(text):
    assert bool(personal_in(text)) == (blacked_out(text) != text)
