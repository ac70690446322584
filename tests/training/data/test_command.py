import pytest

from training.data import __main__ as command


@pytest.fixture
def folder(tmp_path):
    for name, rows in {"train": ["so glad\t17\ta", "so sad\t25\tb", "ok\t27\tc"], "dev": ["ok\t27\td"]}.items():
        (tmp_path / f"{name}.tsv").write_text("\n".join(rows) + "\n")
    return tmp_path


def run(monkeypatch, *argv):
    monkeypatch.setattr("sys.argv", ["training.data", *map(str, argv)])
    command.run_command(command.main)


def test_command_prints_counts_support_and_licence(monkeypatch, capsys, folder, tiny_model):
    with pytest.raises(SystemExit, match="0"):
        run(monkeypatch, "--data.source", "goemotions", "--data.path", folder, "--model.name", tiny_model)
    printed = capsys.readouterr().out
    assert "goemotions train: 2 rows of 3; 1 dropped because they are in dev too" in printed
    assert "CC BY 4.0" in printed
    assert "Length in tokens" in printed


def test_splits_are_those_of_the_run_with_one_label_a_text(monkeypatch, capsys, tmp_path):
    path = tmp_path / "one.csv"
    path.write_text("text,label\nhow odd,joy\nhow odd,fear\n" + "".join(f"text {i},joy\n" for i in range(20)))
    with pytest.raises(SystemExit, match="0"):
        run(monkeypatch, "--data.source", "table", "--data.path", path, "--model.name", tmp_path / "no-model",
            "--loss.name", "cross_entropy")  # fmt: skip
    assert "1 texts dropped whose copies have different labels" in capsys.readouterr().out


def test_command_without_the_tokenizer_counts_words(monkeypatch, capsys, folder, tmp_path):
    with pytest.raises(SystemExit, match="0"):
        run(monkeypatch, "--data.source", "goemotions", "--data.path", folder, "--model.name", tmp_path / "no-model")
    assert "Length in words" in capsys.readouterr().out


def test_a_mistake_is_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "--data.source", "goemotions", "--data.path", tmp_path / "nowhere")
    error = capsys.readouterr().err
    assert error.startswith("error: GoEmotions not found: looked for ")
    assert error.count("\n") == 1
