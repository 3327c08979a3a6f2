"""Saved indexes: one file a partition, read whole or refused.

Layout: MAGIC, the header's length (4 bytes, little-endian), the header (JSON), ids, rows, and the SHA-256 of
all that comes before. A file is written beside the former one and takes its place in one step.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from index.base import IndexFailed, SnapshotUnusable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MAGIC = b"vectors\n"
FORMAT = 1
DIGEST_SIZE = hashlib.sha256().digest_size
# A killed process leaves its unfinished file; none takes an hour to write.
LEFTOVER_S = 3_600


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A partition's index as it was.

    fingerprint: of the model that made the vectors. seq: the newest change of the source that it is sure to
    hold. ids, rows: as `FaissIndex.dump` gives them.
    """

    partition: str
    fingerprint: str
    seq: int
    ids: NDArray[np.int64]
    rows: NDArray[np.uint8]


def path_of(folder: Path, partition: str) -> Path:
    """Hashed, for a partition's name may hold anything."""
    return folder / f"{hashlib.sha256(partition.encode()).hexdigest()[:32]}.index"


def save(folder: Path, snapshot: Snapshot) -> None:
    """Durable once this returns. Raises IndexFailed, and leaves the former one, if it can't be written."""
    path = path_of(folder, snapshot.partition)
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        try:
            _write(unfinished, snapshot)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        _sync_folder(folder)
    except OSError as exc:
        raise IndexFailed(
            f"can't save an index to {path}: {exc.strerror}; make room or make the folder writable"
        ) from exc


def load(folder: Path, partition: str, fingerprint: str) -> Snapshot:
    """Raises SnapshotUnusable if there is none, or it is torn, foreign, of another model or version."""
    path = path_of(folder, partition)
    try:
        data = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as exc:
        raise SnapshotUnusable(f"no snapshot can be read at {path}: {exc}") from exc
    if hashlib.sha256(data[:-DIGEST_SIZE].data).digest() != data[-DIGEST_SIZE:].tobytes():
        raise SnapshotUnusable(f"{path} is torn: its checksum is not that of its content")
    start = len(MAGIC) + 4
    if data[: len(MAGIC)].tobytes() != MAGIC:
        raise SnapshotUnusable(f"{path} is no snapshot of an index")
    end = start + int.from_bytes(data[len(MAGIC) : start].tobytes(), "little")
    header = json.loads(data[start:end].tobytes())
    expected = {"format": FORMAT, "partition": partition, "fingerprint": fingerprint}
    for field, value in expected.items():
        if header[field] != value:
            raise SnapshotUnusable(f"{path} has {field} {header[field]!r}, expected {value!r}")
    rows_at = end + 8 * header["height"]
    ids = np.frombuffer(data[end:rows_at].tobytes(), dtype="<i8")
    return Snapshot(partition, fingerprint, header["seq"], ids, np.asarray(data[rows_at:-DIGEST_SIZE]))


def discard(folder: Path, partition: str) -> None:
    """Remove a partition's snapshot, if there is one. Raises IndexFailed if it can't be removed."""
    path = path_of(folder, partition)
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        raise IndexFailed(f"can't remove {path}: {exc.strerror}; make the folder writable") from exc


def _write(path: Path, snapshot: Snapshot) -> None:
    header = json.dumps(
        {
            "format": FORMAT,
            "partition": snapshot.partition,
            "fingerprint": snapshot.fingerprint,
            "seq": snapshot.seq,
            "height": snapshot.ids.size,
        }
    ).encode()
    digest = hashlib.sha256()
    with path.open("wb") as file:
        ids = snapshot.ids.astype("<i8", copy=False)
        for part in (MAGIC, len(header).to_bytes(4, "little"), header, ids.data, snapshot.rows.data):
            file.write(part)
            digest.update(part)
        file.write(digest.digest())
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Without it the renaming may be lost with the power. Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(path: Path) -> None:
    for leftover in path.parent.glob(f"{path.stem}.*.tmp"):
        if leftover.stat().st_mtime < time.time() - LEFTOVER_S:
            leftover.unlink(missing_ok=True)
