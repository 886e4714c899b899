"""The package as a wheel lays it out, see [tool.hatch.build.targets.wheel] in pyproject.toml."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def wheel(once_wheel, tmp_path):
    """Function that runs Python on the package as a wheel installs it, outside the clone."""

    def run(*arguments, check=False):
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, check=check,
            env={**os.environ, "PYTHONPATH": str(once_wheel)},
        )  # fmt: skip

    return run


@pytest.fixture(scope="session")
def once_wheel(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "fer_jax", folder / "fer_jax", ignore=ignored)
    for name in ("preprocess", "configs"):
        shutil.copytree(ROOT / name, folder / "fer_jax" / name, ignore=ignored)
    return folder
