"""Disentangled attention with the fused kernels of an accelerator: the relative terms become its additive bias."""

from __future__ import annotations

import torch
from torch import Tensor

from .disentangled import AttentionMask, AttentionOptions, shifted_rows


def fused_attention(  # noqa: PLR0917  (called like an autograd function)
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pos_key: Tensor | None,
    pos_query: Tensor | None,
    mask: AttentionMask | None,
    options: AttentionOptions,
) -> Tensor:
    """The function of `DisentangledAttention`, with neither scores nor weights kept for the backward pass.

    Args:
        query: shape (N, T, D), as are `key` and `value`.
        key: see `query`.
        value: see `query`.
        pos_key: shape (2T, D), rows by falling distance, or None.
        pos_query: shape (2T, D), rows by rising distance, or None.
        mask: None where nothing is padding.
        options: heads, scale and dropout.
    """
    batch, length, width = query.shape
    if mask is not None:
        # a padding query scores 0 with every key, here and in the bias: equal and constant
        query = query * mask.queries.unsqueeze(-1).to(query.dtype)
    bias: Tensor | None = None
    if pos_key is not None:
        bias = shifted_rows(_against(query, pos_key * options.scale, options.heads))
    if pos_query is not None:
        shifted = shifted_rows(_against(key, pos_query * options.scale, options.heads)).transpose(-1, -2)
        bias = shifted if bias is None else bias + shifted
    if bias is not None:
        bias = bias.transpose(0, 1)
    if mask is not None:
        filled = mask.added.masked_fill(~mask.queries.unsqueeze(-1), 0.0).unsqueeze(1)
        bias = filled if bias is None else torch.where(mask.blocked.unsqueeze(1), filled, bias)
    q, k, v = (x.view(batch, length, options.heads, -1).transpose(1, 2) for x in (query, key, value))
    attended = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, attn_mask=bias, dropout_p=options.dropout, scale=options.scale
    )
    return attended.transpose(1, 2).reshape(batch, length, width)


def _against(x: Tensor, table: Tensor, heads: int) -> Tensor:
    """Products of x (N, T, D) with a table (R, D), by heads: (H, N, T, R)."""
    batch, length, width = x.shape
    rows = x.view(batch * length, heads, width // heads).transpose(0, 1)
    columns = table.view(-1, heads, width // heads).permute(1, 2, 0)
    return torch.bmm(rows, columns).view(heads, batch, length, -1)
