"""Multilingual encoders from tables in many scripts to the answers of a verified bundle, on tiny random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import emotion_classifiers as ec
from serving import export
from shared.bundle import Bundle
from shared.occlusion import parts
from shared.segments import split
from tests.helpers import optimum_or_skip, tiny_checkpoint
from tests.shared.modeling.spm import train_spm
from training import run
from training.config.data import AugmentConfig, DataConfig
from training.data.augment.rows import augment_train
from training.data.load import load_data

WORDS = {
    "ar": ("سعيد غاضب خائف", "أنا اليوم جدا مع أخي في البيت لكن نحن كنا هنا"),
    "he": ("שמח כועס מפחד", "אני היום מאוד עם אחי בבית אבל אנחנו היינו כאן"),
    "ru": ("счастлив злой боюсь", "я сегодня очень с братом дома но мы были здесь"),
    "hi": ("खुश गुस्सा डर", "मैं आज बहुत भाई के साथ घर में लेकिन हम यहाँ थे"),
    "zh": ("高兴 生气 害怕", "我 今天 很 和 弟弟 在家 但是 我们 这里 昨天"),
    "ja": ("嬉しい 怒る 怖い", "私は 今日 とても 弟と 家で でも 私たち ここ 昨日"),
    "th": ("สุข โกรธ กลัว", "ฉัน วันนี้ มาก กับ น้องชาย ที่บ้าน แต่ เรา ที่นี่"),
}
"""Language -> words of joy, anger and fear, and others."""
UNSPACED = ("zh", "ja", "th")
LABELS = ("joy", "anger", "fear")
TEXTS = {
    "ar": "أنا سعيد جدا اليوم. لكن أخي خائف!", "he": "אני שמח מאוד היום. אבל אחי מפחד!",
    "hi": "मैं आज बहुत खुश हूँ। लेकिन भाई डर में!", "zh": "我今天很高兴。但是弟弟害怕！",
    "ja": "今日はとても嬉しい。でも弟は怖い！", "th": "วันนี้ฉันสุขมาก\nแต่น้องชายกลัว",
}  # fmt: skip
"""Two sentences each."""


def rows(count: int) -> list[dict[str, object]]:
    random = np.random.default_rng(0)
    found = []
    for code, (cues, fillers) in WORDS.items():
        for _ in range(count):
            label = int(random.integers(3))
            words = random.permutation([cues.split()[label], *random.choice(fillers.split(), size=4)])
            text = ("" if code in UNSPACED else " ").join(words)
            found.append({"text": text, "labels": [LABELS[label]], "lang": code})
    return found


def xlm_roberta(folder: Path) -> Path:
    """The layout of xlm-roberta-base: `tokenizer.json` with a Unigram model, padding 1, positions from 2 on."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=400, special_tokens=[*special, "<mask>"], unk_token="<unk>", show_progress=False
    )  # fmt: skip
    tokenizer.train_from_iterator([row["text"] for row in rows(60)], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tiny_checkpoint(
        folder, family="xlm-roberta", vocab_size=tokenizer.get_vocab_size(), pad_token_id=1, bos_token_id=0,
        eos_token_id=2, max_position_embeddings=130,
    )  # fmt: skip
    tokenizer.save(str(folder / "tokenizer.json"))
    described = {"tokenizer_class": "XLMRobertaTokenizer", "pad_token": "<pad>", "model_max_length": 128}
    (folder / "tokenizer_config.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


def mdeberta(folder: Path) -> Path:
    """The layout of mdeberta-v3-base: a DeBERTa-v2 with `spm.model` and no `tokenizer.json`."""
    tiny_checkpoint(folder, vocab_size=420)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "vocab_type": "spm"}', encoding="utf-8")
    lines = [str(row["text"]) for row in rows(60)]
    path = folder / "spm.model"
    train_spm(path, sentences=lines, vocab_size=400, character_coverage=1.0)
    return folder


@pytest.fixture(scope="module", params=[xlm_roberta, mdeberta], ids=["xlm-roberta", "mdeberta"])
def bundle(request, tmp_path_factory) -> Path:
    """A bundle trained on seven languages, exported and verified."""
    folder = tmp_path_factory.mktemp("languages")
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(60))
    (folder / "table.jsonl").write_text(content, encoding="utf-8")
    run.main([
        f"--model.name={request.param(folder / 'model')}", "--model.pooling=mean", "--data.source=table",
        f"--data.path={folder / 'table.jsonl'}", "--data.language_column=lang", "--data.language_alpha=0.3",
        "--data.normalisation=plain", "--data.max_length=32", "--data.cache_dir=none", "--data.dev_fraction=0.3",
        f"--run.output_dir={folder / 'runs'}", "--run.threads=1", "--optim.epochs=2", "--optim.lr=5e-3",
        "--optim.head_lr=null", "--optim.batch_size=32", "--optim.precision=fp32", "--eval.bootstrap_samples=0",
        "--watch.trackers=[]", "--preflight.skip=[one_batch]",
    ])  # fmt: skip
    if request.param is xlm_roberta:
        optimum_or_skip()
    export.main([str(folder / "runs/default/bundle")])
    return folder / "runs/default/bundle"


@pytest.mark.slow
def test_tokens_are_those_of_the_vocabulary_in_every_script(bundle):
    tokenizer = Bundle.read(bundle).tokenizer()
    spm = bundle.parents[2] / "model/spm.model"
    original = sentencepiece.SentencePieceProcessor(model_file=str(spm)) if spm.is_file() else None
    for row in rows(5):
        (encoded,) = tokenizer.encode([str(row["text"])])
        assert encoded.num_unknown == 0
        if original is not None:
            assert encoded.ids[1:-1].tolist() == original.encode(str(row["text"]))


@pytest.mark.slow
def test_every_script_is_answered_with_offsets_reasons_and_warnings(bundle):
    model = ec.load(bundle, threads=1)
    for code, text in TEXTS.items():
        (found,) = model.predict([text], segments="sentence", language=code, explain=True, thresholds={"joy": 0.0})
        assert found.coverage > 0.7, code
        assert "other_language" not in found.warnings, code
        assert len(found.segments) == 2, code
        for segment in found.segments:
            piece = text[segment.start : segment.end]
            assert piece == piece.strip()
            for reason in segment.reasons["joy"]:
                assert segment.start <= reason.start < reason.end <= segment.end
                assert text[reason.start : reason.end] == reason.word
        whole = "".join(text[segment.start : segment.end] for segment in found.segments)
        assert "".join(whole.split()) == "".join(text.split())
    (unknown, foreign) = model.predict(["გამარჯობა მეგობარო", "heute war ein wirklich guter tag für mich"])
    assert "unknown_tokens" in unknown.warnings
    assert "other_language" in foreign.warnings
    assert unknown.coverage <= 0.5


@pytest.mark.slow
def test_the_bundle_knows_its_languages_and_their_metrics(bundle):
    read = Bundle.read(bundle)
    assert set(read.manifest.provenance["data"]["languages"]["dev"]) == set(WORDS)
    counted = {code: found["rows"] for code, found in read.metrics()["dev"]["languages"].items()}
    assert counted == read.manifest.provenance["data"]["languages"]["dev"]
    assert min(counted.values()) > 12  # a third of 60, less what was drawn twice
    assert ec.load(bundle, threads=1).checks.languages >= set(WORDS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("मैं आज खुश हूँ।", ["मैं", "आज", "खुश", "हूँ", "।"]),
        ("אֲנִי שָׂמֵחַ", ["אֲנִי", "שָׂמֵחַ"]),
        ("أنا سَعِيدٌ، جدا", ["أنا", "سَعِيدٌ", "،", "جدا"]),
        ("น้อง กลัว", ["น้", "อ", "ง", "ก", "ลั", "ว"]),
        ("今日😀嬉しいABCです。", ["今", "日", "😀", "嬉", "し", "い", "ABC", "で", "す", "。"]),
        ("می‌خواهم", ["می‌خواهم"]),
        ("I don't like it 😀😀 ok's", ["I", "don't", "like", "it", "😀😀", "ok's"]),
    ],
)
def test_marks_stay_with_their_letters_and_scripts_without_spaces_are_read_by_character(text, words):
    assert [text[start:end] for start, end in parts(text)] == words


def test_sentences_end_as_the_language_says():
    text = "Am 3. Mai war ich traurig. Dr. Müller lacht."
    assert [text[slice(*place)] for place in split(text, "sentence", "de")] == [
        "Am 3. Mai war ich traurig.", "Dr. Müller lacht.",
    ]  # fmt: skip
    assert len(split(text, "sentence")) == 3


def test_english_words_are_put_into_english_texts_alone(tmp_path):
    content = [
        {"text": f"i am so happy and glad today {row}", "labels": ["joy" if row % 2 else "fear"], "lang": code}
        for code, numbers in (("en", range(40)), ("fi", range(40, 80)))
        for row in numbers
    ]
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    data = load_data(DataConfig(source="table", path=str(tmp_path / "table.jsonl"), language_column="lang"))
    made = augment_train(data, AugmentConfig(methods=["expansion", "synonyms"]), 0).corpus
    assert len(made) > len(data.train)
    assert set(made.languages[len(data.train) :]) == {"en"}
