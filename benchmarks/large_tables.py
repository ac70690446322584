"""Memory that a table takes on its way to the training loop, by phase: `python -m benchmarks.large_tables ROWS`.

Made rows: one text of 5 to 25 words each, one of 28 labels, in Parquet files with official splits. Reported is the peak
in each phase of what the process alone can hold (anonymous memory), and apart from it of mapped files, whose pages the
kernel drops where memory is short; both less what the process had at the start, with its libraries.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

HELD_OUT = 2000
WORDS = 20_000
"""Of the made vocabulary."""
SAMPLED_S = 0.01
"""Between two looks at the memory."""


def main() -> None:
    """Measure, and print one JSON object."""
    parser = argparse.ArgumentParser(prog="benchmarks.large_tables", description=__doc__)
    parser.add_argument("rows", type=int, help="training rows")
    parser.add_argument("--table", type=Path, help="folder of the table, which is written there once; a temporary one")
    parser.add_argument("--no_tokens", action="store_true", help="leave out the tokens, which take most of the time")
    options = parser.parse_args()
    rows: int = options.rows
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = options.table or Path(temporary)
        if not (folder / "test.parquet").is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_table(folder, rows)
        found = measure(folder, None if options.no_tokens else Path(temporary) / "cache", rows)
        sys.stdout.write(json.dumps({"rows": rows, **found}, indent=2) + "\n")


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


def measure(folder: Path, cache: Path | None, rows: int) -> dict[str, Any]:
    """What the process has at the start, and of every phase seconds and memory.

    Args:
        folder: of the table.
        cache: of the tokens; None leaves them out, and makes up lengths for the order of an epoch.
        rows: training rows.
    """
    from shared.labels import GOEMOTIONS
    from shared.modeling.tokenizer_files import load_tokenizer_json
    from shared.tokenizer import TextTokenizer
    from training.checks.data import data_checks
    from training.config.data import DataConfig
    from training.data.batching import build_sampler
    from training.data.encode import encode_corpus, lengths_of
    from training.data.load import load_data
    from training.losses.class_weights import LabelCounts

    config = DataConfig(source="table", path=str(folder), labels=list(GOEMOTIONS), text_column="text",
                        label_column="label")  # fmt: skip
    tokenizer = TextTokenizer(load_tokenizer_json("starter"), max_length=64)
    sampled = Sampled()
    start, found = sampled.now(), {}

    @contextlib.contextmanager
    def phase(name: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.monotonic()
        with sampled:
            yield
        peak = {kind: sampled.peak[kind] - start[kind] for kind in start}
        found[name] = {
            "cpu_s": round(time.process_time() - cpu, 1), "wall_s": round(time.monotonic() - wall, 1),
            "peak_mb": round(peak["anonymous"] / 2**20), "peak_bytes_a_row": round(peak["anonymous"] / rows),
            "held_mb": round((sampled.now()["anonymous"] - start["anonymous"]) / 2**20),
            "mapped_peak_mb": round(peak["mapped"] / 2**20),
        }  # fmt: skip

    with phase("load"):
        data = load_data(config)
    with phase("fingerprint"):
        fingerprint = data.fingerprint
    with phase("checks"):
        for check in data_checks(data, tokenizer):
            check.run()
    lengths = np.random.default_rng(0).integers(5, 64, len(data.train), dtype=np.int32)
    if cache is not None:
        with phase("encode"):
            lengths = lengths_of(encode_corpus(data.train, tokenizer, cache=cache))
    with phase("class weights"):
        LabelCounts.of(data.train.targets, data.train.known)
    with phase("first epoch's order"):
        for _ in build_sampler(data.train, lengths, config.sampling, batch_size=32, seed=0):
            pass
    return {
        "start_mb": round(start["anonymous"] / 2**20), "fingerprint": fingerprint, "phases": found,
        "peak_mb": max(each["peak_mb"] for each in found.values()) + round(start["anonymous"] / 2**20),
    }  # fmt: skip


class Sampled:
    """Looks at the memory of this process again and again while a block runs, and keeps the most of each kind."""

    def __init__(self) -> None:
        self.peak = self.now()
        self._stop = threading.Event()

    def __enter__(self) -> None:
        self.peak, self._stop = self.now(), threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(SAMPLED_S):
            now = self.now()
            self.peak = {kind: max(now[kind], self.peak[kind]) for kind in now}

    @staticmethod
    def now() -> dict[str, int]:
        """Bytes of memory that belongs to the process alone, and of mapped files."""
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith("Rss")}
        return {"anonymous": sizes["RssAnon"] + sizes["RssShmem"], "mapped": sizes["RssFile"]}


if __name__ == "__main__":
    main()
