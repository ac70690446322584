"""Sign a bundle and check who did: `python -m serving.signature BUNDLE --key PRIVATE.pem` writes `onnx/signature.json`.

A seal says that a bundle is whole; whoever may write the folder can seal another one. An Ed25519 signature (RFC 8032)
over the seal and the checksums of the exported models says that the holder of a private key has signed this bundle.
"""

from __future__ import annotations

import base64
import binascii
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.exported import FILES, read_reports
from shared.bundle import Bundle
from shared.cli import CommandParser, run_command
from shared.errors import ConfigError, VerificationError
from shared.files import read_json, write_json

SIGNATURE = "signature.json"
_INSTALL = "Run: pip install 'emotion-classifiers[sign]'"
_MAKE_KEY = "Make one with: openssl genpkey -algorithm ed25519 -out private.pem"


def main(arguments: Sequence[str] | None = None) -> None:
    """Sign the bundle that the command line names."""
    parser = CommandParser(prog="serving.signature", description=__doc__)
    parser.add_argument("bundle", type=Path, help="the bundle's folder, with its exported models")
    parser.add_argument("--key", type=Path, required=True, help="PEM file with a private Ed25519 key")
    options = parser.parse_args(arguments)
    sys.stdout.write(f"{sign(Bundle.read(options.bundle, weights=False), options.key)}\n")


def sign(bundle: Bundle, key_file: Path) -> Path:
    """Write the signature of a bundle; the file.

    Raises:
        VerificationError: when the bundle is unverified, or its verification is stale.
        ConfigError: when the key cannot be read, or the package `cryptography` is not installed.
    """
    statement = signed_statement(bundle)
    signature = _load(key_file, private=True).sign(_bytes(statement))
    path = bundle.onnx_dir / SIGNATURE
    write_json(path, {**statement, "algorithm": "ed25519", "signature": base64.b64encode(signature).decode()})
    return path


def signed_statement(bundle: Bundle) -> dict[str, Any]:
    """What is signed: the seal, and file -> sha256 of every exported model as it was verified."""
    models = {}
    for precision, report in read_reports(bundle).items():
        models[FILES[precision]] = report.get("sha256")
        models.update(report.get("data_files", {}))
    return {"seal": bundle.seal, "models": models}


def check_signature(bundle: Bundle, key_file: Path) -> None:
    """Whether the holder of the private key to `key_file` has signed this bundle and each of its exported models.

    Raises:
        VerificationError: when there is no signature, it is of another key, or of another state of the bundle.
        ConfigError: when the key cannot be read, or the package `cryptography` is not installed.
    """
    public = _load(key_file, private=False)
    hint = "Serve a bundle that the holder of the key has signed, or name that signer's key."
    path = bundle.onnx_dir / SIGNATURE
    if not path.is_file():
        raise VerificationError(f"{bundle.path} is not signed: it has no onnx/{SIGNATURE}.", hint=hint)
    content = read_json(path)
    statement: dict[str, Any] = {name: content.get(name) for name in ("seal", "models")}
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only who uses keys has it

    try:
        public.verify(base64.b64decode(str(content.get("signature")), validate=True), _bytes(statement))
    except (InvalidSignature, binascii.Error):
        raise VerificationError(f"the signature of {bundle.path} is not by {key_file}.", hint=hint) from None
    wanted, signed = signed_statement(bundle), statement["models"] or {}
    unsigned = [name for name, digest in wanted["models"].items() if signed.get(name) != digest]
    if statement["seal"] != wanted["seal"] or unsigned:
        changed = ", ".join(unsigned) or "bundle.json"
        raise VerificationError(f"{changed} in {bundle.path} changed after it was signed.", hint=hint)


def check_pins(bundle: Bundle, *, seal: str | None, public_key: Path | None) -> None:
    """Whether a bundle is the one, or by the signer, that the settings name.

    Raises:
        VerificationError: when it is not.
        ConfigError: as `check_signature`.
    """
    if seal and bundle.seal != seal.lower():
        raise VerificationError(
            f"{bundle.path} has the seal {bundle.seal}, not the one that EMOTION_SEAL names.",
            hint="Put the right bundle there, or change EMOTION_SEAL to the seal of this one.",
        )
    if public_key is not None:
        check_signature(bundle, public_key)


def _bytes(statement: Mapping[str, Any]) -> bytes:
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def _load(key_file: Path, *, private: bool) -> Any:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only who uses keys has it
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError:
        raise ConfigError("signatures need the package cryptography.", hint=_INSTALL) from None
    kind = "private" if private else "public"
    try:
        content = key_file.read_bytes()
        found = (
            serialization.load_pem_private_key(content, password=None)
            if private
            else serialization.load_pem_public_key(content)
        )
    except OSError as error:
        raise ConfigError(f"the {kind} key {key_file} cannot be read: {error.strerror}.", hint=_MAKE_KEY) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{key_file} holds no {kind} key in PEM, without a password.", hint=_MAKE_KEY) from None
    if not isinstance(found, ed25519.Ed25519PrivateKey if private else ed25519.Ed25519PublicKey):
        raise ConfigError(f"the key in {key_file} is not an Ed25519 key.", hint=_MAKE_KEY)
    return found


if __name__ == "__main__":
    run_command(main)
