"""The BentoML service: `bentoml serve` in the root of the repository starts it."""

from __future__ import annotations

import asyncio
import signal

import bentoml

from serving.engine.settings import read_settings
from serving.engine.state import ServiceState
from serving.http.gate import GateInFront
from serving.http.routes import build_routes
from serving.logs import configure_logging
from serving.server.accepting import accept_several_at_once
from serving.server.door import Door
from serving.server.lifecycle import drain_on_sigterm
from serving.server.options import bentoml_options, traces
from serving.server.preflight import check_before_serving
from serving.server.protocol import use_bounded_protocol

STATE = ServiceState()
ROUTES = build_routes(STATE)


@bentoml.service(name="emotion", **bentoml_options())
@bentoml.asgi_app(ROUTES, path="/")
class EmotionService:
    """Calibrated emotion probabilities over HTTP; see `/docs`."""

    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check() -> None:
        """Refuse what must not be served; BentoML calls this once, before any worker starts."""
        check_before_serving()

    def __init__(self) -> None:
        configure_logging()
        STATE.open(read_settings())

    @bentoml.on_startup  # type: ignore[untyped-decorator]
    async def start(self) -> None:
        """Load the bundle beside the event loop, so that `/livez` answers while it warms up."""
        uvicorn = signal.getsignal(signal.SIGTERM)  # its handler, before ours takes its place
        use_bounded_protocol(uvicorn, Door(STATE))
        drain_on_sigterm(STATE.engine, STATE.settings.drain_s)
        self.tasks = [asyncio.create_task(work) for work in (STATE.engine.start(), accept_several_at_once(uvicorn))]

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    async def stop(self) -> None:
        """Answer what is held."""
        for task in self.tasks:
            task.cancel()
        await STATE.engine.stop()

    async def __is_ready__(self) -> bool:
        return STATE.engine.ready


EmotionService.add_asgi_middleware(  # type: ignore[attr-defined]
    GateInFront, state=STATE, direct=None if traces() else ROUTES
)
