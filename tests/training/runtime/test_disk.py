"""A full disk is one kind of error, whoever meets it."""

import errno

import pytest
from safetensors import SafetensorError

from training.runtime.disk import disk_errors


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
