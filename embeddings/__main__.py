"""`python -m embeddings [MODEL] [--precision int8|fp32]`: make a model ready and print what it is."""

from __future__ import annotations

import argparse
import sys

from embeddings.base import EmbeddingError
from embeddings.export import prepare
from embeddings.files import BUNDLED


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m embeddings", description=__doc__)
    parser.add_argument("model", nargs="?", default=BUNDLED, help="bundled, a sentence-transformers name or folder")
    parser.add_argument("--precision", choices=["int8", "fp32"], default="int8")
    chosen = parser.parse_args()
    try:
        spec = prepare(chosen.model, chosen.precision).manifest.spec
    except EmbeddingError as exc:
        print(exc, file=sys.stderr)
        return 1
    print(
        f"{spec.name} {chosen.precision}: {spec.dimension} dimensions, {spec.max_tokens} tokens, "
        f"fingerprint {spec.fingerprint}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
