"""Guards that hold a question against the phrasings of an answer."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cacheguard.matching.guards import GUARDS, make_guards
from cacheguard.matching.guards.base import Comparison

COMPARING = [guard.name for guard in make_guards(GUARDS) if isinstance(guard, Comparison)]

DIFFER = [
    ("numbers", "How do I pass the 050-730 exam?", "How do I pass the 650-157 exam?"),
    ("numbers", "How can I lose 5 kg in a month?", "How can I lose 10 kg in a month?"),
    ("numbers", "What can I do in Goa in four days?", "What can I do in Goa in 5 days?"),
    ("numbers", "What are the side effects of the second dose?", "What are the side effects of the third dose?"),
    ("numbers", "Is the branch open on Monday?", "Is the branch open on Saturday?"),
    ("numbers", "What is due on 5 March?", "What is due on 5 May?"),
    ("numbers", "Can I send $100 abroad?", "Can I send €100 abroad?"),
    ("numbers", "How far is it to walk 5 km?", "How far is it to walk 5 miles?"),
    ("numbers", "Is a delivery within 24 hours possible?", "Is a delivery within 24 days possible?"),
    ("numbers", "What is the best laptop under 1,500 dollars?", "What is the best laptop under 500 dollars?"),
    ("numbers", "Wie viel kosten 3 Karten?", "Wie viel kosten 5 Karten?"),
    ("numbers", "What is your favorite Batman movie of 2000?", "What is your favorite Batman movie?"),
    ("negation", "What should I do after getting married?", "What should I not do after getting married?"),
    ("negation", "Which foods can dogs eat?", "Which foods can't dogs eat?"),
    ("negation", "Can I travel with a visa?", "Can I travel without a visa?"),
    ("negation", "Which banks charge a fee?", "Which banks never charge a fee?"),
    ("direction", "Should I buy Tesla stock right now?", "Should I sell Tesla stock right now?"),
    ("direction", "When did you buy it?", "When were you selling it?"),
    ("direction", "How do I turn on notifications?", "How do I turn off notifications?"),
    ("direction", "How do I enable two-factor login?", "How do I disable two-factor login?"),
    ("direction", "How do I increase my limit?", "How do I decrease my limit?"),
    ("direction", "How do I open an account?", "How do I close an account?"),
    ("direction", "How do I lock my card?", "How do I unlock my card?"),
    ("direction", "What does sending money cost?", "What does receiving money cost?"),
    ("direction", "How does margin lending work?", "How does margin borrowing work?"),
    ("direction", "Can I eat before the vaccination?", "Can I eat after the vaccination?"),
    ("direction", "How do I convert dollars to rupees?", "How do I convert rupees to dollars?"),
    ("direction", "Is it safe to drive from Texas to California?", "Is it safe to drive from California to Texas?"),
    ("direction", "Is it safe to drive to Texas from California?", "Is it safe to drive from Texas to California?"),
    ("direction", "How do I roll over my 401(k) into an IRA?", "How do I roll over my IRA into a 401(k)?"),
    ("direction", "Is there life after death?", "Is there death after life?"),
    ("direction", "Why is it illegal to send it?", "Why is it illegal to receive it?"),
    ("names", "What is the placement process of IBM?", "What is the placement process of SAP?"),
    ("names", "How is the food in Texas?", "How is the food in Ohio?"),
    ("names", "Where can I repair an iPhone?", "Where can I repair a Pixel?"),
    ("names", "Does the X200 have a warranty?", "Does the X300 have a warranty?"),
    ("names", "What are the risks of investing in ETFs?", "What are the risks of investing in ETNs?"),
    ("names", "How much is the Premium plan?", "How much is the Basic plan?"),
    ("names", "Can I withdraw from my Roth IRA?", "Can I withdraw from my Traditional IRA?"),
    ("names", "Can I pay with Visa in shops?", "Can I pay in shops?"),
    (
        "one_word",
        "What is a suitable solar panel installation provider near the small town of Sonora, California?",
        "What is a suitable solar panel installation provider near the small town of Truckee, California?",
    ),
    ("language", "How can I change the password of my account?", "Wie kann ich das Passwort meines Kontos ändern?"),
    ("language", "¿Cómo puedo cambiar la contraseña de mi cuenta?", "How can I change the password of my account?"),
]

AGREE = [
    ("numbers", "What is the best phone under 20K?", "Which phone is the best under 20,000?"),
    ("numbers", "How can I lose 5 kg in one month?", "How can I lose 5 kg in 1 month?"),
    ("numbers", "Can I send 100 dollars abroad?", "Can I send $100 abroad?"),
    ("numbers", "Is a delivery in 24h possible?", "Is a delivery within 24 hours possible?"),
    ("numbers", "Which one is best?", "Which is best?"),
    ("numbers", "How do I recover my account without the code I got 2 days ago?", "I lost access, can you help?"),
    ("numbers", "May I come by?", "Can I come by?"),
    ("numbers", "Is version 1.50 out?", "Is version 1.5 out?"),
    ("negation", "I don't know how to change my PIN", "How to change my PIN"),
    ("negation", "Can I travel or not?", "Can I travel?"),
    ("negation", "Why can't I log in?", "What do I do when the login fails?"),
    ("negation", "Why isn’t it working?", "Why isn't it working"),
    ("negation", "Kann ich ohne Visum reisen?", "Kann ich mit Visum reisen?"),
    ("direction", "How do I buy and sell shares?", "How do I sell shares?"),
    ("direction", "Is Toronto a safe city?", "Is Toronto a dangerous city?"),
    ("direction", "I forgot my password", "I can't remember my password"),
    ("direction", "How does Jobs compare to Gates?", "How does Gates compare to Jobs?"),
    ("direction", "How do I get my cat to stop biting me?", "How do I stop my cat from biting me?"),
    ("direction", "To get a vaccine, do I need to be a citizen?", "Do you need to be a citizen to get a vaccine?"),
    ("direction", "How do I transfer money to savings?", "How can money be moved to savings?"),
    ("direction", "Wie lang ist der Weg?", "Wie short ist der Weg?"),
    ("names", "How do I use PayPal?", "how do i use pay pal?"),
    ("names", "Where is the best sushi in San Francisco?", "Where is the best sushi in SF?"),
    ("names", "How Do I Change My PIN?", "how do i change my pin?"),
    ("names", "WHERE IS MY CARD", "Where is my card?"),
    ("names", "What is Bob's plan?", "What is the plan of Bob?"),
    ("names", "Thanks. Where do I find it?", "Where do I find it?"),
    ("names", "Wie ändere ich mein Passwort in der App?", "Wie setze ich das Kennwort in der Anwendung zurück?"),
    ("one_word", "How do I change my address?", "How do I change my name?"),
    ("language", "PIN ändern", "Change PIN"),
    ("language", "Jak mogę zmienić hasło do konta?", "Jak mogę zmienić swoje hasło do mojego konta?"),
]


@pytest.mark.parametrize(("guard", "asked", "known"), DIFFER)
def test_what_differs_is_objected_to_from_both_sides(objects, guard, asked, known):
    assert objects(guard, asked, known)
    if (asked, known) != ("Can I pay with Visa in shops?", "Can I pay in shops?"):  # names: only the question's
        assert objects(guard, known, asked)


@pytest.mark.parametrize(("guard", "asked", "known"), AGREE)
def test_what_agrees_passes_from_both_sides(objects, guard, asked, known):
    assert not objects(guard, asked, known)
    assert not objects(guard, known, asked)


@pytest.mark.parametrize(("guard", "asked", "known"), DIFFER)
def test_a_phrasing_that_agrees_speaks_for_its_answer(objects, guard, asked, known):
    rephrased = f"Please, {asked[0].lower()}{asked[1:]}"
    assert not objects(guard, asked, known, rephrased)


def test_a_phrasing_without_either_opposite_does_not_speak_for_an_answer(objects):
    phrasings = "How do I turn notifications off?", "How do I deal with notifications?"
    assert objects("direction", "How do I turn notifications on?", *phrasings)


def test_opposites_of_a_language_that_is_surely_another_are_none(objects):
    assert not objects(
        "direction", "Wann war die Sendung im Internet online?", "Wann war die Sendung offline zu sehen?"
    )


@given(text=st.text(min_size=1), guard=st.sampled_from(COMPARING))
def test_no_comparison_tells_a_text_from_itself(text, guard):
    [made] = make_guards([guard])
    assert not made.differ(text, text)


@pytest.mark.parametrize("guard", [*COMPARING, "direction"])
def test_an_equal_text_is_not_objected_to(objects, guard):
    assert not objects(
        guard, "How do I buy 3 shares of IBM?", "How do I sell 4 shares of SAP?", "how do i buy 3 shares of ibm"
    )


def test_of_opposite_finance_questions_few_pass(objects, data):
    """GPTCache 694: opposite questions have similarities above 0.8."""
    with gzip.open(data / "pairs" / "finance_traps.tsv.gz", "rt", encoding="utf-8") as lines:
        pairs = [line.split("\t")[:2] for line in lines][1:]
    passed = [pair for pair in pairs if not any(objects(guard, *pair) for guard in GUARDS)]
    assert (len(pairs), len(passed)) == (32, 13)


def test_on_and_off_are_told_apart(objects):
    """Semantic-router (vLLM), 2691: they have a similarity of 0.915, a true paraphrase 0.673."""
    assert objects("direction", "Turn on the lights in the kitchen", "Turn off the lights in the kitchen")
    assert not objects("direction", "Turn on the lights in the kitchen", "Switch the kitchen lights on")
