"""Personal data and secrets in what a log holds: found, so that a line is left out or they are blacked out.

Own patterns, a dozen: Presidio wants a language model of hundreds of megabytes and milliseconds a text, scrubadub is
not kept up. What has a check sum is checked. Names and postal addresses are not found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Keys by the marks that their makers gave them, so that scanners find them. Source: gitleaks, config/gitleaks.toml.
_KEY: Final = (
    r"\b(?:sk|rk|pk)[-_](?:ant-|proj-|live_|test_|svcacct-)?[\w-]{20,}"  # OpenAI, Anthropic, Stripe
    r"|\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"  # AWS
    r"|\bgh[pousr]_\w{36,}|\bgithub_pat_\w{50,}|\bglpat-[\w-]{20,}"  # GitHub, GitLab
    r"|\bxox[abeoprs]-[\w-]{10,}"  # Slack
    r"|\bAIza[\w-]{35}"  # Google
    r"|\bhf_[A-Za-z]{34}"  # Hugging Face
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*"  # a JSON web token, RFC 7519
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"  # RFC 7468
    r"|(?i:\b(?:password|passwort|passwd|pwd|api[ _-]?key|secret|token)\b\s*(?:is|ist|[:=])\s*(?=\S*\d)\S{8,})"
)
_EMAIL: Final = r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63})+"  # RFC 5322 as people write it
_CARD: Final = r"\b(?:\d[ -]?){12,18}\d\b"  # ISO/IEC 7812
_IBAN: Final = r"\b[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"  # ISO 13616
_SSN: Final = r"\b(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}\b"  # ssa.gov/employer/randomization.html
# ITU-T E.123: with the mark of a country, or in groups with the brackets or hyphens of North America.
_PHONE: Final = (
    r"(?<![\w.])(?:\+\d{1,3}[ ./-]?(?:\(?\d{1,5}\)?[ ./-]?){2,6}\d{2,}|\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4})(?!\w)"
)


def _luhn(text: str) -> bool:
    """The check sum of payment cards (ISO/IEC 7812-1, annex B)."""
    digits = [int(one) for one in reversed(text) if one.isdigit()]
    if len(set(digits)) == 1:
        return False
    doubled = sum(2 * one - 9 * (one > 4) for one in digits[1::2])  # noqa: PLR2004 - half of the digits
    return (sum(digits[::2]) + doubled) % 10 == 0


def _mod_97(text: str) -> bool:
    """The check sum of bank accounts (ISO 7064)."""
    plain = text.replace(" ", "")
    return int("".join(str(int(one, 36)) for one in plain[4:] + plain[:4])) % 97 == 1


def _always(text: str) -> bool:  # noqa: ARG001 - as the others
    return True


# What each match holds: most texts have none of it, and are done in some microseconds.
_LONG_WORD: Final = 14
_LONG: Final = re.compile(rf"[\w-]{{{_LONG_WORD}}}", re.ASCII)
_NAMES: Final = ("private key", "passw", "pwd", "secret", "token", "api")
_DIGITS: Final = re.compile(r"\d\d")


class _Kind(NamedTuple):
    name: str
    pattern: re.Pattern[str]
    is_one: Callable[[str], bool]

    def found_in(self, text: str) -> Iterator[str]:
        return filter(self.is_one, (found[0] for found in self.pattern.finditer(text)))


# In the order in which they are looked for: what is longer holds what is shorter.
_SECRET: Final = _Kind("secret", re.compile(_KEY), _always)
_ADDRESS: Final = _Kind("e-mail address", re.compile(_EMAIL), _always)
_NUMBERS: Final = (
    _Kind("bank account", re.compile(_IBAN), _mod_97),
    _Kind("payment card", re.compile(_CARD), _luhn),
    _Kind("social security number", re.compile(_SSN), _always),
    _Kind("phone number", re.compile(_PHONE), _always),
)


def personal_in(text: str) -> str:
    """What kind of personal data or secret it holds, "" for none."""
    return next((kind.name for kind in _possible(text) if any(kind.found_in(text))), "")


def blacked_out(text: str) -> str:
    """The text with the kind of what it held in its place: «write to [e-mail address]»."""
    for kind in _possible(text):
        for one in sorted(set(kind.found_in(text)), key=len, reverse=True):
            text = text.replace(one, f"[{kind.name}]")
    return text


def _possible(text: str) -> Iterator[_Kind]:
    """The kinds whose marks the text bears."""
    lower = text.lower()
    if any(name in lower for name in _NAMES) or (_has_long_word(text) and _LONG.search(text)):
        yield _SECRET
    if "@" in text:
        yield _ADDRESS
    if _DIGITS.search(text):
        yield from _NUMBERS


def _has_long_word(text: str) -> bool:
    """Of so many characters between white space: told in a tenth of the time that the pattern takes."""
    return max(map(len, text.split()), default=0) >= _LONG_WORD
