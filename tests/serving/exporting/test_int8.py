"""How many parts int8 leaves out, and what is learnt from activations."""

import numpy as np

from serving.exporting.activations import Activations, round_by_token
from serving.exporting.int8 import _enough


def test_as_many_parts_are_left_out_as_their_squared_errors_ask_for():
    errors = [4.0, 3.0, 0.0]  # together 5
    assert _enough(errors, 1.0, 0) == 0
    assert _enough(errors, 0.6, 0) == 1  # 3 remains
    assert _enough(errors, 0.59, 0) == 2
    assert _enough(errors, 0.5, 1) == 2  # of the 3 that remain behind the first
    assert _enough(errors, 0.0, 0) == 2


def test_tokens_are_rounded_to_the_levels_of_their_own_scale():
    tokens = np.array([[127.0, 0.4, -63.6], [1.27, 0.0, -0.634]], np.float32)
    np.testing.assert_allclose(round_by_token(tokens, gelu=False), [[127, 0, -64], [1.27, 0, -0.63]], atol=1e-6)
    np.testing.assert_allclose(round_by_token(np.array([[238.0, 1.4, -17.2]]), gelu=True), [[238, 1, -17]], atol=1e-4)


def test_the_share_that_moves_into_the_weights_is_the_one_that_errs_least():
    rng = np.random.default_rng(0)
    size = np.ones(64)
    size[:2] = 100.0
    tokens, weight = rng.normal(size=(200, 64)) * size, rng.normal(size=(64, 64)) / size[:, None]
    activations = Activations({"x": tokens})
    factors = activations.smoothing_factors("x", lambda: [weight])
    assert factors[:2].min() > 10 * factors[2:].max()
    exact = tokens @ weight

    def error(factors):
        scaled = weight * factors[:, None]
        steps = np.abs(scaled).max(axis=0) / 127
        return np.sum((round_by_token(tokens / factors, gelu=False) @ (np.rint(scaled / steps) * steps) - exact) ** 2)

    assert error(factors) < error(np.ones(64)) / 20
    assert activations.smoothing_factors("x", lambda: [weight]) is factors
    assert activations.smoothing_factors("y", lambda: [weight]) is None
