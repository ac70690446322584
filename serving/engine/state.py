"""What the parts of the running service share; empty until the service starts."""

from __future__ import annotations

from serving.engine.engine import Engine
from serving.engine.keys import ApiKeys
from serving.engine.settings import Settings
from serving.telemetry.metrics import Metrics


class ServiceState:
    """Settings, keys, metrics and engine of this process."""

    settings: Settings
    keys: ApiKeys
    metrics: Metrics
    engine: Engine

    def open(self, settings: Settings) -> None:
        """Fill the state.

        Raises:
            ConfigError: when the API key file cannot be used.
        """
        self.settings = settings
        self.keys = ApiKeys(settings.api_keys.get_secret_value().split(","), settings.api_key_file)
        self.metrics = Metrics(several_processes=settings.processes > 1)
        self.engine = Engine(settings, self.metrics)

    @property
    def is_open(self) -> bool:
        """Whether the service has started."""
        return hasattr(self, "engine")
