"""Whatever fails, wherever, in whatever format, streamed or not: what follows is what the table of classes says."""

from __future__ import annotations

from itertools import product

import pytest

from cacheguard.failures import FailureClass
from tests.faults.cells import CELLS, COLUMNS
from tests.faults.classes import LINES
from tests.faults.playing import stage
from tests.faults.scripts import FAULTS, MODES, WIRES


@pytest.fixture(scope="module")
def playing(tmp_path_factory):
    with stage(tmp_path_factory.mktemp("faults")) as playing:
        yield playing


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_what_follows_from_a_fault_is_what_the_table_says(playing, cell):
    assert playing.play(cell) == cell.expected


def test_the_matrix_has_every_class_at_every_place_in_every_format_streamed_and_not():
    played = {(cell.fault.failure, cell.column, cell.mode, cell.wire) for cell in CELLS}
    assert played == set(product(FailureClass, COLUMNS, MODES, WIRES))


def test_every_line_of_the_table_is_played():
    assert {fault.line for fault in FAULTS} == set(LINES)
