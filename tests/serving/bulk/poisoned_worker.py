"""A worker that a text can end, as one that needs too much memory does."""

import os
import sys

from serving.bulk import worker
from serving.bulk.scoring import Scorer

real = Scorer.score


def score(self, part, prepared=None):
    if "poison" in (prepared.texts if prepared else ()):
        os._exit(9)
    return real(self, part, prepared)


if __name__ == "__main__":
    Scorer.score = score
    worker.main(int(sys.argv[1]))
