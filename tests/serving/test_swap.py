"""A bundle takes another's place under requests: they end with the one they began with, which then lets go."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from serving.admission import AdmissionControl
from serving.api_keys import ApiKeys
from serving.engine import ActiveModel, Engine
from serving.http.app import LONG_CHARACTERS, build_routes
from serving.settings import Settings
from serving.state import ServiceState
from serving.telemetry.metrics import Metrics
from serving.worker.wire import Loaded
from shared.bundle import Bundle
from shared.drift import reference_lengths
from tests.serving.batching.fakes import FakeModel, FakeWorker, until
from tests.serving.bundles import stand_in_bundle


class LabelWorker(FakeWorker):
    """Answers with a probability of 0.9 for every label."""

    def __init__(self, model: FakeModel, num_labels: int) -> None:
        super().__init__(model)
        self.num_labels = num_labels

    async def run(self, rows):
        return np.full((len(await super().run(rows)), self.num_labels), 0.9)


@pytest.fixture
def state(tmp_path, monkeypatch) -> ServiceState:
    """A service whose engine has fake model processes; `state.engine.settings.bundle` is a folder of two bundles."""
    stand_in_bundle(tmp_path / "two", labels=("joy", "anger"))
    stand_in_bundle(tmp_path / "three", labels=("joy", "anger", "fear"))
    state = ServiceState()
    state.settings = Settings(bundle=tmp_path, workers=1, access_log=False)
    state.metrics = Metrics()
    state.engine = Engine(state.settings, state.metrics)
    state.admission = AdmissionControl(state.settings, ApiKeys(()), state.engine)
    state.model = FakeModel()  # type: ignore[attr-defined]

    async def start(bundle: Bundle, *_limit_s: float) -> LabelWorker:
        worker = LabelWorker(state.model, len(bundle.manifest.labels))  # type: ignore[attr-defined]
        worker.loaded = Loaded(bundle.seal, "fp32", "CPUExecutionProvider", 0.01, reference_lengths(bundle), 0.1)  # type: ignore[attr-defined]
        return worker

    monkeypatch.setattr(state.engine, "_start_worker", start)
    monkeypatch.setattr("serving.engine.freeze_heap", lambda: None)
    return state


async def post(state: ServiceState, path: str, body: object) -> tuple[int, dict]:
    """Status and answer of one request."""
    sent: list[dict] = []
    arriving = [{"type": "http.request", "body": json.dumps(body).encode()}]

    async def receive() -> dict:
        return arriving.pop() if arriving else await asyncio.Event().wait()  # type: ignore[func-returns-value]

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "method": "POST", "headers": [], "query_string": b""}
    await build_routes(state)(scope, receive, send)
    return sent[0]["status"], json.loads(sent[1]["body"])


async def swap(state: ServiceState, name: str) -> tuple[ActiveModel, asyncio.Task[ActiveModel]]:
    """Have the bundle `name` take the place of the one in service, which is answered with the task that lets go."""
    before = state.engine.require()
    loading = asyncio.create_task(state.engine.load(state.settings.bundle / name))
    await until(lambda: state.engine.active is not before)
    return before, loading


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", {"text": "so glad, and so on", "explain": True}),
        ("/predict", {"texts": ["so " + "x" * (LONG_CHARACTERS // 2)] * 2, "explain": True}),
        ("/classify", {"input": ["so glad"]}),
    ],
)
def test_a_request_that_asks_the_model_again_is_answered_by_the_bundle_it_began_with(state, path, body):
    async def main() -> None:
        await state.engine.load(state.settings.bundle / "two")
        state.model.hold()
        asking = asyncio.create_task(post(state, path, body))
        await until(state.model.running.is_set)
        before, loading = await swap(state, "three")
        state.model.gate.set()
        status, answer = await asking
        assert status == 200, answer
        assert "fear" not in json.dumps(answer)
        assert before.bundle.manifest.labels == ("joy", "anger")
        assert await loading is state.engine.require()
        assert before.batcher.closed
        await state.engine.stop()

    asyncio.run(main())


def test_a_bundle_waits_for_those_who_hold_it_and_for_nobody_longer_than_a_deadline(state):
    state.engine.settings = state.settings.model_copy(update={"deadline_ms": 300})

    async def main() -> None:
        first = await state.engine.load(state.settings.bundle / "two")
        with first.users, first.users:
            before, loading = await swap(state, "three")
            await asyncio.sleep(0.05)
            assert before is first
            assert (await first.batcher.submit(["glad"], timeout_s=1))[0].num_tokens == 4
        await asyncio.wait_for(loading, 0.2)
        assert first.batcher.closed
        with state.engine.require().users:
            before, loading = await swap(state, "two")
            await loading
            assert before.batcher.closed
        await state.engine.stop()

    asyncio.run(main())
