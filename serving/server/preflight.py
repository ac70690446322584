"""What `bentoml serve` checks before it starts a worker: the settings, the bundle, the port."""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import sys
from urllib.parse import urlsplit

import click

from serving.engine.settings import Settings, read_settings
from serving.exported import choose_model
from serving.runtime import resolve_provider
from serving.server.options import TRACE_ENDPOINT
from shared.bundle import Bundle
from shared.cli import EXIT_USER_ERROR
from shared.errors import ConfigError, EmotionError

EXPORTER = "opentelemetry.exporter.otlp.proto.http"
"""BentoML imports it when traces are asked for."""


def check_before_serving() -> None:
    """End the command with one clear line when the service could not work; a crash loop of workers helps nobody."""
    try:
        settings = read_settings()
        check_tracing()
        check_bundle(settings)
        check_port()
    except EmotionError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(EXIT_USER_ERROR)


def check_bundle(settings: Settings) -> None:
    """Read the bundle and find its verified model, without loading it.

    Raises:
        BundleError: when the bundle is missing, incomplete or was changed.
        VerificationError: when its model is unverified, failed, or is stale.
    """
    bundle = Bundle.read(settings.bundle)
    choose_model(bundle, precision=settings.precision, provider=resolve_provider(settings.provider))


def check_tracing() -> None:
    """Whether traces can be sent where the environment wants them.

    Raises:
        ConfigError: when the address is none, or the exporter is not installed, without which no worker would start.
    """
    endpoint = os.environ.get(TRACE_ENDPOINT)
    if not endpoint:
        return
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(
            f"{TRACE_ENDPOINT} is {endpoint!r}, which is no HTTP address.",
            hint="Give it in full, for example http://collector:4318/v1/traces.",
        )
    if not _is_installed(EXPORTER):
        raise ConfigError(
            f"{TRACE_ENDPOINT} is set, but the exporter of traces is not installed.",
            hint="Run: pip install opentelemetry-exporter-otlp-proto-http",
        )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


def check_port() -> None:
    """Try the port that the command was given.

    Raises:
        ConfigError: when something listens there already, or this user may not.
    """
    context = click.get_current_context(silent=True)
    parameters = context.params if context is not None else {}
    port, host = parameters.get("port") or 3000, parameters.get("host") or "0.0.0.0"  # BentoML's defaults
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"port {port} is in use.", hint=f"Choose another: bentoml serve --port {port + 1}"
                ) from None
            if error.errno == errno.EACCES:
                raise ConfigError(f"port {port} is not allowed for this user.", hint="Choose one above 1023.") from None
