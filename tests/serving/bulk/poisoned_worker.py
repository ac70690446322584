"""A worker that a text can end, as one that needs too much memory does, or stop, as what the user must fix does."""

import os
import sys

from serving.bulk import worker
from serving.bulk.scoring import Scorer
from shared.errors import BundleFormatError

real = Scorer.score


def score(self, part, prepared):
    if "poison" in prepared.texts:
        os._exit(9)
    if "mistake" in prepared.texts:
        raise BundleFormatError("the bundle lacks a file.", hint="Export it again.")
    return real(self, part, prepared)


if __name__ == "__main__":
    Scorer.score = score
    worker.main(int(sys.argv[1]))
