"""Where public corpora are to be had: official addresses, digests where this project has seen the files, and licences.

An address at GitHub holds the commit of the file, so that its content cannot change. A digest is given only where the
project has read the very file; the others are recorded when they are downloaded first, and compared from then on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_RAW = "https://raw.githubusercontent.com"
_GOEMOTIONS = f"{_RAW}/google-research/google-research/master/goemotions/data"
_TWEET_EVAL = f"{_RAW}/cardiffnlp/tweeteval/8df207ad6fcdab017000ad5196f797cd21f9a30f/datasets/emotion"
_EMOEVENT = f"{_RAW}/fmplaza/EmoEvent/f55f01c78e77fb2c711b40f3ff6925f605bc5101/splits/en"
_MELD = f"{_RAW}/declare-lab/MELD"
_XED = f"{_RAW}/Helsinki-NLP/XED"
_DAIR = "https://huggingface.co/datasets/dair-ai/emotion/resolve/cd6ec79/split"


@dataclass(frozen=True)
class RemoteFile:
    """One file: its name in the folder, its address, and its digest where that is known.

    `members` are the files to take out of a tar archive: name in the archive -> name in the folder.
    """

    name: str
    url: str
    sha256: str | None = None
    members: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Download:
    """A corpus that may be downloaded: its files and the terms they come under."""

    licence: str
    page: str
    files: tuple[RemoteFile, ...]


def _files(base: str, names: tuple[str, ...], digests: Mapping[str, str] | None = None) -> tuple[RemoteFile, ...]:
    return tuple(RemoteFile(name, f"{base}/{name}", (digests or {}).get(name)) for name in names)


DOWNLOADS: Mapping[str, Download] = {
    "goemotions": Download(
        "CC BY 4.0 (Demszky et al., ACL 2020); comments from Reddit",
        "https://github.com/google-research/google-research/tree/master/goemotions",
        _files(_GOEMOTIONS, ("train.tsv", "dev.tsv", "test.tsv"), {
            "train.tsv": "1c254a142be5c00e80d819b9ae1bbd36d94b2eeb8f4b1271846508d57e57d9c5",
            "dev.tsv": "575489c079c9de1097062a01738f998590d6b7ead66dd1c9fd1d2ba01fd8bc62",
        }),
    ),
    "tweet_eval": Download(
        "research use; tweets under the terms of X (Barbieri et al., Findings of EMNLP 2020)",
        "https://github.com/cardiffnlp/tweeteval",
        _files(_TWEET_EVAL, ("mapping.txt", *(
            f"{split}_{part}.txt" for split in ("train", "val", "test") for part in ("text", "labels")
        ))),
    ),
    "dair_emotion": Download(
        "educational and research use alone (Saravia et al., EMNLP 2018)",
        "https://huggingface.co/datasets/dair-ai/emotion",
        _files(_DAIR, tuple(f"{split}-00000-of-00001.parquet" for split in ("train", "validation", "test"))),
    ),
    "emoevent": Download(
        "research use; tweets under the terms of X (Plaza-del-Arco et al., LREC 2020); the English splits",
        "https://github.com/fmplaza/EmoEvent",
        _files(_EMOEVENT, ("train.tsv", "dev.tsv", "test.tsv")),
    ),
    "meld": Download(
        "GPL-3.0 (Poria et al., ACL 2019)",
        "https://github.com/declare-lab/MELD",
        (
            *_files(f"{_MELD}/ca3e1266db4cc4a4e802156e2f721c4cd114a696/data/MELD", ("train_sent_emo.csv",)),
            *_files(f"{_MELD}/ca3e1266db4cc4a4e802156e2f721c4cd114a696/data/MELD", ("dev_sent_emo.csv",)),
            *_files(f"{_MELD}/a36f4371df1fe05784ce2cb2cc9e9a28d4637943/data/MELD", ("test_sent_emo.csv",)),
        ),
    ),
    "xed": Download(
        "CC BY 4.0 (Öhman et al., COLING 2020); subtitles from OPUS",
        "https://github.com/Helsinki-NLP/XED",
        (
            *_files(f"{_XED}/3cfd061825fddcbefadeb0bb18a5ba2f690701b2/AnnotatedData", ("en-annotated.tsv",)),
            *_files(f"{_XED}/3e711518636f53634f33f5422e92a27216aee084/AnnotatedData", ("neu_en.txt",)),
        ),
    ),
    "empathetic_dialogues": Download(
        "CC BY-NC 4.0 (Rashkin et al., ACL 2019): no commercial use",
        "https://github.com/facebookresearch/EmpatheticDialogues",
        (
            RemoteFile(
                "empatheticdialogues.tar.gz",
                "https://dl.fbaipublicfiles.com/parlai/empatheticdialogues/empatheticdialogues.tar.gz",
                members={f"empatheticdialogues/{name}": name for name in ("train.csv", "valid.csv", "test.csv")},
            ),
        ),
    ),
}  # fmt: skip
"""By kind of source; each is laid out as its source reads it."""

BY_HAND: Mapping[str, str] = {
    "semeval2018_ec": "its tweets may not be redistributed: accept the terms at https://competitions.codalab.org/"
    "competitions/17751 and unpack 2018-E-c-En-{train,dev,test-gold}.txt into one folder",
    "semeval2018_ei": "its tweets may not be redistributed: accept the terms at https://competitions.codalab.org/"
    "competitions/17751 and give the folder of EI-reg or of EI-oc as data.path",
    "emoint": "its tweets may not be redistributed: the files are at http://saifmohammad.com/WebPages/"
    "EmotionIntensity-SharedTask.html; put anger-ratings-0to1.train.txt and its like into one folder",
    "isear": "it is given out by the Swiss Center for Affective Sciences (https://www.unige.ch/cisa/research/"
    "materials-and-online-research/research-material/): put isear.csv into a folder",
    "brighter": "its files are given out with the task at https://github.com/emotion-analysis-project/"
    "SemEval2025-Task11: unpack track_a, track_b, track_c into one folder, and name a language with data.language",
    "dailydialog": "its licence (CC BY-NC-SA 4.0) allows no commercial use: get ijcnlp_dailydialog.zip from "
    "http://yanran.li/dailydialog and unpack it; the folder holds dialogues_text.txt and dialogues_emotion.txt",
}
"""How to get the corpora that may not be passed on, or have no lasting address for one file."""
