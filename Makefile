# The two commands of the README are `make demo` and `make test`; both set up .venv first.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test check soak bench format clean

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "crackscan needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.12" % sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

demo: $(INSTALLED)  ## The whole main job on a sample: draw, fine-tune, score, query
	$(BIN)/crackscan sample --out $(DEMO)/sample
	$(BIN)/crackscan train $(DEMO)/sample/tiles/train --val $(DEMO)/sample/tiles/val --out $(DEMO)/model --preset quick
	$(BIN)/crackscan score $(DEMO)/sample/photos.zip --model $(DEMO)/model --out $(DEMO)/scores
	@echo && echo 'Recall and false alarms against the known truth:'
	$(BIN)/crackscan query $(DEMO)/scores @$(DEMO)/sample/check.sql
	@echo && echo 'Where the worst photo cracks, in SQL:'
	$(BIN)/crackscan query $(DEMO)/scores 'SELECT image, "row", col, left_px, top_px, crack_score FROM tiles ORDER BY crack_score DESC LIMIT 5'
	@echo && echo 'Photos and truth: $(DEMO)/sample   model: $(DEMO)/model   scores: $(DEMO)/scores (Parquet)'

test: $(INSTALLED)  ## Everything CI runs, at most 15 minutes
	$(BIN)/pytest -m 'not bench'

check: $(INSTALLED)  ## Lint, types and the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q -m 'not ray and not bench'

soak: $(INSTALLED)  ## The kill tests, fifty times over; by hand
	$(BIN)/pytest -m ray -k killed --kills 50 --timeout 7200

bench: $(INSTALLED)  ## Figures for docs/experiments.md
	$(BIN)/python tests/bench/memory.py
	$(BIN)/python tests/bench/listing.py
	$(BIN)/python tests/bench/million.py
	$(BIN)/python tests/bench/after.py

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO)
