"""`fer-jax reproduce`: lists, plans, refuses."""

import pytest

from fer_jax.commands.reproduce import main
from fer_jax.papers import PAPERS
from fer_jax.reproduce import experiments


def shown(capsys, *arguments):
    code = main(list(map(str, arguments)))
    found = capsys.readouterr()
    return code, found.out, found.err


def test_list_of_all(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, _ = shown(capsys)
    assert code == 0
    for paper in PAPERS.values():
        assert paper.citation in out
        for item in paper.items:
            assert f"  {item.key:8}  {item.title}" in out
    assert "data missing: data/afew" in out and "cannot be: a drawing of the architecture" in out
    assert "can be drawn, needs no data" in out and "quoted: " in out
    for folder in ("oulu", "mmi_crops64", "disfa_crops299", "bp4d_crops64"):
        assert f"--out data/{folder}" in out
    assert not list(tmp_path.iterdir())


def test_plan_says_what_would_run_and_its_cost(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/ckplus_crops64").mkdir(parents=True)
    (tmp_path / "data/ckplus_crops64/dataset_info.json").touch()
    code, out, _ = shown(capsys, "stc_nlstm", "table3", "--dry-run", "--config.train.epochs=2")
    assert code == 0 and not (tmp_path / "runs").exists()
    assert out.count("can run: stcnlstm_ckplus") == 5
    assert "--config.protocol.name=by_sequence --config.train.epochs=2 in runs/" in out
    assert "cost: 40 trainings of 500 epochs; a batch needs 1.2 GB" in out
    assert "5 to run, 0 finished, 5 in all" in out


def test_without_data_tables_have_what_is_quoted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, out, _ = shown(capsys, "st_bln", "table1")
    assert code == 0 and "0 of 5 experiments finished" in out
    text = (tmp_path / "runs/reproduce/st_bln/table1.md").read_text()
    assert "| C3D-GRU [26] | 49.87 | - | Video | |" in text
    assert "request it from the EmotiW organisers" in text and "request it from" in out
    code, out, _ = shown(capsys, "bilinear_cnn", "figure3", "--out", "out")
    assert code == 0 and "figure3.png, .pdf" in out
    assert (tmp_path / "out/bilinear_cnn/figure3.pdf").read_bytes().startswith(b"%PDF")
    code, out, _ = shown(capsys, "st_bln", "figure2")
    assert (
        "figure2: not drawn, data missing: data/afew\n" in out and out.count("It is licensed") == 1
    )
    code, out, _ = shown(capsys, "st_bln", "table1", "--dry-run")
    assert out.count("data missing: ") == 5 and out.count("It is licensed") == 1
    code, out, _ = shown(capsys, "fer_gcn", "figure2")
    assert "cannot be: a drawing of the architecture" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["st_gcn"], "there is no paper st_gcn: use st_bln, fer_gcn"),
        (["st_bln", "table4"], "there is no table4: use figure1"),
        (
            ["st_bln", "--config.model.channels=(2,)"],
            "none of these experiments has",
        ),
        (
            ["fer_gcn", "--clip", "a"],
            "--clip is for one figure of a clip: name st_bln",
        ),
        (["fer_gcn", "table1", "--clip", "a"], "--clip is for one figure of a clip"),
        (["st_bln", "--config.train.epochs"], "write --config.FIELD=VALUE"),
        (["st_bln", "--config.train.epochs=few"], "give a value of type int"),
    ],
)
def test_what_is_not_there_is_refused(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, _, err = shown(capsys, *arguments)
    assert code == 2 and words in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").touch()
    code, _, err = shown(capsys, "stc_nlstm", "table2", "--out", "out")
    assert code == 1 and "a file is where a folder belongs" in err and err.count("\n") == 1


def test_an_unknown_flag_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["st_bln", "--epochs=3"])
    assert "unknown argument --epochs=3" in capsys.readouterr().err


def test_changed_experiments_have_work_directories_of_their_own(tmp_path):
    run = PAPERS["stc_nlstm"].item("table9").runs[0]
    plain, same, changed = (
        experiments.find(run, overrides, tmp_path)
        for overrides in ((), ("train.epochs=500",), ("train.epochs=2", "model.widths=(4,)"))
    )
    assert same.config == plain.config and not same.changed
    assert plain.workdir.path.name == "stcnlstm_bp4d" and not plain.changed
    assert changed.changed == ("train.epochs=2",)
    assert changed.workdir.path.name.startswith("stcnlstm_bp4d_changed_")
    assert changed.config.train.epochs == 2


def test_the_list_says_how_many_experiments_are_finished(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in ("oulu_crops", "ckplus"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / f"data/{folder}/dataset_info.json").touch()
    _, out, _ = shown(capsys)
    for key, words in (("st_bln", "5 experiments can run"), ("fer_gcn", "1 experiment can run")):
        own = out.partition(f"{key}: ")[2].partition("  table3")[2].splitlines()[1]
        assert own.strip() == words
    own = out.partition("fer_gcn: ")[2].partition("  table1 ")[2].splitlines()[1].strip()
    assert own == "3 experiments, 1 can run, data missing: data/ckplus_crops, data/mmi_crops"
