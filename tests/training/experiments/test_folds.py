"""Cross-validation as an experiment: one run a fold."""

import pytest

from shared.errors import ConfigError
from training import kfold
from training.config import RunConfig
from training.config.experiments import KFoldConfig, KFoldOptions
from training.experiments.folds import run_folds


def test_every_fold_is_dev_in_one_run(tmp_path, runs, capsys):
    runs.score = lambda config: 0.5 + config.data.fold / 100
    kfold.main([f"--run.output_dir={tmp_path}", "--kfold.folds=3"])
    assert [(run.data.folds, run.data.fold) for run in runs.made] == [(3, 1), (3, 2), (3, 3)]
    assert "dev macro_f1: 0.5200 +- 0.0100" in capsys.readouterr().out
    assert (tmp_path / "default-kfold/fold-1-of-3/bundle").is_dir()


def test_one_fold_is_refused(tmp_path):
    options = KFoldOptions(run=RunConfig(output_dir=str(tmp_path)), kfold=KFoldConfig(1))
    with pytest.raises(ConfigError, match=r"kfold.folds is 1; it must be 2 or more"):
        run_folds(options)
