"""The program `fer-jax` and the commands that share its code."""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import re
import subprocess
import sys

import pytest

import fer_jax
from fer_jax import commands
from fer_jax.commands import train
from fer_jax.experiments import configs

ROOT = pathlib.Path(__file__).parents[2]


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"\n    {name}\s", shown) for name in commands.COMMANDS)


def test_page_of_commands_has_all_of_them():
    page = (ROOT / "docs/commands.md").read_text()
    for name in commands.COMMANDS:
        assert f"| `fer-jax {name}` |" in page and f"\n## {name}\n" in page, name


def test_unknown_command_ends_with_the_known_ones(capsys):
    with pytest.raises(SystemExit) as ended:
        commands.main(["tran"])
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert all(name in shown for name in commands.COMMANDS)


def test_version(capsys):
    with pytest.raises(SystemExit):
        commands.main(["--version"])
    assert capsys.readouterr().out.strip() == fer_jax.__version__


def test_package_lists_what_readme_calls():
    called = re.findall(r"fer_jax\.(\w+)\(", (ROOT / "README.md").read_text())
    assert {"load_model", "predict_clips"} <= set(called)
    assert {*called, "prepare", "predict_frames"} <= set(dir(fer_jax))


def test_configs_are_listed(capsys):
    assert commands.main(["configs"]) == 0
    assert capsys.readouterr().out.strip() == configs.listing().strip()


def test_prepare_is_the_command_of_preprocess(capsys):
    arguments = ["synthetic", "--subjects", "3", "--clips-per-subject", "2", "--dry-run"]
    assert commands.main(["prepare", *arguments]) == 0
    assert "s000 2" in capsys.readouterr().out


SMALL = {"subjects": 3, "clips_per_subject": 2, "workers": 1}


def test_prepare_from_python_returns_the_report(tmp_path):
    report = fer_jax.prepare("synthetic", out=tmp_path / "out", **SMALL)
    assert report == json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["counts"]["kept"] == 6


@pytest.mark.parametrize(
    ("dataset", "options", "error", "message"),
    [
        ("synthetik", {}, ValueError, "invalid choice: 'synthetik'"),
        ("synthetic", {"crop": 64}, ValueError, "unrecognized arguments: --crop=64"),
        ("synthetic", {"crops": 7}, ValueError, "7 is not a valid crop side"),
        ("synthetic", {"subjects": 1}, ValueError, "make at least 3"),
        ("manifest", {}, ValueError, "--source is missing"),
        ("manifest", {"source": "nowhere.csv"}, RuntimeError, "does not exist"),
        ("manifest", {"source": 5}, TypeError, "source is of type int: give a path"),
        (5, {}, TypeError, "dataset is of type int: give one of synthetic"),
    ],
)
def test_wrong_preparation_from_python_raises(tmp_path, dataset, options, error, message):
    with pytest.raises(error, match=message):
        fer_jax.prepare(dataset, out=tmp_path / "out", **options)


def test_prepare_works_in_a_script_without_a_main_guard(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"print('begins')\nimport fer_jax\nfer_jax.prepare('synthetic', out='out', **{SMALL})\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("begins") == 1 and "6 kept, 0 dropped" in done.stdout


def test_prepare_from_several_threads(tmp_path, monkeypatch):
    monkeypatch.setattr("preprocess.workers.processes.START_METHOD", "spawn")  # as in a command
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        outs = [tmp_path / "a", tmp_path / "b"]
        reports = list(pool.map(lambda out: fer_jax.prepare("synthetic", out=out, **SMALL), outs))
    assert [report["counts"]["kept"] for report in reports] == [6, 6]


def test_prepare_inside_a_daemon_reads_in_its_own_process(tmp_path):
    context = multiprocessing.get_context("spawn")
    process = context.Process(
        target=fer_jax.prepare,
        args=("synthetic",),
        kwargs={"out": tmp_path, **SMALL},
        daemon=True,
    )
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert json.loads((tmp_path / "report.json").read_text())["counts"]["kept"] == 6


def test_predict_and_compare_end_with_one_line(tmp_path, capsys):
    assert commands.main(["predict", str(tmp_path), "clip.mp4"]) == 1
    assert "is not a model bundle" in capsys.readouterr().err
    assert commands.main(["compare", "stbln_afw"]) == 2
    assert "\n\nerror: there is no config stbln_afw: did you mean" in capsys.readouterr().err


def test_train_parses_each_command_line_anew(monkeypatch):
    """One process may train several experiments: no flag is left from the call before."""
    seen = []
    monkeypatch.setattr(
        train, "_run", lambda config, workdir, cache: seen.append((config, workdir)) or 0
    )
    assert commands.main(["train", "--config", "stbln_afew", "--config.train.epochs=3"]) == 0
    assert train.main(["--config=stbln_afew", "--workdir", "elsewhere"]) == 0
    (first, workdir), (second, elsewhere) = seen
    assert (workdir, elsewhere) == ("runs/stbln_afew", "elsewhere")
    assert first.train.epochs == 3 and second.train.epochs != 3


AFEW = ("--config", "stbln_afew")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), ("name a config, e.g. python run.py --config stbln_synthetic", "stbln_afew")),
        (("--config=stbln_sinthetic",), ("there is no config stbln_sinthetic", "stbln_afew")),
        (("stbln_afew",), ("did you mean --config stbln_afew?",)),
        (("--conifg", "stbln_afew"), ("unknown flag --conifg: did you mean --config?",)),
        (("--config", "configs/nothing.py"), ("configs/nothing.py",)),
        (("--config=stcnlstm_buhmap:no",), ("error: --config: variant 'no' is unknown",)),
        ((*AFEW, "more"), ("unknown argument 'more'",)),
        ((*AFEW, "--epochs=3"), ("unknown flag --epochs", "--config.train.epochs=50")),
        ((*AFEW, "--workdr=x"), ("Unknown command line flag 'workdr'", "workdir")),
        ((*AFEW, "--config.train.epchs=1"), ("'epchs', a field", "its section has epochs, ")),
        ((*AFEW, "--config.modle.name=x"), ("'modle', a field", "its section has model, ")),
        ((*AFEW, "--config.optimizer.drop_factor=1"), ("its section has lr_factor, ",)),
        ((*AFEW, "--config.optimizer.learning_rate=fast"), ("learning_rate=fast: give a number",)),
        ((*AFEW, "--config.train.epochs=3.5"), ("epochs=3.5: give a whole number",)),
        ((*AFEW, "--config.augment.enabled=maybe"), ("enabled=maybe: give True or False",)),
        (
            (*AFEW, "--config.data.path=none/afew"),
            ("afew is not prepared in none/afew", "preprocess afew --source DIR --out none/afew"),
        ),
    ],
)
def test_train_refuses_before_any_work(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    try:
        code = train.main([*arguments, "--workdir", str(tmp_path / "run")])
    except SystemExit as ended:
        code = ended.code
    message = capsys.readouterr().err.strip()
    assert code == (1 if "not prepared" in message else 2)
    known, _, last = message.rpartition("\n")
    assert last.startswith("error: ") and all(word in message for word in words)
    assert not known or "stbln_afew  " in known  # a list of configs
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [("-m", "fer_jax", "configs"), ("run.py", "--help")])
def test_closed_output_ends_a_command_quietly(command):
    call = [sys.executable, *command]
    with subprocess.Popen(
        call, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as done:
        done.stdout.close()
        assert done.stderr.read() == "" and done.wait() == 141


@pytest.mark.parametrize(
    ("command", "prog"),
    [
        *((["-m", "fer_jax", name], f"fer-jax {name}") for name in commands.COMMANDS),
        (["run.py"], "python run.py"),
        (["-m", "preprocess"], "python -m preprocess"),
        (["-m", "fer_jax.predict"], "python -m fer_jax.predict"),
        (["-m", "fer_jax.compare"], "python -m fer_jax.compare"),
    ],
    ids=str,
)
def test_command_starts_and_calls_itself_by_its_name(command, prog):
    call = [sys.executable, *command, "--help"]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True)
    assert prog in done.stdout and "{" not in done.stdout.split("positional")[0].split("\n\n")[1]


ONE_NAME = """
import collections, sys
from fer_jax import commands
commands.main(["prepare", "synthetic", "--subjects", "3", "--dry-run"])
files = collections.Counter(getattr(m, "__file__", None) or n for n, m in sys.modules.items())
print("twice:", *(file for file, count in files.items() if count > 1 and "preprocess" in str(file)))
print("name:", *(name for name in sys.modules if name.endswith("preprocess.store")))
"""


def test_preprocess_has_one_name(wheel):
    shown = wheel("-c", ONE_NAME, check=True).stdout
    assert shown.endswith("twice:\nname: fer_jax.preprocess.store\n")
    call = [sys.executable, "-c", ONE_NAME]
    shown = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert shown.endswith("twice:\nname: preprocess.store\n")


def test_wheel_holds_what_the_commands_need(wheel, tmp_path):
    """A wheel has configs and preprocess inside fer_jax; a user's own config imports them."""
    (tmp_path / "mine.py").write_text("from configs.stbln_afew import get_config\n")
    shown = wheel("-m", "fer_jax", "configs")
    assert shown.stdout.strip() == configs.listing().strip()
    shown = wheel("-m", "fer_jax", "train", "--config", "mine.py")
    assert "Prepare it: fer-jax prepare afew" in shown.stderr


def test_wheel_prepares_in_processes_of_its_own(wheel, tmp_path):
    write_faces = "\n".join([
        "import numpy as np, pandas as pd",
        "from fer_jax.faces.landmarks import MEAN_FACE",
        "for name in 'ab':",
        "    names = [f'{axis}_{point}' for axis in 'xy' for point in range(68)]",
        "    row = (60 * MEAN_FACE + 200).T.reshape(1, -1)",
        "    table = pd.DataFrame(np.repeat(row, 12, 0), columns=names)",
        "    table.insert(0, 'frame', range(1, 13))",
        "    table.insert(1, 'success', 1)",
        "    table.to_csv(f'{name}.csv', index=False)",
    ])  # fmt: skip
    wheel("-c", write_faces, check=True)
    (tmp_path / "clips.csv").write_text("path,subject,label\na.csv,p1,joy\nb.csv,p2,fear\n")
    arguments = ("--source", "clips.csv", "--out", "data", "--workers", "2")
    shown = wheel("-m", "fer_jax", "prepare", "manifest", *arguments)
    assert shown.returncode == 0, shown.stderr
    assert "fer-jax train --config stbln_manifest:data" in shown.stdout
    assert json.loads((tmp_path / "data" / "report.json").read_text())["counts"]["kept"] == 2


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("def get_config(:", "line 1, cannot be run: SyntaxError"),
        ("\nimport nothing_there", "line 2, cannot be run: ModuleNotFoundError"),
        ("def get_config():\n    return 1 / 0", "line 2, cannot be run: ZeroDivisionError"),
    ],
)
def test_config_that_cannot_be_run_is_named_with_its_line(code, told, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(code)
    with pytest.raises(SystemExit) as caught:
        train.main(["--config", str(file)])
    assert caught.value.code == 2
    assert f"{file}, {told}" in capsys.readouterr().err
