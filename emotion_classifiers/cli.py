"""The command `emotion`: one name for every command of the project; a verb loads only the module that it needs."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from functools import partial

from shared.cli import called_as, run_command
from shared.errors import ConfigError

VERBS = {
    "train": ("training.run", "train, calibrate and evaluate; writes a bundle"),
    "publish": ("training.publish", "the bundle of a run that was trained but ended without one"),
    "evaluate": ("emotion_classifiers.evaluation", "metrics of a bundle on any data, as trained or as served"),
    "compare": ("emotion_classifiers.comparison", "bundles or precisions side by side on the same rows"),
    "audit": ("emotion_classifiers.audit", "fairness, behaviour and robustness of a bundle"),
    "drift": ("emotion_classifiers.drift", "served predictions against what the bundle was measured on"),
    "data": ("training.data.__main__", "what a corpus holds, before anything is trained on it"),
    "preflight": ("training.preflight", "check data, model and loss as a run would, without training"),
    "adapt": ("emotion_classifiers.adapt", "decisions that fit your texts, from few labelled rows or from none"),
    "export": ("serving.export", "write ONNX models into a bundle and verify them"),
    "verify": ("serving.verify", "verify a bundle's exported models again"),
    "predict": ("serving.predict", "predict texts, or a whole file"),
    "serve": ("serving.server.launch", "serve a bundle over HTTP, with a page to try it"),
    "pack": ("serving.pack", "pack a bundle and the service into one Bento"),
    "seal": ("serving.signature", "sign a bundle, so that a service can be held to its signer"),
    "sweep": ("training.sweep", "train with several seeds: mean and interval"),
    "domains": ("training.domains", "bundles on corpora they were not trained on"),
    "distill": ("training.distill", "train teachers, then a small model that learns from them"),
    "kfold": ("training.kfold", "cross-validation"),
    "search": ("training.search", "search for the best values of some keys"),
    "lr-range": ("training.lr_range", "find a learning rate to start from"),
    "phases": ("training.phases", "compare losses: all of them on few rows, the best ones for longer"),
    "bench": ("emotion_classifiers.bench", "measure a CUDA card (in a checkout)"),
    "completion": ("emotion_classifiers.completion", "print the completion script of a shell: bash, zsh or fish"),
}
"""Verb -> module with a `main`, and what it does."""

EXTRAS = {"export": "export,serve", "verify": "serve", "predict": "serve", "serve": "serve", "pack": "serve",
          "seal": "serve,sign", "search": "train,search", "evaluate": "train,serve", "compare": "train,serve",
          "audit": "train,serve", "adapt": "train,export,serve"}  # fmt: skip
"""Verb -> the extras of the package that it needs, where that is not `train`; all that any of its options needs."""

OURS = frozenset({"emotion_classifiers", "serving", "shared", "training"})

EXAMPLES = """\
  emotion train                                            the embedded corpus and encoder: some minutes on a CPU
  emotion train --data.source table --data.path mine.csv   your own texts
  emotion train --config goemotions_starter --data.path DIR
  emotion export runs/latest/bundle --precision fp32 int8
  emotion predict runs/latest/bundle --text "I finally got the job!"
  emotion evaluate runs/latest/bundle --precision int8 --data.source table --data.path test.csv
  emotion compare runs/a runs/b runs/b@int8                which is better, and whether by more than chance
  emotion serve runs/latest/bundle                         then open http://localhost:3000
"""


def main(argv: Sequence[str]) -> int:
    """Run the verb that stands first in `argv`.

    Raises:
        EmotionError: for every mistake a user can fix.
    """
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return 0
    if argv[0] == "--version":
        from emotion_classifiers import __version__  # noqa: PLC0415

        sys.stdout.write(f"emotion-classifiers {__version__}\n")
        return 0
    verb, rest = argv[0], list(argv[1:])
    if verb not in VERBS:
        raise ConfigError(f"unknown command '{verb}'.{_nearest(verb)}", hint="See: emotion --help")
    try:
        return importlib.import_module(VERBS[verb][0]).main(rest) or 0
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in OURS:
            raise
        raise ConfigError(
            f"emotion {verb} needs the package {error.name}, which is not installed.",
            hint=f"Run: pip install 'emotion-classifiers[{EXTRAS.get(verb, 'train')}]'",
        ) from None


def usage() -> str:
    """What `emotion --help` prints."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {meaning}" for name, (_, meaning) in VERBS.items())
    return (
        "usage: emotion COMMAND [OPTIONS]\n\n"
        "Train, calibrate, export, verify and serve multi-label emotion classifiers.\n\n"
        f"commands:\n{verbs}\n\nexamples:\n{EXAMPLES}\n"
        "emotion COMMAND --help explains a command. Shell completion: emotion completion --help\n"
    )


def _nearest(verb: str) -> str:
    import difflib  # noqa: PLC0415

    near = difflib.get_close_matches(verb, VERBS, n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def entry_point() -> None:
    """The console script."""
    names = {module.removesuffix(".__main__"): f"emotion {verb}" for verb, (module, _) in VERBS.items()}
    names["training.evaluate"] = "emotion evaluate"
    with called_as(names):
        run_command(partial(main, sys.argv[1:]))
