"""What the project promises of its speed, and whether a run kept it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.contenders import ours_onnx, stock_onnx, training
from benchmarks.reporting.results import Cell, Results, Step
from benchmarks.reporting.verdict import Verdict

INT8_OVER_FP32_FILE = 0.27


@dataclass(frozen=True)
class _Floor:
    promise: str
    slow: str
    fast: str
    cell: Cell
    bound: float


_STOCK8, _STOCK32, _OURS8, _OURS32 = stock_onnx.INT8, stock_onnx.FP32, ours_onnx.INT8, ours_onnx.FP32
_FP32 = "export fp32, ours / stock optimum fp32"
_INT8 = "export int8, ours / stock optimum int8 (avx512_vnni, per channel)"
_BOTH = "export int8, ours / stock fp32"
_FLOORS = (
    _Floor(_FP32, _STOCK32, _OURS32, Cell(1, 16), 1.15),
    _Floor(_FP32, _STOCK32, _OURS32, Cell(8, 32), 1.35),
    _Floor(_FP32, _STOCK32, _OURS32, Cell(32, 32), 1.5),
    _Floor(_INT8, _STOCK8, _OURS8, Cell(8, 32), 1.7),
    _Floor(_BOTH, _STOCK32, _OURS8, Cell(8, 32), 3.2),
    _Floor(_BOTH, _STOCK32, _OURS8, Cell(32, 32), 3.2),
)
_TRAINING_FLOORS = ((Cell(32, 24), 3.5), (Cell(16, 128), 2.0))


def judge(results: Results) -> list[Verdict]:
    """Every promise against one run, in the order of the table."""
    verdicts = [_training(results, cell, bound) for cell, bound in _TRAINING_FLOORS]
    verdicts += [_single(results, floor) for floor in _FLOORS]
    verdicts += [_never_slower(results, _STOCK32, _OURS32), _never_slower(results, _STOCK8, _OURS8)]
    verdicts.append(_file_size(results))
    return verdicts


def _training(results: Results, cell: Cell, bound: float) -> Verdict:
    ratio = results.step_speedup(Step("bf16", cell), training.STOCK, training.OURS)
    promise = f"training step, ours / HF eager, bf16 autocast, {results.training_shape.name}"
    return Verdict(promise, str(cell), bound, ratio.median if ratio else None, ratio)


def _single(results: Results, floor: _Floor) -> Verdict:
    ratio = results.speedup(floor.cell, floor.slow, floor.fast)
    return Verdict(floor.promise, str(floor.cell), floor.bound, ratio.median if ratio else None, ratio)


def _never_slower(results: Results, slow: str, fast: str) -> Verdict:
    found = {cell: results.speedup(cell, slow, fast) for cell in results.cells}
    ratios = {cell: ratio for cell, ratio in found.items() if ratio is not None}
    promise = f"never slower, {fast} / {slow}"
    if not ratios:
        return Verdict(promise, "any cell", 1.0, None)
    by_median: Callable[[Cell], float] = lambda cell: ratios[cell].median  # noqa: E731
    worst = min(ratios, key=by_median)
    return Verdict(promise, f"worst of {len(ratios)} cells: {worst}", 1.0, ratios[worst].median, ratios[worst])


def _file_size(results: Results) -> Verdict:
    files = results.base_files
    ratio = files["int8"] / files["fp32"] if {"int8", "fp32"} <= files.keys() else None
    promise = "int8 file / fp32 file, DeBERTa-v3-base with its 128k vocabulary"
    return Verdict(promise, "file size", INT8_OVER_FP32_FILE, ratio, at_most=True)
