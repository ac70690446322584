"""Make the bundle of a run that was trained but ended without one, from its best checkpoint; nothing is trained."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.cli import CommandParser, run_command
from shared.errors import ConfigError
from training.config import Config
from training.config.parser import parse_options

if TYPE_CHECKING:
    from shared.bundle import Bundle


def main(argv: Sequence[str] | None = None) -> int:
    """Publish the run that the command line names."""
    parser = CommandParser(prog="training.publish", description=__doc__)
    parser.add_argument("run", type=Path, help="the run's folder, such as runs/default")
    publish_folder(parser.parse_args(sys.argv[1:] if argv is None else list(argv)).run)
    return 0


def publish_folder(path: Path) -> Bundle:
    """Calibrate and evaluate the best weights of a run and write its bundle, as the run would have.

    Args:
        path: the run's folder; the data are looked for where the run found them.

    Raises:
        ConfigError: when there is no run, or no checkpoint of it was evaluated.
        EmotionError: for every other mistake a user can fix.
    """
    started, folder = time.monotonic(), path.resolve()
    if not (folder / "training.yaml").is_file():
        raise ConfigError(f"no run in {path}: training.yaml is missing.", hint="Give a run's folder: runs/<name>")
    options = ["--config", folder / "training.yaml", "--run.resume=true", f"--run.name={folder.name}",
               f"--run.output_dir={folder.parent}"]  # fmt: skip
    config, _ = parse_options(Config, list(map(str, options)), prog="python -m training.publish", description="")
    from training.audit.summary import measure_fairness  # these load torch, which --help and a mistake need not await
    from training.data.load import load_data
    from training.evaluation.calibrate import calibrate_and_evaluate
    from training.evaluation.run_bundle import publish_run
    from training.loop.train import Progress
    from training.model.classifier import build_tokenizer
    from training.model.lora import merged
    from training.model.tuning import build_from
    from training.optim.ema import load_averages
    from training.runtime.session import Session

    with Session(config, link_latest=True) as session:
        best = session.folder.best_checkpoint()
        session.prepare()
        with session.keeping_weights():
            data = load_data(config.data, single_label=config.loss.single_label)
            session.folder.note_data(data.fingerprint, begun=True)
            model = build_from(best, config, data)
            if config.optim.ema_decay is not None:
                load_averages(model, best)
            trained, scored = calibrate_and_evaluate(merged(model), build_tokenizer(config), config, data)
            progress = Progress.of(session.folder)
            fairness = measure_fairness(trained, config)
            bundle = publish_run(
                session.folder, trained, scored, config=config, data=data, progress=progress, fairness=fairness
            )
        session.finish(bundle, time.monotonic() - started)
    return bundle


if __name__ == "__main__":
    run_command(main)
