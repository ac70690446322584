from __future__ import annotations

import torch

from shared.fast_deberta.relative_positions import relative_rows


def test_rows_first_asked_for_in_inference_mode_can_be_used_in_training() -> None:
    with torch.inference_mode():
        rows = relative_rows(7, 251, 0, -1, torch.device("cpu"))
    table = torch.ones(14, 2, requires_grad=True)
    table.index_select(0, rows.descending).sum().backward()
    assert table.grad is not None
