"""A last layer beside the ONNX file that it belongs to: `model.onnx.layer.npz`.

A child of `emotion adapt --level head` shares its parent's ONNX file. Every session on it, for verification and for
serving, is opened by `serving/runtime.py`, which gives it these constants in place of those in the file.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from serving.exported import layer_file
from serving.providers import CUDA
from shared.errors import BundleFormatError

_OF_WEIGHTS = "weights_sha256"


@dataclass(frozen=True)
class OwnLayer:
    """The constants of a last layer.

    Attributes:
        constants: name in the graph -> value.
        weights_sha256: names the weights of the bundle that it is of (`shared/weights.py`).
    """

    constants: Mapping[str, NDArray[Any]]
    weights_sha256: str

    @classmethod
    def read(cls, onnx_file: Path) -> OwnLayer | None:
        """The layer beside an ONNX file; None where there is none.

        Raises:
            BundleFormatError: when the file cannot be read.
        """
        path = layer_file(onnx_file)
        if not path.is_file():
            return None
        try:
            with np.load(path) as content:
                constants = {name: content[name] for name in content.files}
            return cls(constants, str(constants.pop(_OF_WEIGHTS)))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BundleFormatError(f"{path} is no last layer: {error}.") from error

    def write(self, onnx_file: Path) -> None:
        """Write the layer beside an ONNX file."""
        content: Any = {_OF_WEIGHTS: np.array(self.weights_sha256), **self.constants}
        with layer_file(onnx_file).open("wb") as stream:
            np.savez(stream, **content)

    def give(self, options: ort.SessionOptions, provider: str) -> list[ort.OrtValue]:
        """Give the constants to the options of a session, which must not outlive what is returned."""
        device = "cuda" if provider == CUDA else "cpu"
        values = [ort.OrtValue.ortvalue_from_numpy(value, device) for value in self.constants.values()]
        for name, value in zip(self.constants, values, strict=True):
            options.add_initializer(name, value)
        return values
