from __future__ import annotations

import numpy as np
import pytest

from shared.bundle import Bundle, seal
from shared.calibration import Calibration
from shared.errors import BundleFormatError, ConfigError, InvalidInputError
from shared.profiles import DriftReference, Profile, check_name
from shared.thresholds import Policies
from tests.serving.bundles import stand_in_bundle

LABELS = ("joy", "anger", "neutral")


def profile(labels=LABELS, rows=5, lengths=5) -> Profile:
    drift = DriftReference(np.zeros((rows, len(labels)), np.float32), np.ones(lengths, np.int32))
    policies = Policies(labels, {"f1": np.full(len(labels), 0.2)}, "tweets")
    return Profile(Calibration.identity(len(labels)), policies, {"rows": rows}, drift)


def bundle_with(folder, **profiles: Profile) -> Bundle:
    bundle = Bundle.read(stand_in_bundle(folder, labels=LABELS))
    for name, each in profiles.items():
        each.write(folder / "profiles" / name)
    manifest = bundle.manifest
    return seal(folder, labels=LABELS, task=manifest.task, pooling="mean", max_length=48, head_tokens=12, provenance={})


def test_a_bundle_decides_as_the_profile_that_is_chosen(tmp_path):
    bundle = bundle_with(tmp_path / "bundle", tweets=profile())
    assert bundle.profile_names == ("default", "tweets")
    assert bundle.with_profile(None) is bundle
    assert bundle.with_profile("default") is bundle
    tweets = bundle.with_profile("tweets")
    assert tweets is bundle.with_profile("tweets")
    assert tweets.policies.get().tolist() == [0.2] * 3
    assert (tweets.seal, tweets.calibration.method) == (bundle.seal, "none")
    assert bundle.profiles["tweets"].drift.logits.shape == (5, 3)
    with pytest.raises(InvalidInputError, match="profile: unknown for this bundle. Allowed: default, tweets"):
        bundle.with_profile("reddit")


def test_a_garbled_profile_is_refused(tmp_path):
    with pytest.raises(BundleFormatError, match="profile 'tweets' of .* is of other labels"):
        bundle_with(tmp_path / "one", tweets=profile(("joy", "anger", "love")))
    with pytest.raises(BundleFormatError, match="has 5 logits and 4 lengths"):
        bundle_with(tmp_path / "two", tweets=profile(lengths=4))
    bundle = bundle_with(tmp_path / "three", tweets=profile())
    (bundle.path / "profiles" / "tweets" / "drift.npz").write_bytes(b"no archive")
    with pytest.raises(BundleFormatError, match=r"drift.npz is not readable"):
        Profile.read(bundle.path / "profiles" / "tweets")


def test_names_of_profiles_are_names_of_folders():
    assert check_name("tweets-2026_eu.1") == "tweets-2026_eu.1"
    for name in ("", "default", "..", "a/b", "Tweets", "x" * 41, ".hidden"):
        with pytest.raises(ConfigError, match="a profile cannot be called"):
            check_name(name)
