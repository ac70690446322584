"""Before the service starts: how it is declared to BentoML, and what is checked so that no worker starts in vain."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from prometheus_client import values
from starlette.applications import Starlette
from uvicorn import Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving.api_keys import api_keys
from serving.exported import choose_model
from serving.logs import configure_logging
from serving.providers import resolve_provider
from serving.settings import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    HOST,
    PREFIX,
    TRACE_ENDPOINT,
    Settings,
    port_of_the_environment,
    read_settings,
)
from serving.signature import check_pins
from shared.bundle import Bundle
from shared.cli import EXIT_USER_ERROR
from shared.environment import ROOT
from shared.errors import ConfigError, EmotionError

logger = logging.getLogger("emotion.server")

EXPORTER = "opentelemetry.exporter.otlp.proto.http"
"""BentoML imports it when traces are asked for."""

PRIVATE_INTERFACES: Mapping[str, Sequence[tuple[Any, Sequence[str]]]] = {
    "uvicorn": (
        (HttpToolsProtocol, ("data_received", "on_headers_complete", "on_body", "on_message_complete", "shutdown",
                             "on_response_complete", "send_400_response", "timeout_keep_alive_handler")),
        (Server, ("handle_exit",)),
        (ServerState(), ("connections", "default_headers")),
    ),
    "starlette": ((Starlette(), ("middleware_stack",)),),
    "prometheus-client": ((values, ("ValueClass", "MutexValue")),),
}  # fmt: skip
"""Package -> what is used of it without being documented; the reasons are in CONTRIBUTING.md."""

UNTRACED = r"^(?!\w+://[^/]*/(predict|model)$)"
"""All addresses but those of the two routes that work: probes are too many, other paths are a client's own words."""
GRACE_S = 5.0


def bentoml_options() -> dict[str, Any]:
    """Arguments of `bentoml.service`; a value that is not allowed is left to `read_settings` to complain about."""
    check_build(ROOT)
    deadline_s = _number("DEADLINE_MS", Settings.model_fields["deadline_ms"].default) / 1000
    return {
        "workers": int(_number("PROCESSES", 1)),
        # BentoML's own time limit holds a timer a request until it ends: kept short, but behind the deadline
        "traffic": {"timeout": deadline_s + GRACE_S},
        # its series are named after raw paths, without bound; ours: serving/telemetry/metrics.py
        "metrics": {"enabled": False},
        # `bentoml serve --host` and `--port` come before these
        "http": {"host": os.environ.get(HOST) or DEFAULT_HOST, "port": _port()},
        # ours is structured and has request ids: serving/logs.py
        "logging": {"access": {"enabled": False}},
        "tracing": _tracing(),
    }


def check_build(root: Path) -> None:
    """End `bentoml build` with one clear line where there is no bundle: the Bento could never serve."""
    if sys.argv[1:2] == ["build"] and not (root / "bundle" / "requirements.txt").is_file():
        hint = "Write it with: python -m serving.pack BUNDLE --into bundle"
        print(f"error: there is nothing to serve in {root / 'bundle'}. {hint}", file=sys.stderr, flush=True)
        sys.exit(EXIT_USER_ERROR)


def traces() -> bool:
    """Whether somebody collects traces."""
    return bool(os.environ.get(TRACE_ENDPOINT))


def _tracing() -> dict[str, Any]:
    """OTLP over HTTP to $EMOTION_TRACE_ENDPOINT, no span at all without one.

    BentoML's middleware makes four spans a request even where nobody collects them, three quarters of the time that an
    empty request takes, so every path is excluded then.
    """
    if not traces():
        return {"excluded_urls": ".*"}
    return {
        "exporter_type": "otlp",
        "sample_rate": min(1.0, _number("TRACE_SAMPLE_RATE", 1.0)),
        "otlp": {"protocol": "http", "endpoint": os.environ[TRACE_ENDPOINT]},
        "excluded_urls": UNTRACED,
    }


def _port() -> int:
    try:
        return port_of_the_environment()
    except ConfigError:  # `read_settings` complains about it
        return DEFAULT_PORT


def _number(name: str, default: float) -> float:
    try:
        value = float(os.environ.get(f"{PREFIX}{name}") or default)
    except ValueError:
        return default
    return value if 0 < value < float("inf") else default


def check_before_serving() -> tuple[Settings, Bundle]:
    """The settings and the bundle; ends the command with one line when the service could not work.

    A crash loop helps nobody.
    """
    try:
        configure_logging()
        settings = read_settings()
        check_private_interfaces()
        check_tracing()
        api_keys(settings)
        bundle = check_bundle(settings)
        check_port()
    except EmotionError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(EXIT_USER_ERROR)
    return settings, bundle


def check_bundle(settings: Settings) -> Bundle:
    """Read the bundle with its reference rows and find its verified model, without loading it.

    Raises:
        BundleError: when the bundle is missing, incomplete or was changed, or its reference rows cannot be used.
        VerificationError: when its model is unverified, failed, or is stale.
    """
    bundle = Bundle.read(settings.bundle, weights=False)
    check_pins(bundle, seal=settings.seal, public_key=settings.public_key)
    bundle.reference()
    choose_model(bundle, precision=settings.precision, provider=resolve_provider(settings.provider))
    return bundle


def check_private_interfaces() -> None:
    """Whether the installed libraries still have what is used of them without being documented.

    Raises:
        ConfigError: naming what is missing: without it limits and the drain would silently do nothing.
    """
    for package, used in PRIVATE_INTERFACES.items():
        missing = [
            f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
            for owner, names in used
            for name in names
            if not hasattr(owner, name)
        ]
        if missing:
            raise ConfigError(
                f"{package} {version(package)} lacks {', '.join(missing)}, which this service relies on.",
                hint="Install the versions that pyproject.toml allows: pip install 'emotion-classifiers[serve]'",
            )


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
    """Try the address that the command was given, and log it: BentoML's own line calls every interface localhost.

    Raises:
        ConfigError: when something listens there already, or this user may not.
    """
    context = click.get_current_context(silent=True)
    parameters = context.params if context is not None else {}
    declared = bentoml_options()["http"]
    port, host = parameters.get("port") or declared["port"], parameters.get("host") or declared["host"]
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
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror}.",
                hint="Give an address of this machine with --host, for example 127.0.0.1 or 0.0.0.0.",
            ) from None
    logger.info("listening on %s", f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
