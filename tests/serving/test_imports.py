from __future__ import annotations

import subprocess
import sys

from tests.serving.servers import ROOT, environment


def test_the_service_loads_neither_torch_nor_transformers(tmp_path):
    script = (
        "import sys, serving.service\n"
        "heavy = {'torch', 'transformers', 'optimum', 'datasets', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment(tmp_path), timeout=60, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
