"""Small tables on disk, and what the source reads from them."""

import json

from training.config.data import SourceConfig
from training.data.sources.table import read_table_source


def read(path, **options):
    wanted = options.pop("wanted", ())
    return read_table_source(SourceConfig("table", str(path), **options), wanted)


def jsonl(path, labels, column="labels"):
    rows = [{"text": f"text number {n}", column: label} for n, label in enumerate(labels)]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def csv(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def support(corpus, split="all"):
    return dict(zip(corpus.labels, corpus.splits[split].targets.sum(axis=0).astype(int).tolist(), strict=True))
