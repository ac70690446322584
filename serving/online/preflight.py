"""What `bentoml serve` checks before it starts a worker: the settings, the bundle, the port."""

from __future__ import annotations

import errno
import socket
import sys

import click

from serving.exported import choose_model
from serving.online.settings import Settings, read_settings
from serving.runtime import resolve_provider
from shared.bundle import Bundle
from shared.cli import EXIT_USER_ERROR
from shared.errors import ConfigError, EmotionError


def check_before_serving() -> None:
    """End the command with one clear line when the service could not work; a crash loop of workers helps nobody."""
    try:
        settings = read_settings()
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
