"""The engine's watch over its bundle: whatever lies at the path, it goes on, and takes the next good one."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from serving.engine import Engine
from serving.exported import choose_model
from serving.providers import CPU
from serving.settings import Settings
from serving.telemetry.metrics import Metrics
from serving.worker.client import ProcessLostError
from serving.worker.wire import Loaded
from shared.bundle import Bundle, fingerprint
from shared.drift import reference_lengths
from tests.serving.batching.fakes import FakeModel, until
from tests.serving.bundles import stand_in_bundle


def engine_on(path: Path, monkeypatch, **settings) -> Engine:
    """An engine whose model processes are fakes, which check a bundle's verification as real ones do."""
    engine = Engine(Settings(bundle=path, workers=1, **settings), Metrics())

    async def start(bundle: Bundle):
        choose_model(bundle, provider=CPU)
        worker = await FakeModel().start()
        worker.loaded = Loaded(bundle.seal, "fp32", "CPUExecutionProvider", 0.01, reference_lengths(bundle), 0.1)
        return worker

    monkeypatch.setattr(engine, "_start_worker", start)
    monkeypatch.setattr("serving.engine.freeze_heap", lambda: None)
    return engine


def counted(engine: Engine, outcome: str) -> float:
    return engine.metrics.loads.labels(outcome)._value.get()


MALFORMED = [None, [], {}, 0, -1, 1e308, True, "", "x", [1], {"a": [1]}, "../../x", [None], "\ud800"]


def mutated(good: Path, target: Path, rng: random.Random) -> None:
    """A copy of a bundle with one damaged file: a field of another kind, a byte, its end cut off, or missing."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(good, target)
    file = target / rng.choice(["bundle.json", "bundle.json", "bundle.json", "thresholds.json", "config.json",
                                "calibration.json", "reference.npz", "tokenizer.json"])  # fmt: skip
    kind = rng.randrange(4)
    content = file.read_bytes()
    if kind == 0 and file.suffix == ".json":
        fields = json.loads(content)
        fields[rng.choice(list(fields))] = rng.choice(MALFORMED)
        file.write_text(json.dumps(fields), encoding="utf-8")
    elif kind == 1:
        file.unlink()
    elif kind == 2:
        file.write_bytes(content[: rng.randrange(len(content))])
    else:
        place = rng.randrange(len(content))
        file.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])


def test_200_damaged_bundles_leave_the_one_in_service_and_the_next_good_one_loads(tmp_path, monkeypatch, caplog):
    good, other = (stand_in_bundle(tmp_path / name, seed=seed) for name, seed in (("good", 0), ("other", 1)))
    engine, rng = engine_on(good, monkeypatch), random.Random(0)

    async def main() -> None:
        assert await engine._try_to_load(good) == "loaded"
        for _ in range(200):
            mutated(good, tmp_path / "damaged", rng)
            assert await engine._try_to_load(tmp_path / "damaged") == "refused"
        assert engine.require().bundle.seal == Bundle.read(good).seal
        assert await engine._try_to_load(other) == "loaded"
        assert engine.require().bundle.seal == Bundle.read(other).seal
        await engine.stop()

    asyncio.run(main())
    assert (counted(engine, "loaded"), counted(engine, "refused")) == (2, 200)
    assert caplog.text.count("The bundle in service stays.") == 200
    assert not any(record.exc_info for record in caplog.records)


def test_a_load_that_fails_for_another_reason_is_tried_again_until_it_works(tmp_path, monkeypatch):
    bundle = stand_in_bundle(tmp_path / "bundle")
    engine = engine_on(bundle, monkeypatch, watch_s=0.01)
    problems = [
        OSError("no memory"),
        ProcessLostError("model process 7 has ended by signal 9 (SIGKILL)"),
        KeyError("x"),
    ]
    start = engine._start_worker

    async def start_at_last(found):
        if problems:
            raise problems.pop(0)
        return await start(found)

    monkeypatch.setattr(engine, "_start_worker", start_at_last)

    async def main() -> None:
        watch = asyncio.create_task(engine.start())
        await until(lambda: engine.ready)
        await asyncio.sleep(0.05)
        assert not watch.done()
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await engine.stop()

    asyncio.run(main())
    assert (counted(engine, "failed"), counted(engine, "loaded")) == (3, 1)


def test_a_refused_bundle_is_not_read_again_until_it_changes(tmp_path, monkeypatch):
    bundle = stand_in_bundle(tmp_path / "bundle")
    manifest = (bundle / "bundle.json").read_text(encoding="utf-8")
    (bundle / "bundle.json").write_text(json.dumps({**json.loads(manifest), "labels": None}), encoding="utf-8")
    engine = engine_on(bundle, monkeypatch, watch_s=0.01)

    async def main() -> None:
        watch = asyncio.create_task(engine.start())
        await until(lambda: counted(engine, "refused") == 1)
        await asyncio.sleep(0.1)
        assert counted(engine, "refused") == 1
        (bundle / "bundle.json").write_text(manifest, encoding="utf-8")
        await until(lambda: engine.ready)
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        await engine.stop()

    asyncio.run(main())


def test_what_is_measured_is_how_things_stand(tmp_path, monkeypatch):
    engine = engine_on(stand_in_bundle(tmp_path / "bundle"), monkeypatch)
    engine.measure()
    assert b"emotion_workers_alive 0.0" in engine.metrics.render()

    async def main() -> None:
        await engine.load(tmp_path / "bundle")
        engine._processes = [SimpleNamespace(pid=os.getpid())]  # type: ignore[assignment]
        engine.measure()
        await engine.stop()

    asyncio.run(main())
    text = engine.metrics.render().decode()
    assert "emotion_workers_alive 1.0" in text
    assert "emotion_queue_texts 0.0" in text
    memory = next(line for line in text.splitlines() if line.startswith("emotion_workers_memory_bytes"))
    assert float(memory.split()[1]) > 2**20


@pytest.mark.parametrize("ends", ["cancelled", "by a problem"])
def test_workers_that_have_started_end_with_a_start_that_does_not_go_on(tmp_path, monkeypatch, ends):
    bundle = stand_in_bundle(tmp_path / "bundle")
    engine = engine_on(bundle, monkeypatch, watch_s=0)
    engine.settings = engine.settings.model_copy(update={"workers": 2})
    start, workers, problem = engine._start_worker, [], asyncio.Event()

    async def first_alone(found):
        if workers:
            await problem.wait()
            raise OSError("no memory")
        workers.append(await start(found))
        return workers[0]

    monkeypatch.setattr(engine, "_start_worker", first_alone)

    async def main() -> None:
        loading = asyncio.create_task(engine.load(bundle))
        await until(lambda: workers)
        await asyncio.sleep(0)
        if ends == "cancelled":
            loading.cancel()
        problem.set()
        with pytest.raises(asyncio.CancelledError if ends == "cancelled" else OSError):
            await loading
        assert workers[0].closed

    asyncio.run(main())


@pytest.mark.parametrize("missing", ["bundle.json", "onnx/verification.json"])
def test_a_bundle_that_is_not_whole_has_no_fingerprint(tmp_path, missing):
    bundle = stand_in_bundle(tmp_path / "bundle")
    before = fingerprint(bundle)
    assert before is not None
    (bundle / missing).unlink()
    assert fingerprint(bundle) is None
