from __future__ import annotations

from pathlib import Path

import pytest

from serving.cuda_options import CudaOptions
from serving.settings import Settings, read_settings
from shared.errors import ConfigError


def test_defaults_serve_the_newest_run(monkeypatch):
    monkeypatch.delenv("EMOTION_BUNDLE", raising=False)
    assert read_settings().bundle == Path("runs/latest/bundle")


def test_the_environment_is_read(monkeypatch):
    monkeypatch.setenv("EMOTION_BUNDLE", "/some/where")
    monkeypatch.setenv("EMOTION_MAX_TEXTS", "7")
    monkeypatch.setenv("EMOTION_API_KEYS", "secret")
    monkeypatch.setenv("EMOTION_GPU_MEMORY_MB", "2048")
    settings = read_settings()
    assert (settings.bundle, settings.max_texts) == (Path("/some/where"), 7)
    assert settings.cuda == CudaOptions(memory_mb=2048, graphs=False)
    assert "secret" not in repr(settings)


def test_every_wrong_value_is_named_without_being_repeated(monkeypatch):
    monkeypatch.setenv("EMOTION_MAX_TEXTS", "many-zebras")
    monkeypatch.setenv("EMOTION_WORKERS", "0")
    with pytest.raises(ConfigError, match=r"EMOTION_WORKERS.*EMOTION_MAX_TEXTS") as caught:
        read_settings()
    assert "zebras" not in str(caught.value)


def test_a_queue_too_short_for_one_request_is_a_mistake(monkeypatch):
    monkeypatch.setenv("EMOTION_QUEUE_TEXTS", "10")
    with pytest.raises(ConfigError, match=r"EMOTION_QUEUE_TEXTS is 10, less than the 256"):
        read_settings()


@pytest.mark.parametrize(("cores", "workers", "threads"), [(1, 1, 1), (2, 2, 1), (4, 4, 1), (8, 4, 2), (32, 8, 4)])
def test_workers_and_their_threads_use_the_quota_once(monkeypatch, cores, workers, threads):
    monkeypatch.setattr("serving.settings.default_threads", lambda: cores)
    settings = Settings()
    assert (settings.model_workers, settings.threads_per_run) == (workers, threads)


def test_processes_share_the_quota(monkeypatch):
    monkeypatch.setattr("serving.settings.default_threads", lambda: 16)
    settings = Settings(processes=4)
    assert settings.processes * settings.model_workers * settings.threads_per_run == 16


def test_a_bundle_packed_beside_the_code_is_served_where_there_is_no_run(monkeypatch, tmp_path):
    (tmp_path / "bundle").mkdir()
    monkeypatch.setattr("serving.settings.__file__", str(tmp_path / "serving" / "settings.py"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EMOTION_BUNDLE", raising=False)
    assert read_settings().bundle == tmp_path / "bundle"
    (tmp_path / "runs" / "latest" / "bundle").mkdir(parents=True)
    assert read_settings().bundle == Path("runs/latest/bundle")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("EMOTION_API_KEY", "EMOTION_API_KEYS"),
        ("EMOTION_MAX_TEXT", "EMOTION_MAX_TEXTS"),
        ("emotion_bundel", "EMOTION_BUNDLE"),
        ("EMOTION_TRACE_ENDPOINTS", "EMOTION_TRACE_ENDPOINT"),
        ("EMOTION_PORT", "PORT"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_known_one(monkeypatch, name, nearest):
    monkeypatch.setenv(name, "zebra-secret")
    with pytest.raises(ConfigError, match=rf"does not know: {name}\. Did you mean {nearest}\? docs/deploy") as caught:
        read_settings()
    assert "zebra" not in str(caught.value)


def test_variables_of_the_other_commands_are_left_to_them(monkeypatch):
    for name in ("EMOTION_TRAIN_OPTIM__LR", "EMOTION_CACHE", "EMOTION_GOEMOTIONS_DIR", "EMOTION_TRACE_SAMPLE_RATE"):
        monkeypatch.setenv(name, "1")
    read_settings()


def test_a_proxy_that_is_no_address_is_refused(monkeypatch):
    monkeypatch.setenv("EMOTION_TRUSTED_PROXIES", "10.0.0.0/8, proxy")
    with pytest.raises(ConfigError, match=r"EMOTION_TRUSTED_PROXIES: .*'proxy' does not appear to be"):
        read_settings()
