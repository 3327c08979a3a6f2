"""Where logs lie: files, patterns of names, standard input, and what fsspec reaches, such as `s3://…`."""

from __future__ import annotations

import glob
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from cacheguard.errors import FileUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STDIN: Final = "-"
_PATTERN: Final = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Source:
    """A log that can be opened. name: for complaints. size: its bytes as they lie there, 0 where that is not known.

    whole: as it was named, which tells two files of one name apart.
    """

    name: str
    whole: str
    size: int
    open: Callable[[], BinaryIO]


def find_sources(names: Iterable[str]) -> list[Source]:
    """In the order of the names, those of a pattern by the alphabet. Raises FileUnusable for what is not there."""
    return [source for name in names for source in _found(name)]


def of_file(path: Path) -> Source:
    """Raises FileUnusable."""
    try:
        size = path.stat().st_size
    except OSError as exc:
        raise FileUnusable(f"{path} can't be read: {exc.strerror}") from exc
    return Source(path.name, str(path.resolve()), size, lambda: path.open("rb"))


def _found(name: str) -> list[Source]:
    if name == STDIN:
        return [Source("standard input", STDIN, 0, lambda: open(sys.stdin.fileno(), "rb", closefd=False))]
    if "://" in name:
        return _remote(name)
    if Path(name).is_file() or _PATTERN.isdisjoint(name):
        if Path(name).is_dir():
            raise FileUnusable(f"{name} is a folder: name its files, such as '{name}/*.jsonl.gz'")
        return [of_file(Path(name))]
    found = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - a whole pattern, which may be absolute
    paths = [path for one in found if (path := Path(one)).is_file()]
    if not paths:
        raise FileUnusable(f"no file is called {name}")
    return [of_file(path) for path in paths]


def _remote(url: str) -> list[Source]:
    try:
        from fsspec import url_to_fs  # noqa: PLC0415 - an extra
    except ImportError:
        raise FileUnusable(f"{url} needs fsspec: pip install 'cacheguard[logs]'") from None
    scheme = url.partition("://")[0]
    try:
        files, path = url_to_fs(url)
        paths = sorted(files.glob(path)) if not _PATTERN.isdisjoint(path) else [path]
        sizes = [int(files.info(one).get("size") or 0) for one in paths]
    except ImportError as exc:
        raise FileUnusable(f"{url} needs what fsspec reaches {scheme} with: {exc}") from None
    except (OSError, ValueError) as exc:
        raise FileUnusable(f"{url} can't be read: {exc}") from exc
    if not paths:
        raise FileUnusable(f"no file is called {url}")

    def opener(one: str) -> Callable[[], BinaryIO]:
        return lambda: cast("BinaryIO", io.BufferedReader(files.open(one, "rb")))

    return [
        Source(one.rpartition("/")[2], f"{scheme}://{one}", size, opener(one))
        for one, size in zip(paths, sizes, strict=True)
    ]
