"""What the package imports before it works: commands start fast, the core needs no extra."""

import pathlib
import subprocess
import sys

import pytest

from fer_jax import installation

ROOT = pathlib.Path(__file__).parents[2]
LATE = {
    "scipy", "sklearn", "matplotlib", "pandas", "orbax", "tensorflow_datasets", "tensorboardX",
    "grain", "array_record", "pyarrow", "dlib", "cv2",
}  # fmt: skip
EXTRAS = ("tensorflow_datasets", "array_record", "grain", "tensorboardX", "dlib")


def run(code, *arguments):
    call = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)


# Modules, and what they leave for later; those of a chain are imported one after another.
CORE = [
    ("fer_jax", LATE | {"numpy", "jax", "flax", "rich"}),
    ("fer_jax.commands", LATE | {"numpy", "jax", "flax", "rich"}),
    ("fer_jax.commands.predict", LATE | {"jax", "rich"}),
    ("fer_jax.commands.compare", LATE | {"jax", "rich"}),
    ("fer_jax.commands.train", LATE | {"jax", "flax"}),
    ("fer_jax.systems", LATE),  # up to the first compile, but for what reads the data
    ("fer_jax.experiments.run", LATE),
    ("fer_jax.predict.load", LATE),
]
PREPARE = [("preprocess.__main__", {"dlib", "jax", "pandas", "tensorflow_datasets", "torch"})]
CHAIN = """
import importlib, sys
for module, late in {chain!r}:
    importlib.import_module(module)
    for name in sorted(late & sys.modules.keys()):
        print(module, "imports", name)
"""


@pytest.mark.parametrize("chain", [CORE, PREPARE], ids=["core", "prepare"])
def test_import_leaves_the_slow_packages(chain):
    done = run(CHAIN.format(chain=chain))
    assert done.returncode == 0, done.stderr
    assert not done.stdout, done.stdout


@pytest.mark.parametrize(
    ("code", "seconds"),
    [("import fer_jax", 0.5), ("from fer_jax import commands; commands.main(['configs'])", 0.5)],
)
def test_start_takes_little_cpu(code, seconds):
    """`python -m benchmarks.startup` measures; this bound only ends what is far from it."""
    end = "; import resource; print('\\n', resource.getrusage(resource.RUSAGE_SELF).ru_utime)"
    assert float(run(code + end).stdout.split()[-1]) < 2 * seconds


BLOCKED = f"""
import sys
for name in {EXTRAS!r}:
    sys.modules[name] = None
from fer_jax import commands
sys.exit(commands.main(sys.argv[1:]))
"""


def test_core_predicts_without_the_extras(finished_run, tmp_path):
    face = tmp_path / "face.csv"
    code = (
        "import sys, numpy as np, pandas as pd; from fer_jax.faces.landmarks import MEAN_FACE; "
        "names = [f'{a}_{p}' for a in 'xy' for p in range(68)]; "
        "rows = np.repeat((60 * MEAN_FACE + 200).T.reshape(1, -1), 12, 0); "
        "table = pd.DataFrame(rows, columns=names).assign(frame=range(1, 13), success=1); "
        "table.to_csv(sys.argv[1], index=False)"
    )
    assert run(code, face).returncode == 0
    out = tmp_path / "table.csv"
    bundle = finished_run("landmarks").bundle
    done = run(BLOCKED, "predict", bundle, face, "--mc-samples", "2", "--out", out)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size > 0


def test_training_and_preparing_say_which_extra_they_need(prepared, tmp_path):
    own = (f"--config.data.path={prepared}", "--workdir", tmp_path / "run")
    done = run(BLOCKED, "train", "--config", "stbln_synthetic", *own)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert installation.how_to_install("train") in done.stderr
    assert not (tmp_path / "run").exists()
    done = run(BLOCKED, "prepare", "synthetic", "--out", tmp_path / "data")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert installation.how_to_install("preprocess") in done.stderr
    assert not (tmp_path / "data").exists()
