"""The Equity Evaluation Corpus: sentences that differ in the person (Kiritchenko and Mohammad, 2018).

A CSV file with the header `ID,Sentence,Template,Person,Gender,Race,Emotion,Emotion word`; Race is empty for pronouns
and kinship, Emotion and its word for neutral templates. The file is not part of the project.
"""

from __future__ import annotations

from pathlib import Path

from shared.errors import DataFormatError, DataNotFoundError, EmptyDataError
from shared.tables import open_table
from training.audit.identities import Variant

COLUMNS = ("ID", "Sentence", "Template", "Person", "Gender", "Race", "Emotion", "Emotion word")


def read_eec(path: Path) -> list[Variant]:
    """Its sentences, once by gender and, where a race is given, once by race.

    Raises:
        DataNotFoundError: when the file is missing.
        DataFormatError: when columns are missing.
        EmptyDataError: when it holds no sentence.
    """
    if not path.is_file():
        raise DataNotFoundError(
            f"no Equity Evaluation Corpus at {path.absolute()}.",
            hint="Its file Equity-Evaluation-Corpus.csv is at https://saifmohammad.com/WebPages/Biases-SA.html.",
        )
    table = open_table(path)
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataFormatError(
            f"{path} lacks the columns {', '.join(missing)}; expected are {', '.join(COLUMNS)}, and there are "
            f"{', '.join(table.columns)}."
        )
    columns = table.read_all().columns
    found = []
    for row in zip(*(columns[name] for name in COLUMNS), strict=True):
        _, text, template, _, gender, race, emotion, word = (value or "" for value in row)
        key = f"{template}|{word}"
        found.append(Variant("EEC: gender", gender, key, emotion or "neutral", text))
        if race:
            found.append(Variant("EEC: race", race, key, emotion or "neutral", text))
    if not any(variant.text for variant in found):
        raise EmptyDataError(f"{path} holds no sentence.")
    return found
