"""What a user can say about data."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from shared.context import ContextFormat
from shared.errors import ConfigError
from shared.text import Normalisation
from training.config.types import (
    NonNegativeInt,
    OneOrMore,
    OpenShare,
    PositiveFloat,
    PositiveInt,
    Seed,
    Share,
    ShareBelowOne,
    TwoOrMore,
)

SourceKind = Literal[
    "sample", "goemotions", "table", "semeval2018_ec", "isear", "meld", "brighter", "tweet_eval", "dair_emotion", "xed",
    "emoevent", "empathetic_dialogues", "dailydialog", "emoint", "semeval2018_ei",
]  # fmt: skip
"""The kinds of sources; `training.data.sources.READERS` holds one reader for each."""

TableFormat = Literal["csv", "tsv", "jsonl", "json", "parquet", "arrow", "xlsx", "txt"]
"""The formats of tables, as in `shared.tables.options`."""

AugmentMethod = Literal["synonyms", "expansion", "paraphrase", "counterfactual"]


@dataclass(frozen=True, kw_only=True)
class TableKeys:
    """How a table is laid out; where nothing is said it is detected, or asked for."""

    separator: str | None = None
    """Tables: what separates the columns of a delimited file: a character, comma, semicolon, tab or pipe; detected."""
    encoding: str | None = None
    """Tables: encoding of a text file, such as cp1252; UTF-8, or what its byte order mark says, when left out."""
    header: bool | None = None
    """Tables: whether the first row names the columns; it does when left out, and a doubtful one is refused."""
    columns: list[str] | None = None
    """Tables: names of all columns in order, where the file has no header or in place of it."""
    sheet: str | None = None
    """Tables: sheet of a workbook (.xlsx) by name or number from 1; needed when there are several."""
    quoting: Literal["csv", "escaped", "none"] | None = None
    """Tables: csv, escaped (a backslash before quotes within a cell) or none (plain characters); detected."""
    format: TableFormat | None = None
    """Tables: csv, tsv, jsonl, json, parquet, arrow, xlsx or txt, where the suffix of the file does not tell it."""


@dataclass(frozen=True, kw_only=True)
class LabelKeys(TableKeys):
    """How the labels of a source are to be read and named; where nothing is said they are detected, or asked for."""

    label_form: Literal["names", "ids", "multi_hot"] | None = None
    """Tables: what a cell of the label column holds: names, ids, or multi_hot (0/1 vectors); detected when left out."""
    delimiter: str | None = None
    """Tables: what separates the labels within one cell ("none": nothing does); detected when left out."""
    ids_start: Literal[0, 1] | None = None
    """Tables: whether label ids count from 0 or from 1; from 0 when left out, and asked for where that does not fit."""
    blanks: Literal["unknown", "negative"] = "unknown"
    """Tables: what an empty cell of a 0/1 column says: nothing (masked for that cell), or no."""
    positive_from: PositiveFloat | None = None
    """Tables: 0/1 columns may hold counts or intensities, of which this and more is a yes."""
    soft_labels: bool = False
    """Raw ratings: targets are shares of raters (0..1) instead of hard labels. Tables: allow shares in 0..1."""
    aggregate: Literal["majority", "two", "share"] | None = None
    """Tables with several rows a text: a label counts when more than half of the answers give it, when two or more
    do, or by its share of them (soft labels); such a table is refused when left out."""
    split_column: str | None = None
    """Tables: the column that names each row's split ("none": none does); detected when left out."""
    intensity_columns: str | None = None
    """Tables, with data.task intensity: the columns of intensities, one a label, separated by commas."""
    scale: str | None = None
    """Tables, with data.task intensity: what their values lie between, low:high, or low:high:step for an ordinal scale,
    such as 0:1 or 0:3:1."""
    date_column: str | None = None
    """Tables: the column of each row's date, for data.temporal_split and metrics over time."""
    group_column: str | None = None
    """Tables: the column of what each row belongs to, such as its writer: kept in one split or fold,
    compared by audits."""
    context_column: str | None = None
    """Tables: the column of the turns before each text: a list, a JSON list of texts or of {"text", "speaker"}, or the
    text of one turn. The model reads them as a second segment."""
    dialogue_column: str | None = None
    """Tables: the column of the dialogue of each row; with data.context_turns the rows before are its context, and no
    dialogue is in two splits."""
    speaker_column: str | None = None
    """Tables: the column of who speaks, for the turns taken from data.dialogue_column."""
    annotated: str | None = None
    """Labels that were asked about in every row ("all", or names separated by commas), so that one which does not
    occur is a no; when left out, those that the source declares, or that occur."""
    language_column: str | None = None
    """Tables: the column of each row's language, as a code such as en or deu: for metrics, sampling and thresholds of
    each."""
    language: str | None = None
    """BRIGHTER, XED, EmoEvent, SemEval-2018 EI: the language, by the code in their files, such as eng or en; BRIGHTER:
    several with commas between them, or all. Tables: the language that all rows are in."""
    utterances: bool = False
    """EmpatheticDialogues: each utterance is a text, in place of the prompt of each conversation."""
    rename: str | None = None
    """Names of the source's labels and those to use, such as "happiness=joy, fury=anger"; several may fall together."""
    drop: str | None = None
    """Labels of the source that are left out, separated by commas."""
    taxonomy: str | None = None
    """Coarser groups for the source's labels: ekman, sentiment, or a YAML file of groups and their labels."""


@dataclass(frozen=True)
class SourceConfig(LabelKeys):
    """One corpus."""

    kind: SourceKind = "sample"
    """Kind of corpus: sample (embedded), table (any CSV, JSONL, Parquet, ...), or a corpus by its name."""
    path: str | None = None
    """Folder or file of the corpus, or its name on the hub; none for sample, and for goemotions from the hub."""
    text_column: str | None = None
    """Tables: name of the text column; detected when left out."""
    label_column: str | None = None
    """Tables: name of the label column, or the names of 0/1 columns separated by commas; detected when left out."""
    labels: list[str] | None = None
    """Tables: label names in the order of their ids, when the file holds ids; taken from the file when left out."""
    temporal_split: bool = False
    """Raw GoEmotions, tables with data.date_column: the newest rows are test, the ones before them dev, instead of a
    stratified split."""
    weight: PositiveFloat = 1.0
    """How often its training rows are seen in an epoch: 0.5 = half of them, another half each time; 2 = all twice."""


_OWN_KEYS = ("kind", "labels", "weight")
"""Keys of a source that have another name or meaning, or none, among the short keys of `DataConfig`."""


@dataclass(frozen=True)
class SamplingConfig:
    """Which training rows an epoch holds and how they meet in batches."""

    group_by_length: bool = True
    """Batch rows of similar length, which saves padding."""
    oversample_below: PositiveInt | None = None
    """Labels with fewer training rows than this are oversampled; none when left out."""
    oversample_factor: OneOrMore = 1.5
    """How often an oversampled label is seen: 1.5 adds half of its rows again, others in each epoch."""
    min_presence: NonNegativeInt = 0
    """Rows of every label in each batch (all processes together), in place of rows of common labels; 0 = as is."""


@dataclass(frozen=True)
class DataConfig(LabelKeys):
    """Where texts come from, how they are split and how they are cut into tokens."""

    task: Literal["labels", "intensity"] = "labels"
    """Whether labels hold or not, or how intense each of them is: a number on a scale (docs/intensity.md)."""
    source: SourceKind = "sample"
    """Kind of corpus when there is just one: sample (embedded), table (any file), or a corpus by its name."""
    path: str | None = None
    """Folder or file of that corpus, or its name on the hub."""
    text_column: str | None = None
    """Tables: name of the text column; detected when left out."""
    label_column: str | None = None
    """Tables: name of the label column, or the names of 0/1 columns separated by commas; detected when left out."""
    temporal_split: bool = False
    """Raw GoEmotions, tables with data.date_column: the newest rows are test, the ones before them dev, instead of a
    stratified split."""
    sources: list[SourceConfig] = field(default_factory=list)
    """Several corpora to train on together; replaces the keys above."""
    labels: list[str] | None = None
    """The model's labels in order; when left out the 28 of GoEmotions, or for a table the labels found in it."""
    labels_file: str | None = None
    """The same as a text file, one label a line."""
    dev_fraction: OpenShare = 0.1
    """Share of rows (0..1) held out as dev where a corpus has no official split."""
    test_fraction: ShareBelowOne = 0.1
    """Share of rows (0..1) held out as test where a corpus has no official split."""
    seed: Seed = 13
    """Seed of the splits and of the subset; kept apart from the seed of training, so that seeds share their splits."""
    folds: TwoOrMore | None = None
    """Cross-validation: train and dev rows are pooled and cut into so many stratified folds, one of which is dev."""
    fold: PositiveInt = 1
    """Cross-validation: which fold is dev, from 1 to `folds`; `python -m training.kfold` runs them all."""
    languages: list[str] | None = None
    """Rows in these languages alone, by their codes; all when left out."""
    language_alpha: Share | None = None
    """Training rows are drawn so that a language with n of them has a share in proportion to n to the power of this:
    1 takes every row once, 0 takes all languages equally often, 0.3 lies between; every row once when left out."""
    max_train_rows: PositiveInt | None = None
    """Train on a stratified subset of this many rows; all when left out."""
    min_label_support: NonNegativeInt = 10
    """Labels with fewer training rows than this are named in the report as hard to learn."""
    max_length: PositiveInt = 128
    """Most tokens of a text, special tokens included; longer texts keep their head and tail."""
    head_tokens: NonNegativeInt | None = None
    """Tokens kept from the start of a longer text, the rest from its end; a quarter of max_length when left out."""
    normalisation: Normalisation = "emoji_names"
    """emoji_names: each emoji becomes its English name in words; plain: emoji go to the tokenizer as they are."""
    context_turns: PositiveInt | None = None
    """Previous turns of the same dialogue that the model reads with a text, of sources with dialogues; none when left
    out, and with data.context_column alone as many as fit."""
    context_length: PositiveInt | None = None
    """Most tokens of the previous turns, separators included; they give way to the text. Just under half of max_length
    when left out, which is the most there may be."""
    context_speakers: bool = True
    """Whether a previous turn begins with the name of its speaker, where it is known."""
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    """Oversampling, stratified batches and length grouping."""
    cache_dir: str | None = None
    """Folder of the token cache; $EMOTION_CACHE or ~/.cache/emotion-classifiers when left out; "none": no cache."""

    @property
    def context(self) -> ContextFormat | None:
        """How previous turns are read; None where they are not asked for."""
        named = [self.context_column, *(source.context_column for source in self.sources)]
        if self.context_turns is None and not any(named):
            return None
        length = self.context_length or max(1, self.max_length // 2 - 2)
        return ContextFormat(length, self.context_turns, self.context_speakers)

    def resolved_sources(self) -> tuple[SourceConfig, ...]:
        """The corpora asked for: `sources`, or the one that the short keys describe.

        Raises:
            ConfigError: when both are given, or a weight is not positive.
        """
        shared = {key.name: getattr(self, key.name) for key in fields(SourceConfig) if key.name not in _OWN_KEYS}
        short = SourceConfig(kind=self.source, **shared)
        if not self.sources:
            return (short,)
        if short != SourceConfig():
            raise ConfigError(
                f"data.sources lists {len(self.sources)} corpora, and data.source, data.path or another key for one "
                "corpus is given too.",
                hint="Move that corpus into data.sources, or leave data.sources out.",
            )
        for source in self.sources:
            if not source.weight > 0:
                raise ConfigError(f"the weight of the source '{source.kind}' is {source.weight}; it must be above 0.")
        return tuple(self.sources)

    def check_fractions(self) -> None:
        """Refuse splits that leave nothing.

        Raises:
            ConfigError: when dev_fraction, test_fraction or max_train_rows is out of range.
        """
        dev, test = self.dev_fraction, self.test_fraction
        if not 0 < dev < 1 or not 0 <= test < 1 or dev + test >= 1:
            raise ConfigError(
                f"data.dev_fraction {dev} and data.test_fraction {test} are not possible: "
                "dev must be above 0, test 0 or more, and their sum below 1."
            )
        if self.max_train_rows is not None and self.max_train_rows < 1:
            raise ConfigError(f"data.max_train_rows is {self.max_train_rows}; it must be 1 or more, or left out.")

    def check_folds(self) -> None:
        """Refuse a fold that is not there, and folds of rows that are cut by time.

        Raises:
            ConfigError: when folds is below 2 or fold above folds, or beside temporal_split.
        """
        if self.folds is not None and (self.folds < 2 or not 1 <= self.fold <= self.folds):
            raise ConfigError(
                f"data.folds is {self.folds} and data.fold {self.fold}: folds must be 2 or more, fold from 1 to folds."
            )
        if self.folds is not None and any(source.temporal_split for source in self.resolved_sources()):
            raise ConfigError(
                "data.temporal_split is true, and folds (data.folds, emotion kfold) are drawn at random.",
                hint="Leave one of the two out.",
            )


@dataclass(frozen=True)
class AugmentConfig:
    """Further training texts for rare labels; dev and test are never touched."""

    methods: list[AugmentMethod] = field(default_factory=list)
    """Ways to make them: "synonyms" replaces words, "expansion" adds a neutral sentence, "paraphrase" says phrases
    another way, "counterfactual" puts another person in; none when left out. English texts only."""
    below: PositiveInt = 500
    """Labels with fewer training rows than this are rare."""
    copies: PositiveInt = 1
    """Texts to make from each row with a rare label; fewer where no further one can be made."""
    synonym_share: PositiveFloat = 0.3
    """Synonyms: share of the replaceable words of a text that are replaced; at least one."""
