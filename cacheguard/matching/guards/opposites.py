"""English words that turn a question round when one stands for another.

Left out, because pairs of qqp_a that differ in them mean the same at least as often as not: good and bad, safe and
dangerous, legal and illegal, cheap and expensive, better and worse, most and least, left and right, remember and
forget.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# ~: a verb, or noun, with its regular forms.
_OPPOSITES = """
accept~ approve~ approval | reject~ decline~ refuse~ deny~ denied
activate~ activation | deactivate~ deactivation
add~ | remove~ delete~
advantage~ benefit~ pro pros | disadvantage~ drawback~ con cons
allow~ permit~ | forbid~ prohibit~ ban~ prevent~
arrive~ arrival~ | depart~ departure~
ascending | descending
asset~ | liability liabilities
asymptomatic | symptomatic
attach~ | detach~
attack~ | defend~
automatic automatically | manual manually
before prior until | after since
best | worst
block~ | unblock~
bull bullish | bear bearish
buy~ bought purchase~ | sell~ sold
call calls | put puts
check-in | check-out
clockwise | counterclockwise anticlockwise
compress~ zip~ | decompress~ unzip~ extract~
connect~ | disconnect~
create~ | delete~ destroy~
credit | debit
creditor~ | debtor~
day days | night nights
deposit~ | withdraw~ withdrew withdrawn withdrawal~
domestic | foreign international
early earlier | late later
employer~ | employee~
employ~ hire~ | fire~ dismiss~
enable~ | disable~
encode~ | decode~
encourage~ | discourage~
encrypt~ encryption | decrypt~ decryption
enter~ entry | exit~
expand~ | collapse~ shrink~
fast faster quick quicker quickly | slow slower slowly
father dad | mother mom mum
fixed | variable
follow~ | unfollow~
freeze~ froze frozen | unfreeze~ unfroze unfrozen thaw~
gain~ profit~ | loss losses lose~ lost
gross | net
hide~ hid hidden | show~ unhide~ reveal~
high higher highest | low lower lowest
horizontal horizontally | vertical vertically
husband~ | wife wives
import~ | export~
include~ | exclude~
income | expense~
increase~ raise~ rise~ rose risen grow~ grew | decrease~ reduce~ reduction lower~ fall~ fell fallen drop~
inhale~ | exhale~
input~ | output~
inside indoor indoors | outside outdoor outdoors
install~ | uninstall~
internal | external
landlord~ | tenant~
large larger largest big bigger biggest | small smaller smallest
lend~ lent lender~ | borrow~ borrower~
lock~ | unlock~
long | short
love~ like~ | hate~ dislike~
male~ man men boy~ | female~ woman women girl~
mandatory required | optional
married marry marrying | divorced divorce divorcing
merge~ | split~
minimum lowest | maximum highest
more | less fewer
morning~ | evening~
mount~ | unmount~
multiply~ | divide~
mute~ | unmute~
next | previous last
north northern | south southern
east eastern | west western
on | off
online | offline
open~ | close~ shut shutting
parent~ | child children kid~
pass~ | fail~
past | future
pause~ | resume~
permanent permanently | temporary temporarily
positive | negative
primary | secondary
public | private
push~ | pull~
realized realised | unrealized unrealised
rich | poor
save~ | spend~ spent
seller~ | buyer~
send~ sent sender~ | receive~ receiver~ recipient~
single | multiple double
start~ begin~ began | stop~ end~ finish~ quit~
strong stronger | weak weaker
subscribe~ | unsubscribe~
succeed~ success | fail~ failure
summer~ | winter~
taxable | deductible
teacher~ | student~
top | bottom
up | down
upgrade~ | downgrade~
upload~ | download~
weekday~ | weekend~
win~ won winner~ | lose~ lost loser~
yesterday | today | tomorrow
"""
_VOWELS = frozenset("aeiou")


@lru_cache(maxsize=1)
def sides() -> Mapping[str, frozenset[tuple[int, int]]]:
    """Of each word the pairs of opposites that it belongs to, as the pair's number and the side, 0 or 1."""
    found: dict[str, set[tuple[int, int]]] = {}
    lines = [line.split("|") for line in _OPPOSITES.strip().splitlines()]
    pairs = [pair for line in lines for pair in combinations(line, 2)]
    for number, pair in enumerate(pairs):
        for side, listed in enumerate(pair):
            for word in listed.split():
                for form in _forms(word.removesuffix("~")) if word.endswith("~") else (word,):
                    found.setdefault(form, set()).add((number, side))
    return {word: frozenset(places) for word, places in found.items()}


def _forms(word: str) -> tuple[str, ...]:
    """With the endings s, ed and ing, whether a writer doubles a final consonant or not."""
    if word.endswith("e"):
        return word, f"{word}s", f"{word}d", f"{word[:-1]}ing"
    if word.endswith("y") and word[-2] not in _VOWELS:
        return word, f"{word[:-1]}ies", f"{word[:-1]}ied", f"{word}ing"
    last = word[-1]
    plain = (word, f"{word}s", f"{word}es", f"{word}ed", f"{word}ing")
    return (*plain, f"{word}{last}ed", f"{word}{last}ing")
