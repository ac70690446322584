"""Tables of random words, and a command that scores them in small parts."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd

from serving import predict
from tests.helpers import WORDS

LABELS = ("joy", "anger", "fear")

SMALL_PARTS = """
import signal, sys
from serving import predict
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is started with it ignored
predict.PART_ROWS = 50
predict.main(sys.argv[1:])
"""


def score(bundle, *arguments):
    """The command in this process."""
    predict.main([str(bundle), *map(str, arguments)])


def frame(rows, seed=0):
    """Texts of 1 to 20 words, every eleventh empty, and an id that names the table."""
    rng = np.random.default_rng(seed)
    texts = ["" if row % 11 == 5 else " ".join(rng.choice(WORDS, rng.integers(1, 21))) for row in range(rows)]
    return pd.DataFrame({"id": [f"{seed}-{row}" for row in range(rows)], "text": texts})


def write(path, table):
    """Write a table in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table.to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_dict("records")))
    else:
        table.to_csv(path, index=False)
    return path


def read(path):
    """Rows of an output, numbers as numbers."""
    if path.suffix == ".parquet":
        return pd.read_parquet(path).to_dict("records")
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    return list(csv.DictReader(io.StringIO(path.read_text()), delimiter="\t" if path.suffix == ".tsv" else ","))


def start(bundle, *arguments):
    """The command, scoring 50 rows a part, in a process and a group of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", SMALL_PARTS, str(bundle), *map(str, arguments)],
        stderr=subprocess.PIPE, text=True, start_new_session=True, env=os.environ,
    )  # fmt: skip


def visible(folder):
    """Files below a folder that are no state of a run."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
