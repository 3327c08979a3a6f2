"""Which scripts a vocabulary holds."""

from __future__ import annotations

import pytest

from embeddings.scripts import is_within, scripts_read

LATIN = frozenset({"LATIN"})


def test_letters_alone_are_no_script_that_is_read():
    words = [f"card{number}" for number in range(600)]
    letters = [chr(letter) for letter in range(ord("а"), ord("я"))]
    assert scripts_read([*words, *letters]) == LATIN


def test_a_piece_of_two_scripts_counts_for_both():
    assert scripts_read(["Tシャツ"] * 600) == {"LATIN", "KATAKANA"}


@pytest.mark.parametrize("text", ["", "?", "12 €", "🙂", "Größe", "naïve 10²", "—"])
def test_signs_and_marks_are_of_every_script(text):
    assert is_within(text, LATIN)


@pytest.mark.parametrize("text", ["你", "What does 你好 mean?", "β", "Да", "ไทย", "\ue000a你"])
def test_one_letter_of_another_script_is_enough(text):
    assert not is_within(text, LATIN)
