"""The folder of one run: what is in it, whether it was finished, and the link to the newest run."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shared.cli import as_called
from shared.errors import ConfigError, EmotionError, LockedError
from shared.files import replacing_file
from shared.storage.lock import Lock
from training.config import Config
from training.config.schema import flatten

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def check_name(name: str) -> None:
    """Refuse what is no name of a run.

    Raises:
        ConfigError: when it is none.
    """
    if not name or name == "latest" or name.startswith(".") or any(sign in name for sign in "/\\\0"):
        raise ConfigError(
            f"run.name is {name!r}; allowed is a folder name without slashes, no dot in front, and not 'latest'."
        )


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints, `checkpoint-<step>` each."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """Folder of the logs."""
        return self.path / "logs"

    @property
    def bundle(self) -> Path:
        """The bundle; there once the run is finished."""
        return self.path / "bundle"

    @property
    def config(self) -> Path:
        """The resolved configuration."""
        return self.path / "training.yaml"

    def checkpoint(self, step: int) -> Path:
        """The checkpoint of an optimiser step."""
        return self.checkpoints / f"checkpoint-{step}"

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that is complete: its state is the last file written, so it must be readable."""
        found = [(int(match[1]), path) for path in self._folders() if (match := _CHECKPOINT.fullmatch(path.name))]
        return next((path for _, path in sorted(found, reverse=True) if read_state(path) is not None), None)

    def _folders(self) -> list[Path]:
        return list(self.checkpoints.iterdir()) if self.checkpoints.is_dir() else []

    def is_unfinished(self) -> bool:
        """Whether there are checkpoints of a run that did not get to its bundle."""
        return self.last_checkpoint() is not None and not (self.path / "finished").is_file()

    def lock(self) -> Lock:
        """Hold the folder until the lock is closed, so that no other process trains in it.

        Raises:
            ConfigError: when another process holds it.
        """
        try:
            return Lock.take(self.path / ".lock")
        except LockedError as error:
            raise ConfigError(
                f"{self.path} is being written by {error.message.rstrip('.')}.",
                hint="Wait for it, or choose another --run.name.",
            ) from None

    def goes_on(self, config: Config) -> bool:
        """Whether a run with this configuration continues what is here."""
        return config.run.resume or (config.run.resume_if_there and self.config.is_file())

    def check_not_lost(self, config: Config) -> None:
        """Refuse to start a run anew where an unfinished one would be lost.

        Raises:
            ConfigError: when one would be, and nobody asked for it.
        """
        if not self.is_unfinished() or config.run.overwrite:
            return
        newest = self.last_checkpoint()
        raise ConfigError(
            f"{self.path} holds an unfinished run (newest checkpoint: {newest and newest.name}).",
            hint="Continue it with --run.resume true, start again with --run.overwrite true, "
            "or choose another --run.name.",
        )

    def note_data(self, fingerprint: str, *, begun: bool) -> None:
        """Note which data the run has; one that has begun must have those it began with.

        Raises:
            ConfigError: when they have changed.
        """
        note = self.logs / "data.sha256"
        before = note.read_text(encoding="ascii", errors="replace") if begun and note.is_file() else ""
        if before == fingerprint:
            return
        if len(before) == len(fingerprint):  # a run of an earlier version, or one that was cut off, has no whole note
            raise ConfigError(
                f"the data of the run in {self.path} have changed since it began: their fingerprint was {before[:12]} "
                f"and is {fingerprint[:12]}.",
                hint="Give it the data that it began with, or start again with --run.overwrite true.",
            )
        with replacing_file(note) as temporary:
            temporary.write_text(fingerprint, encoding="ascii")

    def prepare(self, config: Config) -> Path | None:
        """Make the folder ready and say where to resume from, None for the beginning.

        Raises:
            ConfigError: when an unfinished run would be lost, or one to resume is not there or has another
                configuration.
        """
        checkpoint = self.last_checkpoint()
        if self.goes_on(config):
            self._check_there()
            self._check_same(config)
        else:
            self.check_not_lost(config)
            shutil.rmtree(self.checkpoints, ignore_errors=True)
            shutil.rmtree(self.logs, ignore_errors=True)
            checkpoint = None
        for folder in (self.checkpoints, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        (self.path / "finished").unlink(missing_ok=True)
        config.write(self.config)
        return checkpoint

    def _check_there(self) -> None:
        if self.config.is_file():
            return
        parent = self.path.parent
        there = sorted(path.parent.name for path in parent.glob("*/training.yaml") if not path.parent.is_symlink())
        raise ConfigError(
            f"there is no run {self.path.name!r} in {parent} to resume.",
            hint=f"The runs there are: {', '.join(there)}." if there else "Leave --run.resume out to start one.",
        )

    @contextlib.contextmanager
    def removed_if_untrained(self) -> Iterator[None]:
        """Around what writes here before a run: where that run fails untrained, a folder that is new is removed."""
        is_new = not self.path.exists()
        try:
            yield
        except (EmotionError, KeyboardInterrupt):
            if is_new:
                self.remove_if_untrained()
            raise

    def remove_if_untrained(self) -> None:
        """Remove the folder when nothing was trained in it: no checkpoint, no entry of the training log, no bundle."""
        if self._folders() or (self.logs / "train.jsonl").is_file() or self.bundle.exists():
            return
        shutil.rmtree(self.path, ignore_errors=True)
        with contextlib.suppress(OSError):  # other runs are there
            self.path.parent.rmdir()

    def _check_same(self, config: Config) -> None:
        before = yaml.safe_load(self.config.read_text(encoding="utf-8")) or {}
        differing, saved, now = config.differences(before), flatten(before), config.flat()
        if differing:
            changes = ", ".join(f"{key} was {saved[key]!r} and is {now[key]!r}" for key in differing)
            raise ConfigError(
                f"the run in {self.path} cannot be resumed with another configuration: {changes}.",
                hint=f"Resume with: {self.resume_command()}",
            )

    def resume_command(self) -> str:
        """The command that continues this run."""
        return as_called(f"python -m training.run --config {self.config} --run.resume true")

    def publish_command(self) -> str:
        """The command that makes the bundle of this run from its best checkpoint."""
        return as_called(f"python -m training.publish {self.path}")

    def best_checkpoint(self) -> Path:
        """The checkpoint with the best metric on dev.

        Raises:
            ConfigError: when there is none.
        """
        newest = self.last_checkpoint()
        best = (read_state(newest) or {}).get("best_model_checkpoint") if newest else None
        path = self.checkpoints / Path(str(best)).name
        if best is None or read_state(path) is None:
            raise ConfigError(
                f"no checkpoint in {self.checkpoints} was evaluated on dev, so there are no best weights to publish.",
                hint=f"Continue the run: {self.resume_command()}" if newest else "Train first: python -m training.run",
            )
        return path

    def finish(self, *, link_latest: bool = True) -> None:
        """Mark the run as finished and, if asked, let `latest` point to it, which cannot be seen half done.

        Raises:
            ConfigError: when `latest` is a folder.
        """
        (self.path / "finished").touch()
        if not link_latest:
            return
        latest = self.path.parent / "latest"
        with tempfile.TemporaryDirectory(prefix=".latest.", dir=self.path.parent) as folder:
            link = Path(folder) / "latest"
            link.symlink_to(self.path.name, target_is_directory=True)
            if latest.is_dir() and not latest.is_symlink():
                raise ConfigError(
                    f"{latest} is a folder, not a link.", hint="Move it away; runs may not be named latest."
                )
            link.replace(latest)


def read_state(checkpoint: Path) -> dict[str, Any] | None:
    """The trainer's state in a checkpoint, None when it is missing or was cut off."""
    try:
        content = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
