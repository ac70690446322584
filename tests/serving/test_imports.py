from __future__ import annotations

import subprocess
import sys

import pytest

from tests.serving.servers import ROOT, environment


def test_the_process_of_the_event_loop_loads_neither_torch_nor_transformers_nor_onnx_runtime(tmp_path):
    script = (
        "import sys, serving.service\n"
        "heavy = {'torch', 'transformers', 'optimum', 'datasets', 'sklearn', 'scipy', 'pandas', 'onnxruntime'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(tmp_path), timeout=60, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("command", ["serving.export", "serving.verify", "serving.pack"])
def test_help_is_shown_before_anything_heavy_is_loaded(command):
    code = (
        f"import sys, {command} as module\n"
        "try: module.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('numpy', 'onnx', 'onnxruntime', 'torch', 'tokenizers') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.startswith(f"usage: python -m {command}")
    assert result.stdout.splitlines()[-1] == "[]"
