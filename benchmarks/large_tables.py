"""Memory that a table takes on its way to the training loop, by phase: `python -m benchmarks.large_tables ROWS`.

Made rows: one text of 5 to 25 words each, one of 28 labels, in Parquet files with official splits. Reported is the peak
of the process after each phase, less what it had before; per row it tells what a table of another size takes.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HELD_OUT = 2000
WORDS = 20_000
"""Of the made vocabulary."""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.large_tables", description=__doc__)
    parser.add_argument("rows", type=int, help="training rows")
    rows: int = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        write_table(Path(folder), rows)
        sys.stdout.write(json.dumps({"rows": rows, "phases": measure(Path(folder), rows)}, indent=2) + "\n")


def write_table(folder: Path, rows: int) -> None:
    """`train.parquet` of `rows` rows, `dev.parquet` and `test.parquet` of `HELD_OUT`, written in parts."""
    from shared.labels import GOEMOTIONS

    random = np.random.default_rng(0)
    words = np.array([f"w{number:x}" for number in range(WORDS)])
    schema = pa.schema([("text", pa.string()), ("label", pa.string())])
    for name, count in (("train", rows), ("dev", HELD_OUT), ("test", HELD_OUT)):
        with pq.ParquetWriter(folder / f"{name}.parquet", schema) as writer:
            for start in range(0, count, 50_000):
                size = min(50_000, count - start)
                texts = [" ".join(words[random.integers(WORDS, size=random.integers(5, 26))]) for _ in range(size)]
                labels = [GOEMOTIONS[number] for number in random.integers(len(GOEMOTIONS), size=size)]
                writer.write_table(pa.table({"text": texts, "label": labels}, schema=schema))


def measure(folder: Path, rows: int) -> dict[str, Any]:
    """Phase -> CPU seconds, peak and held memory in MB beyond the start, and peak bytes a row."""
    from shared.labels import GOEMOTIONS
    from shared.modeling.tokenizer_files import load_tokenizer_json
    from shared.tokenizer import TextTokenizer
    from training.config.data import DataConfig
    from training.data.batching import build_sampler
    from training.data.encode import encode_corpus, lengths_of
    from training.data.load import load_data

    config = DataConfig(source="table", path=str(folder), labels=list(GOEMOTIONS), text_column="text",
                        label_column="label")  # fmt: skip
    tokenizer = TextTokenizer(load_tokenizer_json("starter"), max_length=64)
    start, found = _held(), {}

    def phase(name: str, begun: float) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - start
        found[name] = {
            "cpu_s": round(time.process_time() - begun, 1), "peak_mb": round(peak),
            "held_mb": round(_held() - start), "peak_bytes_a_row": round(peak * 2**20 / rows),
        }  # fmt: skip

    begun = time.process_time()
    data = load_data(config)
    phase("load", begun)
    begun = time.process_time()
    encoded = encode_corpus(data.train, tokenizer, cache=folder / "cache")
    phase("encode", begun)
    begun = time.process_time()
    order = build_sampler(data.train, lengths_of(encoded), config.sampling, batch_size=32, seed=0)
    next(iter(order))
    phase("first epoch's order", begun)
    return found


def _held() -> float:
    """Memory of this process now, in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
