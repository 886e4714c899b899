# make demo: the main job on the embedded default. make test: lint and all tests.
# make smoke: the wheel in an empty environment. Each makes its own virtual environment; nothing but
# Python >= 3.11 and pip is needed.

PYTHON ?= python3
DEMO := .venv
TEST := .venv-test
# PyTorch serves the mirror in tests and benchmarks only; this release is the one it is checked with.
TORCH ?= torch==2.13.0

.PHONY: demo test lint smoke bench clean

demo: $(DEMO)/.ready
	$(DEMO)/bin/python -m preprocess synthetic --out data/synthetic
	$(DEMO)/bin/python run.py --config configs/stbln_synthetic.py
	$(DEMO)/bin/python -m fer_jax.synthetic.demo --out data/clips
	$(DEMO)/bin/python -m fer_jax.predict runs/stbln_synthetic/model data/clips/*.mp4 \
	  --out runs/stbln_synthetic/clips.csv --figure runs/stbln_synthetic/clips

test: $(TEST)/.ready lint
	$(TEST)/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(TEST)/.ready
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .

smoke:
	.ci/smoke $(PYTHON)

bench: $(TEST)/.ready
	$(TEST)/bin/python -m benchmarks.speed st_bln

$(DEMO)/.ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'fer_jax needs Python 3.11 or newer: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --quiet --upgrade pip
	$(DEMO)/bin/pip install --quiet --editable ".[train,preprocess]"
	touch $@

$(TEST)/.ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'fer_jax needs Python 3.11 or newer: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/pip install --quiet --upgrade pip
	$(TEST)/bin/pip install --quiet "$(TORCH)"
	$(TEST)/bin/pip install --quiet --editable ".[train,preprocess,notebook,docs,dev]"
	touch $@

clean:
	rm -rf $(DEMO) $(TEST) build *.egg-info
