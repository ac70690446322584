"""Precision chosen by the machine, freed memory used again, a full disk as one kind of error."""

from __future__ import annotations

import errno
import gc
import subprocess
import sys

import pytest
from safetensors import SafetensorError

from shared.errors import ConfigError
from training.runtime import resources
from training.runtime.resources import choose_precision, cpu_flags, disk_errors


@pytest.fixture
def cpu(monkeypatch):
    def with_flags(*flags):
        monkeypatch.setattr(resources.torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(resources, "cpu_flags", lambda: frozenset(flags))

    return with_flags


@pytest.fixture
def gpu(monkeypatch):
    def with_bf16(supported):
        monkeypatch.setattr(resources.torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(resources.torch.cuda, "is_bf16_supported", lambda: supported)

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


COUNT = """
import resource, sys
import torch
from training.runtime.resources import keep_freed_memory
if sys.argv[1] == "kept":
    assert keep_freed_memory()
for _ in range(16):  # until the pieces it cuts are large enough
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode):
    run = subprocess.run([sys.executable, "-c", COUNT, mode], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is meant")
def test_a_large_tensor_is_made_without_page_faults_once_memory_is_kept():
    assert page_faults("usual") > 1000  # or there would be nothing to gain here
    assert page_faults("kept") < 100


@pytest.mark.parametrize(
    "error",
    [
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        SafetensorError("Error while serializing: IoError(Os { code: 28, kind: StorageFull })"),
        RuntimeError("[enforce fail at inline_container.cc:858] . PytorchStreamWriter failed writing file data/3"),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 704 vs 598"),
    ],
)
def test_a_full_disk_is_an_os_error(error):
    with pytest.raises(OSError, match="No space left") as caught, disk_errors():
        raise error
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.parametrize("error", [SafetensorError("InvalidHeader"), RuntimeError("size mismatch"), KeyError("x")])
def test_other_errors_pass(error):
    with pytest.raises(type(error)) as caught, disk_errors():
        raise error
    assert caught.value is error


def test_what_lives_already_is_hidden_while_training_and_what_was_hidden_stays_so():
    gc.unfreeze()
    try:
        with resources.heap_out_of_sight():
            assert gc.get_freeze_count() > 100_000
            cycle: list[object] = []
            cycle.append(cycle)
            assert any(found is cycle for found in gc.get_objects())  # what is new is seen
        assert gc.get_freeze_count() == 0
    finally:
        gc.freeze()
    with resources.heap_out_of_sight():
        pass
    assert gc.get_freeze_count() > 100_000
