from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from index.pages import LARGE, enlarge


def flags_at(address):
    """What the kernel says of the memory that holds the address."""
    is_there = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(" ")
        if not name.endswith(":"):
            first, end = (int(each, 16) for each in name.split("-"))
            is_there = first <= address < end
        elif is_there and name == "VmFlags:":
            return rest.split()
    raise AssertionError(f"nothing lies at {address:x}")


@pytest.mark.parametrize("nbytes", [0, 1, LARGE - 1, 3 * LARGE + 5])
def test_what_lies_in_large_pages_is_what_lay_there(nbytes):
    values = np.random.default_rng(0).integers(0, 256, nbytes, np.uint8)
    before = values.copy()
    enlarge(values.ctypes.data, values.nbytes)
    assert np.array_equal(values, before)


@pytest.mark.skipif(not Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="the system has no large pages")
def test_large_pages_are_asked_for_where_whole_ones_fit():
    memory = np.frombuffer(mmap.mmap(-1, 8 * LARGE), np.uint8)
    middle = memory.ctypes.data + memory.nbytes // 2
    assert "hg" not in flags_at(middle)
    enlarge(memory.ctypes.data, memory.nbytes)
    assert "hg" in flags_at(middle)
