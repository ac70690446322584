from __future__ import annotations

import json
import subprocess
import sys

import pytest

from serving import signature
from serving.exported import choose_model
from serving.pack import _copy_served
from serving.providers import CPU
from serving.signature import check_pins, check_signature, sign
from shared.bundle import Bundle
from shared.errors import ConfigError, VerificationError
from shared.files import read_json, write_json
from tests.serving.bundles import stand_in_bundle
from tests.serving.servers import ROOT

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")


def write_keys(folder, name):
    """A new pair, `NAME.pem` and `NAME.pub.pem`."""
    from cryptography.hazmat.primitives import serialization as form

    private = ed25519.Ed25519PrivateKey.generate()
    secret = private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    public = private.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    (folder / f"{name}.pem").write_bytes(secret)
    (folder / f"{name}.pub.pem").write_bytes(public)
    return folder / f"{name}.pem", folder / f"{name}.pub.pem"


@pytest.fixture
def signed(tmp_path):
    bundle = Bundle.read(stand_in_bundle(tmp_path / "bundle"))
    private, public = write_keys(tmp_path, "ours")
    sign(bundle, private)
    return bundle, public


def test_a_signed_bundle_is_accepted_by_its_signers_key_alone(signed, tmp_path):
    bundle, public = signed
    check_signature(bundle, public)
    _, another = write_keys(tmp_path, "another")
    with pytest.raises(VerificationError, match=r"the signature of .* is not by .*another\.pub\.pem"):
        check_signature(bundle, another)


def test_an_unsigned_bundle_is_refused(signed):
    bundle, public = signed
    (bundle.onnx_dir / "signature.json").unlink()
    with pytest.raises(VerificationError, match=r"is not signed: it has no onnx/signature\.json"):
        check_signature(bundle, public)


def test_a_model_that_was_exchanged_with_its_verification_is_refused(signed):
    bundle, public = signed
    path = bundle.onnx_dir / "verification.json"
    content = read_json(path)
    content["precisions"]["fp32"]["sha256"] = "0" * 64  # as an exported model of somebody else would have it
    write_json(path, content)
    with pytest.raises(VerificationError, match=r"model\.onnx in .* changed after it was signed"):
        check_signature(bundle, public)


def test_a_bundle_that_was_sealed_anew_is_refused(signed):
    bundle, public = signed
    manifest = read_json(bundle.path / "bundle.json")
    write_json(bundle.path / "bundle.json", {**manifest, "provenance": {"by": "another"}})
    again = Bundle.read(bundle.path)
    content = read_json(again.onnx_dir / "verification.json")
    write_json(again.onnx_dir / "verification.json", {**content, "bundle_seal": again.seal})
    with pytest.raises(VerificationError, match=r"bundle\.json in .* changed after it was signed"):
        check_signature(again, public)


@pytest.mark.parametrize(
    "change", [{"signature": "AAAA"}, {"signature": "not base64!"}, {"models": {"model.onnx": "0"}}]
)
def test_a_signature_that_was_edited_is_refused(signed, change):
    bundle, public = signed
    path = bundle.onnx_dir / "signature.json"
    write_json(path, {**read_json(path), **change})
    with pytest.raises(VerificationError, match="is not by"):
        check_signature(bundle, public)


def test_what_is_packed_of_a_signed_bundle_is_signed(signed, tmp_path):
    bundle, public = signed
    _copy_served(bundle, choose_model(bundle, provider=CPU), tmp_path / "packed")
    check_signature(Bundle.read(tmp_path / "packed", weights=False), public)


def test_the_settings_pin_one_bundle_or_one_signer(signed):
    bundle, public = signed
    check_pins(bundle, seal=None, public_key=None)
    check_pins(bundle, seal=bundle.seal.upper(), public_key=public)
    with pytest.raises(VerificationError, match="not the one that EMOTION_SEAL names"):
        check_pins(bundle, seal="0" * 64, public_key=None)


def test_what_is_no_key_is_a_mistake_in_one_line(signed, tmp_path, monkeypatch):
    bundle, _ = signed
    with pytest.raises(ConfigError, match=r"the public key .*none cannot be read: No such file"):
        check_signature(bundle, tmp_path / "none")
    (tmp_path / "text").write_text("hello", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"text holds no private key in PEM, without a password\. Make one"):
        sign(bundle, tmp_path / "text")
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    other = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ec").write_bytes(other.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
    with pytest.raises(ConfigError, match="is not an Ed25519 key"):
        sign(bundle, tmp_path / "ec")
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigError, match=r"signatures need the package cryptography\. Run: pip install"):
        sign(bundle, tmp_path / "ec")


def test_the_command_signs(tmp_path):
    bundle = stand_in_bundle(tmp_path / "bundle")
    private, public = write_keys(tmp_path, "ours")
    command = [sys.executable, "-m", "serving.signature", str(bundle), "--key", str(private)]
    ended = subprocess.run(command, cwd=ROOT, timeout=60, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, str(bundle / "onnx" / signature.SIGNATURE)), ended.stderr
    check_signature(Bundle.read(bundle), public)
    assert json.loads((bundle / "onnx" / "signature.json").read_text(encoding="utf-8"))["algorithm"] == "ed25519"
