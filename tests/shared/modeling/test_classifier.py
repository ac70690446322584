"""Classifiers are built on any checkpoint, saved, loaded, adapted and trained; what cannot be is said in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, DebertaV2ForMaskedLM, DebertaV2Model

from shared.errors import ConfigError
from shared.fast_deberta.attention import FastSelfAttention
from shared.modeling.classifier import HeadOptions, build_classifier, head_modules, load_classifier
from shared.modeling.head import store_native_head
from shared.modeling.mean_pooling import MeanPoolingClassifier
from shared.modeling.tokenizer_files import EXTRA_TOKENS, load_tokenizer_json
from tests.helpers import tiny_checkpoint
from tests.shared.modeling.spm import train_spm

LABELS = ("joy", "sadness", "anger")
FAMILIES = ("deberta-v2", "bert", "roberta")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {family: tiny_checkpoint(folder / family, family=family) for family in FAMILIES}


@pytest.fixture
def deberta(checkpoints: dict[str, Path]) -> Path:
    return checkpoints["deberta-v2"]


def inputs(rows: int = 3, length: int = 9) -> dict[str, Tensor]:
    ids = torch.randint(5, 90, (rows, length), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def logits_of(model: Any) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model.eval()(**inputs()).logits
    return logits


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_saved_classifier_loads_with_the_same_logits(
    family: str, pooling: Any, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    model = build_classifier(checkpoints[family], labels=LABELS, pooling=pooling)
    assert model.accepts_loss_kwargs is False
    expected = logits_of(model)
    assert expected.shape == (3, 3)
    model.save_pretrained(tmp_path)
    loaded = load_classifier(tmp_path)
    assert torch.equal(logits_of(loaded), expected)
    assert not loaded.training
    assert loaded.accepts_loss_kwargs is False
    assert loaded.config.id2label == dict(enumerate(LABELS))
    assert loaded.config.problem_type == "multi_label_classification"


def test_cls_classifier_is_native_and_loads_without_this_project(deberta: Path, tmp_path: Path) -> None:
    head = HeadOptions(activation="tanh", dropout=0.25, input_dropout=0.15)
    model = build_classifier(deberta, labels=LABELS, pooling="cls", head=head)
    model.save_pretrained(tmp_path)
    native = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    torch.testing.assert_close(logits_of(native), logits_of(model), rtol=1e-4, atol=1e-5)
    assert (native.dropout.p, native.pooler.dropout.p, native.config.pooler_hidden_act) == (0.25, 0.15, "tanh")


def test_encoder_of_a_mean_pooling_classifier_loads_without_this_project(deberta: Path, tmp_path: Path) -> None:
    model = build_classifier(deberta, labels=LABELS, pooling="mean").eval()
    model.save_pretrained(tmp_path)
    encoder = AutoModel.from_pretrained(tmp_path).eval()
    states, expected = encoder(**inputs()).last_hidden_state, model.deberta(**inputs()).last_hidden_state
    torch.testing.assert_close(states, expected, rtol=1e-4, atol=1e-5)


def test_mean_pooling_is_the_mean_of_what_is_no_padding(deberta: Path) -> None:
    model = build_classifier(deberta, labels=LABELS, pooling="mean", head=HeadOptions(activation="none")).eval()
    states = model.deberta(**inputs()).last_hidden_state
    pooled = torch.stack([states[0].mean(0), states[1, :4].mean(0), states[2].mean(0)])
    torch.testing.assert_close(logits_of(model), model.classifier(pooled))


def test_logits_do_not_depend_on_padding(deberta: Path) -> None:
    model = build_classifier(deberta, labels=LABELS, pooling="mean").eval()
    short = {name: value[:, :5] for name, value in inputs().items()}
    padded = {name: nn.functional.pad(value, (0, 11)) for name, value in short.items()}
    torch.testing.assert_close(model(**short).logits, model(**padded).logits, rtol=1e-5, atol=1e-6)
    nothing = {"input_ids": short["input_ids"], "attention_mask": torch.zeros_like(short["attention_mask"])}
    assert model(**nothing).logits.isfinite().all()


@pytest.mark.parametrize("activation", ["gelu", "tanh", "none", None])
def test_mean_head_is_as_its_options_say_and_survives_saving(activation: Any, deberta: Path, tmp_path: Path) -> None:
    head = HeadOptions(
        width=None if activation == "none" else 20, activation=activation, dropout=0.3, input_dropout=0.2
    )
    model = build_classifier(deberta, labels=LABELS, pooling="mean", head=head)
    assert model.classifier.in_features == (32 if activation == "none" else 20)
    assert (model.dropout.p, model.mean_pooler.dropout.p) == (0.3, 0.2)
    model.save_pretrained(tmp_path)
    loaded: Any = load_classifier(tmp_path)
    assert isinstance(loaded, MeanPoolingClassifier)
    assert repr(loaded.mean_pooler) == repr(model.mean_pooler)
    assert torch.equal(logits_of(loaded), logits_of(model))


def test_new_head_leaves_the_pretrained_encoder_alone(deberta: Path) -> None:
    original = DebertaV2Model.from_pretrained(deberta).state_dict()
    for pooling in ("cls", "mean"):
        built = build_classifier(deberta, labels=LABELS, pooling=pooling).deberta.state_dict()
        assert original.keys() == built.keys()
        assert all(torch.equal(original[name], built[name]) for name in original)


def test_fast_attention_is_on_unless_switched_off(deberta: Path, tmp_path: Path) -> None:
    fast = build_classifier(deberta, labels=LABELS, pooling="mean")
    assert any(isinstance(module, FastSelfAttention) for module in fast.modules())
    fast.save_pretrained(tmp_path)
    stock = load_classifier(tmp_path, fast_attention=False)
    assert not any(isinstance(module, FastSelfAttention) for module in stock.modules())
    torch.testing.assert_close(logits_of(fast), logits_of(stock), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_receives_a_gradient(family: str, pooling: Any, checkpoints: dict[str, Path]) -> None:
    model = build_classifier(checkpoints[family], labels=LABELS, pooling=pooling)
    model(**inputs()).logits.sum().backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_dropouts_of_the_encoder_can_be_set(checkpoints: dict[str, Path]) -> None:
    for family in FAMILIES:
        model = build_classifier(
            checkpoints[family], labels=LABELS, pooling="mean", hidden_dropout=0.33, attention_dropout=0.22
        )
        rates = {module.p for module in model.base_model.modules() if isinstance(module, nn.Dropout)}
        assert rates <= {0.33, 0.22}
        assert 0.33 in rates


def test_loss_is_computed_only_where_labels_are_given(deberta: Path) -> None:
    model = build_classifier(deberta, labels=LABELS, pooling="mean").eval()
    assert model(**inputs()).loss is None
    targets = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    expected = nn.functional.binary_cross_entropy_with_logits(logits_of(model), targets.float())
    torch.testing.assert_close(model(**inputs(), labels=targets).loss, expected)
    single = build_classifier(deberta, labels=LABELS, pooling="mean", task="single_label").eval()
    classes = torch.tensor([2, 0, 1])
    expected = nn.functional.cross_entropy(logits_of(single), classes)
    torch.testing.assert_close(single(**inputs(), labels=classes).loss, expected)


def test_extra_tokens_start_as_the_mean_of_their_words_pieces(deberta: Path, tmp_path: Path) -> None:
    model = build_classifier(deberta, labels=LABELS, pooling="mean", extra_tokens=EXTRA_TOKENS)
    table = model.get_input_embeddings().weight.detach()
    original = DebertaV2Model.from_pretrained(deberta).get_input_embeddings().weight.detach()
    bare, extended = load_tokenizer_json(deberta, extra_tokens=()), load_tokenizer_json(deberta)
    assert table.shape[0] == extended.get_vocab_size() == original.shape[0] + 2
    assert torch.equal(table[: original.shape[0]], original)
    pieces = bare.encode("religion", add_special_tokens=False).ids
    torch.testing.assert_close(table[extended.token_to_id("[RELIGION]")], original[pieces].mean(0))
    model.save_pretrained(tmp_path)
    assert load_classifier(tmp_path).get_input_embeddings().num_embeddings == table.shape[0]


def deberta_v3_folder(folder: Path) -> tuple[Path, DebertaV2Model]:
    """A folder in the layout of microsoft/deberta-v3-*, and the encoder whose weights it holds in half precision."""
    source = tiny_checkpoint(folder / "source", vocab_size=170)
    model = DebertaV2ForMaskedLM.from_pretrained(source).half()
    target = folder / "deberta-v3"
    target.mkdir()
    torch.save(model.state_dict(), target / "pytorch_model.bin")
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    for name in ("architectures", "dtype", "torch_dtype", "legacy"):
        config.pop(name, None)
    config["pos_att_type"] = "p2c|c2p"
    (target / "config.json").write_text(json.dumps(config))
    (target / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False, "vocab_type": "spm"}))
    train_spm(target / "spm.model")
    return target, model.deberta


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_folder_of_deberta_v3_is_loaded_in_float32(pooling: Any, tmp_path: Path) -> None:
    folder, encoder = deberta_v3_folder(tmp_path)
    assert not (folder / "tokenizer.json").exists()
    model = build_classifier(folder, labels=LABELS, pooling=pooling, extra_tokens=EXTRA_TOKENS)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    # 150 pieces, [MASK] and two more fit into the 170 rows, as they do in the 128,100 of the original
    assert model.get_input_embeddings().num_embeddings == 170
    for name, expected in encoder.state_dict().items():
        if "word_embeddings" not in name:
            assert torch.equal(model.deberta.state_dict()[name], expected.float()), name
    model.save_pretrained(tmp_path / "saved")
    assert torch.equal(logits_of(load_classifier(tmp_path / "saved")), logits_of(model))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_lora_trains_the_adapters_and_the_head_and_reloads(pooling: Any, deberta: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, PeftModel, TaskType, get_peft_model

    def base() -> Any:
        torch.manual_seed(0)
        return build_classifier(deberta, labels=LABELS, pooling=pooling)

    names = head_modules(base())
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS, r=4, target_modules=["query_proj", "key_proj", "value_proj", "dense"],
        modules_to_save=list(names),
    )  # fmt: skip
    adapted = get_peft_model(base(), config)
    before = {name: parameter.detach().clone() for name, parameter in adapted.named_parameters()}
    optimizer = torch.optim.AdamW([p for p in adapted.parameters() if p.requires_grad], lr=0.01)
    adapted.train()
    for _ in range(3):
        optimizer.zero_grad()
        adapted(**inputs()).logits.square().sum().backward()
        optimizer.step()
    moved = {name for name, parameter in adapted.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert all(any(f"{head}.modules_to_save" in name for name in moved) for head in names)
    expected = logits_of(adapted)
    adapted.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(base(), tmp_path)
    torch.testing.assert_close(logits_of(again), expected)
    merged = again.merge_and_unload()
    torch.testing.assert_close(logits_of(merged), expected, rtol=1e-4, atol=1e-5)
    merged.save_pretrained(tmp_path / "merged")
    torch.testing.assert_close(logits_of(load_classifier(tmp_path / "merged")), logits_of(merged))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_gradient_checkpointing_gives_the_same_gradients(pooling: Any, deberta: Path) -> None:
    model = build_classifier(
        deberta,
        labels=LABELS,
        pooling=pooling,
        head=HeadOptions(dropout=0.0),
        hidden_dropout=0.0,
        attention_dropout=0.0,
    ).train()
    gradients = []
    for _ in range(2):
        model.zero_grad()
        model(**inputs()).logits.sum().backward()
        gradients.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
        model.gradient_checkpointing_enable({"use_reentrant": False})
    assert model.is_gradient_checkpointing
    for name, expected in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], expected, rtol=1e-4, atol=1e-6, msg=name)


def test_head_modules_are_all_that_is_outside_the_encoder(checkpoints: dict[str, Path]) -> None:
    def heads(family: str, pooling: Any, **head: Any) -> list[str]:
        return head_modules(
            build_classifier(checkpoints[family], labels=LABELS, pooling=pooling, head=HeadOptions(**head))
        )

    assert heads("deberta-v2", "cls") == ["pooler", "classifier"]
    assert heads("bert", "cls") == ["classifier", "bert.pooler"]
    assert heads("roberta", "cls") == ["classifier"]
    assert heads("bert", "mean") == ["mean_pooler", "classifier"]
    assert heads("deberta-v2", "mean", activation="none") == ["classifier"]


@pytest.mark.parametrize(
    ("family", "head", "message"),
    [
        ("deberta-v2", {"width": 16}, r"the head is as wide as the encoder \(32\), not 16"),
        ("deberta-v2", {"activation": "none"}, "always has a dense layer; activation none is not possible"),
        ("bert", {"activation": "gelu"}, "a bert model has its architecture's head; only head.dropout can be set"),
        ("bert", {"input_dropout": 0.1}, "only head.dropout can be set"),
    ],
)
def test_head_that_the_architecture_does_not_have_is_refused(
    family: str, head: dict[str, Any], message: str, checkpoints: dict[str, Path]
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_classifier(checkpoints[family], labels=LABELS, pooling="cls", head=HeadOptions(**head))


@pytest.mark.parametrize(
    ("family", "field"),
    [
        ("deberta-v2", "cls_dropout"),
        ("bert", "classifier_dropout"),
        ("distilbert", "seq_classif_dropout"),
        ("albert", "classifier_dropout_prob"),
    ],
)
def test_dropout_of_the_head_is_written_where_the_architecture_reads_it(family: str, field: str) -> None:
    config = AutoConfig.for_model(family)
    store_native_head(config, HeadOptions(dropout=0.37))
    assert getattr(config, field) == 0.37
    store_native_head(config, HeadOptions())
    assert getattr(config, field) == 0.1


def test_dropout_of_a_head_without_one_is_refused_and_may_be_left_out() -> None:
    config = AutoConfig.for_model("mpnet")
    before = config.to_dict()
    with pytest.raises(
        ConfigError, match=r"dropout is 0\.0; with cls pooling the head of a mpnet model has none of its"
    ):
        store_native_head(config, HeadOptions(dropout=0.0))
    store_native_head(config, HeadOptions())
    assert config.to_dict() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width is 0; it must be at least 1"),
        ({"activation": "relu"}, "activation is 'relu'; allowed are gelu, tanh, none"),
        ({"activation": "none", "width": 8}, "no dense layer .* so width 8 has no meaning"),
        ({"dropout": 1.0}, r"dropout is 1\.0; it must be in \[0, 1\)"),
        ({"input_dropout": -0.1}, r"input_dropout is -0\.1; it must be in \[0, 1\)"),
    ],
)
def test_head_options_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        HeadOptions(**options)


def test_options_out_of_range_are_refused(deberta: Path) -> None:
    with pytest.raises(ConfigError, match="pooling is 'max'; allowed are cls and mean"):
        build_classifier(deberta, labels=LABELS, pooling="max")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"hidden_dropout is 1\.5; it must be in"):
        build_classifier(deberta, labels=LABELS, pooling="mean", hidden_dropout=1.5)
