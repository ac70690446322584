"""Inference on a card, host to host, and one real run from training to the served export."""

from __future__ import annotations

import copy
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.contenders.models import ModelShape
from benchmarks.gpu.steps import HF, OURS, batch_of, model_of
from serving.bound_runs import BoundRuns
from shared.errors import EmotionError
from shared.modeling.device import has_cuda, torch_device

ORT = "ONNX Runtime"
SHAPES = ((1, 32), (32, 32), (32, 128))
"""Of replayed batches; the fourth cell is larger than what the service replays."""


class Inference:
    """The contenders of inference with the same random weights; their exports go to `folder`."""

    def __init__(self, shape: ModelShape, folder: Path) -> None:
        import onnx

        from serving.cuda_options import CudaOptions
        from serving.exporting.fp16 import convert_to_fp16
        from serving.exporting.fused_graph import fuse_attention
        from serving.exporting.graph import export_graph
        from serving.runtime import open_session

        self.shape = shape
        half = torch.float16 if has_cuda() else torch.float32
        self.exact = model_of(shape).eval()
        self.networks = {f"{name} half": model_of(shape, name).eval().to(half) for name in (HF, OURS)}
        graph = export_graph(self.exact, max_length=512)
        fuse_attention(fused := copy.deepcopy(graph))
        models = {"fp32": graph, "fp16": convert_to_fp16(graph), "fp16 fused": convert_to_fp16(fused)}
        self.sessions, self.bound, device = {}, {}, torch_device().type
        for name, model in models.items():
            path = folder / f"{name}.onnx"
            onnx.save(model, path)
            self.sessions[f"{ORT} {name}"] = open_session(path, provider=device)
            if name.startswith("fp16"):
                open_it = partial(open_session, path, provider=device, cuda=CudaOptions(graphs=True))
                self.bound[f"{ORT} {name} graphs"] = _bound(open_it, device)

    def measure(self, rows: int, length: int) -> dict[str, dict[str, Any]]:
        """Milliseconds of a batch and the largest difference of a logit from fp32, by contender."""
        batch = batch_of(self.shape, rows, length)
        host = {name: batch[name].cpu().numpy() for name in ("input_ids", "attention_mask")}
        calls = {name: partial(_run_network, model, host) for name, model in self.networks.items()}
        calls |= {name: partial(_run_session, session, host) for name, session in self.sessions.items()}
        failed = {name: {"failed": bound} for name, bound in self.bound.items() if isinstance(bound, str)}
        fits = {name: bound for name, bound in self.bound.items() if name not in failed and bound(host) is not None}
        calls |= {name: partial(bound, host) for name, bound in fits.items()}
        exact = _run_network(self.exact, host)
        found = {name: _timed(call, exact) for name, call in calls.items()}
        for name, session in self.sessions.items():
            found[name]["provider"] = session.get_providers()[0]
        return found | failed


def _bound(open_session: Any, device: str) -> Any:
    """Replayed batches of a session, or why there are none."""
    try:
        bound = BoundRuns(open_session(), "logits", 28, shapes=SHAPES, device=device)
    except EmotionError as error:
        return str(error)
    return bound.failure or bound


def _run_network(model: Any, host: dict[str, Any]) -> Any:
    with torch.inference_mode():
        inputs = {name: torch.from_numpy(values).to(torch_device()) for name, values in host.items()}
        return model(**inputs).logits.float().cpu().numpy()


def _run_session(session: Any, host: dict[str, Any]) -> Any:
    return session.run(["logits"], host)[0]


def _timed(call: Any, exact: Any) -> dict[str, Any]:
    difference, taken = float(np.abs(call() - exact).max()), []
    for _ in range(16 if has_cuda() else 3):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return {"ms": round(median(taken) * 1e3, 2), "difference": float(f"{difference:.2g}")}


def real_run(shape: ModelShape, folder: Path, model: str | None, steps: int) -> dict[str, Any]:
    """Train on the embedded corpus, publish, export fp32 and fp16, verify and serve from the card: what each took."""
    from serving.export import export_bundle
    from serving.predictor import Predictor
    from training.config import Config, DataConfig, ModelConfig, OptimConfig, RunConfig, WatchConfig
    from training.run import run

    started = time.perf_counter()
    config = Config(
        run=RunConfig(name="gpu", output_dir=str(folder), threads=None if has_cuda() else 1),
        data=DataConfig(max_length=64, max_train_rows=None if has_cuda() else 200),
        model=ModelConfig(name=model or _random_encoder(shape, folder / "encoder")),
        optim=OptimConfig(compile="graphs" if has_cuda() else "none", max_steps=steps),
        watch=WatchConfig(trackers=[]),
    )
    bundle = run(config, link_latest=False)
    if bundle is None:
        raise RuntimeError("the run ended without a bundle")
    trained = time.perf_counter()
    reports = export_bundle(bundle, ["fp32", "fp16"])["precisions"]
    told = ("passed", "provider", "max_logit_difference")
    log = (folder / "gpu" / "logs" / "run.log").read_text(encoding="utf-8")
    return {
        "steps": steps, "train_and_publish_s": round(trained - started, 1),
        "export_s": round(time.perf_counter() - trained, 1),
        "served_by": Predictor.load(bundle.path, precision="fp16", provider=torch_device().type).provider,
        "shapes": [line for line in log.splitlines() if "were recorded" in line or "were compiled" in line],
        "verified": {name: {key: report.get(key) for key in told} for name, report in reports.items()},
    }  # fmt: skip


def _random_encoder(shape: ModelShape, target: Path) -> str:
    """A checkpoint with random weights and a tokenizer of the embedded corpus's words, for want of a real one."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    from training.config.data import SourceConfig
    from training.data.sources import read_source

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    texts = [text for split in read_source(SourceConfig(kind="sample")).splits.values() for text in split.texts]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=2000, special_tokens=special))
    ends = [("[CLS]", 1), ("[SEP]", 2)]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    encoder = model_of(shape).deberta
    encoder.resize_token_embeddings(tokenizer.get_vocab_size(), mean_resizing=False)
    encoder.save_pretrained(target)
    tokenizer.save(str(target / "tokenizer.json"))
    return str(target)
