"""What the parts of the running service share; empty until the service starts."""

from __future__ import annotations

from serving.admission import AdmissionControl
from serving.api_keys import api_keys
from serving.engine import Engine
from serving.settings import Settings
from serving.telemetry.metrics import Metrics


class ServiceState:
    """Settings, metrics, engine and admission control of this process."""

    settings: Settings
    metrics: Metrics
    engine: Engine
    admission: AdmissionControl

    def open(self, settings: Settings) -> None:
        """Fill the state.

        Raises:
            ConfigError: when the API key file cannot be used.
        """
        self.settings = settings
        self.metrics = Metrics(several_processes=settings.processes > 1)
        self.engine = Engine(settings, self.metrics)
        self.admission = AdmissionControl(settings, api_keys(settings), self.engine)

    @property
    def is_open(self) -> bool:
        """Whether the service has started."""
        return hasattr(self, "admission")
