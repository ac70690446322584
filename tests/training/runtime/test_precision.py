"""Precision: chosen from what the machine computes fast, refused where it cannot."""

import pytest

from shared.errors import ConfigError
from training.runtime import precision
from training.runtime.precision import choose_precision, cpu_flags


@pytest.fixture
def cpu(monkeypatch):
    def with_flags(*flags):
        monkeypatch.setattr(precision.torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(precision, "cpu_flags", lambda: frozenset(flags))

    return with_flags


@pytest.fixture
def gpu(monkeypatch):
    def with_bf16(supported):
        monkeypatch.setattr(precision.torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(precision.torch.cuda, "is_bf16_supported", lambda: supported)

    return with_bf16


@pytest.mark.parametrize(
    ("flags", "name"), [(["avx512_bf16"], "bf16"), (["amx_bf16"], "bf16"), (["avx2"], "fp32"), ([], "fp32")]
)
def test_auto_on_a_cpu_takes_bf16_only_where_it_is_computed(cpu, flags, name):
    cpu(*flags)
    assert choose_precision("auto").name == name


@pytest.mark.parametrize("supported", [True, False])
def test_auto_on_cuda_is_fp16_with_gradient_scaling(gpu, supported):
    gpu(supported)
    chosen = choose_precision("auto")
    assert chosen.name == "fp16"
    assert "gradient scaling" in str(chosen)


def test_fp16_without_a_gpu_is_refused(cpu):
    cpu("avx512_bf16")
    with pytest.raises(ConfigError, match=r"'fp16', which needs a CUDA GPU .* allowed here: auto, bf16, fp32"):
        choose_precision("fp16")


def test_bf16_on_a_gpu_without_it_is_refused(gpu):
    gpu(False)
    with pytest.raises(ConfigError, match="'bf16', which this GPU lacks; allowed here: auto, fp16, fp32"):
        choose_precision("bf16")


def test_bf16_on_a_cpu_that_emulates_it_is_named_slow(cpu):
    cpu()
    assert "slower than fp32" in str(choose_precision("bf16"))


def test_flags_of_the_first_cpu_are_read(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor : 0\nflags\t\t: fpu avx512_bf16\n\nflags : other\n")
    assert cpu_flags(path) == {"fpu", "avx512_bf16"}
    assert cpu_flags(tmp_path / "missing") == frozenset()
