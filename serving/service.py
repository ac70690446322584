"""The BentoML service: `bentoml serve` in the root of the repository starts it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from functools import partial

import bentoml

from serving.engine import GC_THRESHOLD
from serving.http.app import build_routes
from serving.http.middleware import install_outermost
from serving.logs import configure_logging, flush_logs
from serving.process import end_with_parent, supervise, supervised_task
from serving.server.preflight import bentoml_options, check_before_serving, traces
from serving.server.protocol import early_rejection, find_server, use_bounded_protocol
from serving.server.shutdown import drain_on_sigterm
from serving.settings import read_settings
from serving.state import ServiceState
from serving.worker.ahead import start_ahead
from serving.worker.command import ONE_THREAD
from serving.worker.wire import Load

gc.set_threshold(GC_THRESHOLD)  # imports leave no garbage, and looking for it takes a tenth of the start
STATE = ServiceState()
ROUTES = build_routes(STATE)
IMAGE = bentoml.images.Image(base_image=f"python:{sys.version_info[0]}.{sys.version_info[1]}-slim", distro="as it is")
"""Of a container; BentoML adds compilers to the distributions that it knows."""


@bentoml.service(name="emotion", image=IMAGE, **bentoml_options())
@bentoml.asgi_app(ROUTES, path="/")
class EmotionService:
    """Calibrated emotion probabilities over HTTP; see `/docs`."""

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check() -> None:
        """Refuse what must not be served, then have models load; BentoML calls this once, before any worker starts."""
        settings, bundle = check_before_serving()
        supervise()
        os.environ.update(ONE_THREAD)
        load = Load.by(settings, settings.bundle.resolve(), bundle.seal)
        start_ahead(load, settings.processes * settings.model_workers)

    def __init__(self) -> None:
        configure_logging(libraries=True)
        STATE.open(read_settings())

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        """Load the bundle beside the event loop, so that `/livez` answers while it warms up."""
        handler = signal.getsignal(signal.SIGTERM)  # uvicorn's, before ours takes its place
        server = find_server(handler)
        if server is not None:
            server.config.timeout_keep_alive = STATE.settings.keep_alive_s
        use_bounded_protocol(server, partial(early_rejection, STATE))
        drain_on_sigterm(STATE.engine, STATE.settings.drain_s, server, handler)
        self.tasks = [supervised_task(STATE.engine.start(), "bundle"), supervised_task(end_with_parent(), "parent")]
        if STATE.settings.processes > 1:
            self.tasks.append(supervised_task(STATE.engine.keep_measuring(), "metrics"))

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        """Answer what is held."""
        for task in self.tasks:
            task.cancel()
        await STATE.engine.stop()
        flush_logs()

    async def __is_ready__(self) -> bool:
        return STATE.engine.ready


EmotionService.add_asgi_middleware(  # type: ignore[attr-defined]
    install_outermost, state=STATE, direct=None if traces() else ROUTES
)
