"""Settings of the service, environment variables with defaults that suit a small CPU container."""

from __future__ import annotations

import difflib
import ipaddress
import os
from functools import cached_property
from pathlib import Path

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from serving.complaints import in_words
from serving.cuda_options import CudaOptions
from serving.process import SUPERVISOR
from serving.worker.command import MODELS_AHEAD
from shared.bundle import default_bundle_path
from shared.cli import default_threads
from shared.errors import ConfigError

PREFIX = "EMOTION_"
HOST = f"{PREFIX}HOST"
PORT = "PORT"
"""Named by platforms that choose the port, without a prefix."""

TRACE_ENDPOINT = f"{PREFIX}TRACE_ENDPOINT"
TRACE_SAMPLE_RATE = f"{PREFIX}TRACE_SAMPLE_RATE"
OTHER_VARIABLES = (
    TRACE_ENDPOINT, TRACE_SAMPLE_RATE, SUPERVISOR, MODELS_AHEAD, f"{PREFIX}CACHE", f"{PREFIX}GOEMOTIONS_DIR"
)  # fmt: skip
"""Of this project, but no settings of the service; nor are those that begin with EMOTION_TRAIN_."""

DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 3000


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(value: str) -> list[Network]:
    return [ipaddress.ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip()]


def packed_or_newest_bundle() -> Path:
    """The bundle of the environment or of the newest run; inside a Bento, the one that was packed into it."""
    path, packed = default_bundle_path(), Path(__file__).parents[1] / "bundle"
    return packed if packed.is_dir() and not path.exists() else path


class Settings(BaseSettings):
    """Every setting is the environment variable EMOTION_<NAME>, for example EMOTION_MAX_TEXTS."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, env_ignore_empty=True)

    host: str = Field(default=DEFAULT_HOST, description="address to listen on; `--host` comes before it")
    bundle: Path = Field(default_factory=packed_or_newest_bundle, description="folder of the bundle to serve")
    precision: str | None = Field(default=None, description="fp32, int8 or fp16; the best verified one if unset")
    provider: str | None = Field(default=None, description="cpu or cuda; the best one here if unset")

    processes: int = Field(default=1, ge=1, description="server processes, each with models of its own")
    workers: int | None = Field(default=None, ge=1, description="model processes; by the CPU quota if unset")
    threads: int | None = Field(default=None, ge=1, description="CPU threads of a model run; by the CPU quota if unset")
    gpu_memory_mb: int | None = Field(
        default=None, ge=64, description="most memory a model process takes of a CUDA device, in MiB; no limit if unset"
    )
    cuda_graphs: bool = Field(
        default=False, description="replay small batches as CUDA graphs, checked when the model is loaded"
    )
    model_timeout_s: float = Field(
        default=5.0, gt=0, description="time for one model run, in s; a process that takes longer is replaced"
    )
    batch_tokens: int = Field(default=256, ge=16, description="most tokens of one model run, padding included")

    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1024, description="largest request body, in bytes")
    max_texts: int = Field(default=256, ge=1, description="most texts of one request")
    max_characters: int = Field(default=20_000, ge=1, description="most characters of one text")
    queue_texts: int = Field(default=1024, ge=1, description="most texts waiting or running; more are answered 429")
    max_concurrency: int = Field(default=1024, ge=1, description="most requests in flight; more are answered 429")
    deadline_ms: int = Field(default=10_000, ge=1, description="time for one request, in ms; a header may shorten it")

    api_keys: SecretStr = Field(
        default=SecretStr(""), description="API keys, separated by commas; none are asked if empty"
    )
    api_key_file: Path | None = Field(
        default=None, description="file with an API key a line; read again when it changes"
    )

    cors_origins: str = Field(
        default="", description="origins of pages that may ask from a browser, separated by commas; `*` for all"
    )
    keep_alive_s: int = Field(default=75, ge=1, description="time an idle connection is kept, in s")
    seal: str | None = Field(default=None, description="seal of the only bundle to serve; any verified one if unset")
    public_key: Path | None = Field(
        default=None, description="PEM file with the Ed25519 key of the signer whose bundles are served"
    )
    watch_s: float = Field(default=5.0, ge=0, description="time between looks for another bundle at its path; 0: never")
    drain_s: float = Field(default=1.0, ge=0, description="time to go on accepting after SIGTERM, in s")
    trusted_proxies: str = Field(
        default="",
        description="addresses or networks of proxies whose X-Forwarded-For is trusted, by commas",
    )
    access_log: bool = Field(default=True, description="one JSON line a request, without any text")

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        _networks(value)
        return value

    @cached_property
    def proxies(self) -> list[Network]:
        """Networks that `trusted_proxies` names."""
        return _networks(self.trusted_proxies)

    @property
    def allowed_origins(self) -> list[str]:
        """Origins that `cors_origins` names."""
        return [origin.strip().rstrip("/") for origin in self.cors_origins.split(",") if origin.strip()]

    @property
    def model_workers(self) -> int:
        """Processes that run the model at the same time: one a core up to four, then one for four cores."""
        cores = max(1, default_threads() // self.processes)
        return self.workers or (cores if cores <= 4 else max(4, cores // 4))

    @property
    def cuda(self) -> CudaOptions:
        """What each model process may use of a CUDA device."""
        return CudaOptions(self.gpu_memory_mb, self.cuda_graphs)

    @property
    def threads_per_run(self) -> int:
        """CPU threads of one model run, so that all workers together use the quota once."""
        return self.threads or max(1, default_threads() // self.processes // self.model_workers)


def port_of_the_environment() -> int:
    """The port that $PORT names, else the default.

    Raises:
        ConfigError: when it is not a port.
    """
    given = os.environ.get(PORT) or str(DEFAULT_PORT)
    if not (given.isascii() and given.isdecimal() and 0 < int(given) < 65536):
        raise ConfigError(f"{PORT} is {given!r}, which is no port.", hint="Give a number from 1 to 65535.")
    return int(given)


def read_settings() -> Settings:
    """The settings of this process.

    Raises:
        ConfigError: naming every variable that is unknown, or whose value is not allowed.
    """
    _check_names()
    port_of_the_environment()
    try:
        settings = Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"{PREFIX}{'_'.join(map(str, problem['loc'])).upper()}: {in_words(problem)}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise ConfigError(f"the environment does not fit the service ({problems}).") from None
    if settings.queue_texts < settings.max_texts:
        raise ConfigError(
            f"{PREFIX}QUEUE_TEXTS is {settings.queue_texts}, less than the {settings.max_texts} texts one request "
            f"may have.",
            hint=f"Raise it, or lower {PREFIX}MAX_TEXTS.",
        )
    return settings


def _check_names() -> None:
    """Refuse a misspelt variable: EMOTION_API_KEY, without its S, would leave the service open.

    Raises:
        ConfigError: naming every unknown one, and the nearest that is known.
    """
    known = [*(f"{PREFIX}{name.upper()}" for name in Settings.model_fields), *OTHER_VARIABLES]
    unknown = sorted(
        name for name in os.environ
        if name.upper().startswith(PREFIX) and not name.startswith(f"{PREFIX}TRAIN_") and name.upper() not in known
    )  # fmt: skip
    if unknown:
        first = unknown[0].upper()
        nearest = [PORT] if first == PREFIX + PORT else difflib.get_close_matches(first, known, n=1, cutoff=0.5)
        raise ConfigError(
            f"the environment holds what the service does not know: {', '.join(unknown)}.",
            hint=f"Did you mean {nearest[0]}? " * bool(nearest) + "docs/deploy.md lists every variable.",
        )
