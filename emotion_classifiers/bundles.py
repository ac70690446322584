"""Train, export and publish: a bundle in hand. `train` and `export` load torch when they are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_classifiers.hub import push_to_hub
from emotion_classifiers.wording import python_errors
from shared.bundle import Bundle as SealedBundle
from shared.errors import ConfigError

if TYPE_CHECKING:
    from emotion_classifiers.model import Model


@dataclass(frozen=True)
class Bundle:
    """A sealed bundle on disk; usable wherever a path is.

    Raises:
        BundleError: by its methods, when the folder is missing, incomplete or was changed.
    """

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the model's outputs."""
        return self._read().manifest.labels

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Split -> metrics of the trained model, as in `metrics.json`."""
        return self._read().metrics()

    def export(self, precisions: Sequence[str] = ("fp32", "int8"), *, threads: int | None = None) -> Bundle:
        """Write and verify ONNX models; see `export`."""
        return export(self, precisions, threads=threads)

    def load(self, **options: Any) -> Model:
        """The model, ready to predict; options as those of `load`."""
        from emotion_classifiers.model import load  # noqa: PLC0415  (a bundle can be made without ONNX Runtime)

        return load(self, **options)

    def push_to_hub(self, repository: str, **options: Any) -> str:
        """Send it to the Hugging Face hub; options as those of `push_to_hub`."""
        return push_to_hub(self, repository, **options)

    def _read(self) -> SealedBundle:
        return SealedBundle.read(self.path, check_files=False)


@python_errors()
def export(
    bundle: str | PathLike[str], precisions: Sequence[str] = ("fp32", "int8"), *, threads: int | None = None
) -> Bundle:  # fmt: skip
    """Write ONNX models into a bundle and verify them against the trained model on its reference rows.

    Args:
        bundle: its folder.
        precisions: any of fp32, int8, fp16.
        threads: CPU threads of the verification; what the CPU quota allows when None.

    Raises:
        ConfigError: for an unknown precision.
        ExportError: when the model cannot be exported.
        VerificationError: when a model is out of its tolerance; nothing is left half written.
    """
    from serving.export import export_bundle  # noqa: PLC0415  (loads torch)
    from serving.exported import check_precision  # noqa: PLC0415

    if isinstance(precisions, str):
        raise ConfigError(f"precisions is one string, '{precisions}'.", hint=f'Give a list: ["{precisions}"].')
    wanted = [check_precision(name) for name in precisions]
    export_bundle(SealedBundle.read(fspath(bundle)), wanted, threads=threads)
    return Bundle(Path(bundle))


@python_errors({"help-all": "`emotion train --help-all`"})
def train(
    data: Any = None,
    *,
    text: str | None = None,
    labels: str | Sequence[str] | None = None,
    config: str | PathLike[str] | None = None,
    link_latest: bool = False,
    **options: Any,
) -> Bundle:
    """Train a classifier, calibrate and evaluate it; the process is left as it was found.

    Args:
        data: a DataFrame, a list of dictionaries, the path of a table or a folder of them, the name of a data set on
            the hub, or None where `config` or the options name the data. A DataFrame is kept beside the run.
        text: name of the column of texts; found by name and content when None.
        labels: name of the column of labels, or of one 0/1 column a label; found by name and content when None.
        config: a recipe: a YAML file, or the name of one of the project's own, like "goemotions_starter".
        link_latest: let the link `runs/latest`, which `emotion serve` follows, point to this run.
        options: any key of the configuration, like `**{"optim.epochs": 2, "run.name": "mine"}`.

    Raises:
        EmotionError: for every mistake a user can fix; its message says how.
        KeyboardInterrupt: when it was interrupted; what was done is kept.
    """
    from emotion_classifiers.data import arguments, as_given, options_for  # noqa: PLC0415  (may load pandas)
    from training.config import Config  # noqa: PLC0415
    from training.config.parser import parse_options  # noqa: PLC0415

    recipe = [] if config is None else [f"--config={fspath(config)}"]
    given = arguments(options)
    first, _ = parse_options(Config, [*recipe, *given], prog="train", description="")
    from training.run import run  # noqa: PLC0415  (loads torch; a mistake in an option is told before)
    from training.runtime.run_folder import RunFolder, check_name  # noqa: PLC0415

    check_name(first.run.name)
    folder, kept = RunFolder(first.run_dir), first.run_dir / "data"
    with as_given(kept), folder.removed_if_untrained():
        goes_on = folder.goes_on(first)
        folder.lock().close()
        if not goes_on:
            folder.check_not_lost(first)
        named = options_for(data, kept, text=text, labels=labels, unchanged=goes_on)
        resolved, _ = parse_options(Config, [*recipe, *arguments(named), *given], prog="train", description="")
        bundle = run(resolved, link_latest=link_latest)
    if bundle is None:
        raise ConfigError("this process does not write the bundle.", hint="Call train in one process.")
    return Bundle(bundle.path)
