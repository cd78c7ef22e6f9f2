# The two commands of the README are `make demo` and `make test`; both set up .venv first.
PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo
DATA ?= ../shared/data
TRIALS ?= build/trials
# Its path can be read in the picture of the report.
PICTURES ?= /tmp/crackscan-pictures
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
FLOORS ?= build/floors
LOCK ?= build/lock

.PHONY: demo test floors lock check soak bench scale model pictures format clean

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

test: $(INSTALLED)  ## All tests but the longest; twenty minutes on 2 cores
	$(BIN)/pytest -n auto --dist loadfile -m 'not ray and not bench'
	$(BIN)/pytest -n 2 --dist loadfile -m 'ray and not soak'

floors:  ## The fast tests with the lowest version of each dependency that pyproject.toml promises; six minutes on 2 cores
	$(PYTHON) -m venv --clear $(FLOORS)
	sed -nE 's/^ *"([a-z0-9-]+)(\[[a-z,]+\])?>=([0-9.]+)",$$/\1==\3/p' pyproject.toml | sort -u > $(FLOORS)/floors.txt
	$(FLOORS)/bin/pip install --quiet --disable-pip-version-check --constraint $(FLOORS)/floors.txt --editable '.[dev]'
	$(FLOORS)/bin/pytest -n auto --dist loadfile -m 'not ray and not bench'

lock: $(INSTALLED)  ## deploy/requirements.lock again: what the image installs, in the versions of .venv; run the tests before
	$(PYTHON) -m venv $(LOCK)
	$(LOCK)/bin/pip install --quiet --disable-pip-version-check uv
	$(BIN)/pip freeze --exclude-editable > $(LOCK)/tested.txt
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' > $(LOCK)/build.txt
	$(LOCK)/bin/uv pip compile pyproject.toml $(LOCK)/build.txt --quiet --generate-hashes --constraint $(LOCK)/tested.txt \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file deploy/requirements.lock

check: $(INSTALLED)  ## Lint, layers and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

soak: $(INSTALLED)  ## The kill tests, fifty times over, all real tiles compared, and the longest tests; by hand
	$(BIN)/pytest -m ray -k killed --kills 50 --timeout 7200
	$(BIN)/pytest tests/end_to_end/test_no_leak.py --part 1 --timeout 7200
	$(BIN)/pytest -m soak

bench: $(INSTALLED)  ## Figures for docs/experiments.md and the README; an hour on a quiet machine
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	mkdir -p build
	$(BIN)/python -m tests.bench.pipelines --json build/pipelines.json --plot docs/pictures/pipelines.png
	$(BIN)/python -m tests.bench.memory
	$(BIN)/python -m tests.bench.large
	$(BIN)/python -m tests.bench.listing
	$(BIN)/python -m tests.bench.after
	$(BIN)/python -m tests.bench.report

METU := Özgenel, Çağlar Fırat (2019), Concrete Crack Images for Classification, Mendeley Data, V2, doi 10.17632/5y9wdsg2zt.2; Özgenel & Gönenç Sorguç, ISARC 2018. A selection of it, without near-identical tiles.
UAV := UAVCRACK of "Deep Neural Networks with Outdoor Bridge Image Datasets for Concrete Crack Detection and Quantification", from github.com/bridging-big-data/model-crack; MIT licence, (c) 2017 Matterport, Inc. Crops put together again to photos.
SDNET := SDNET2018, Maguire, Dorafshan & Thomas 2018, doi 10.15142/T3TD19; masks from github.com/bridging-big-data/model-crack, MIT licence. Cracked bridge decks only.
WEATHERED := UAV-Based Crack Detection Dataset, Kaggle (ziya07), CC0 1.0 as shown on 2026-06-04, from jakki-Guan/ground-to-uav-crack-segmentation 9d0c6d59.
PHOTOGRAPHS := Photographs of Debian lomiri-wallpapers-16.04: Aitzol Berasategi, Trevor "Freespace", Jakub Mede (CC BY 4.0), Clemens Engelhardt (CC0 1.0); of scikit-learn: danielbuechele, vultilion (CC BY 2.0); of scikit-image: CC0Textures, Stefan van der Walt, Rachel Michetti (CC0 1.0), SpaceX (public domain). Cut into tiles.
SOURCES := $(DATA)/metu_tiles/train $(DATA)/bridge_deck_uav $(DATA)/sdnet2018_deck_cracked $(DATA)/uav_weathered
CLUTTER ?= build/clutter

scale: $(INSTALLED)  ## How cost grows with photos, overlap, scorers and the plan; half an hour
	$(BIN)/python -m tests.bench.scale
	$(BIN)/python -m tests.bench.million
	$(BIN)/python -m tests.bench.million --loose

$(CLUTTER): | $(INSTALLED)  # on Debian or Ubuntu; made once, whatever is installed later
	mkdir -p build/photographs
	cd build/photographs && apt-get download lomiri-wallpapers-16.04
	$(BIN)/pip download --quiet --no-deps --dest build/photographs scikit-image==0.26.0 scikit-learn==1.9.1
	$(BIN)/python docs/model/cut_photographs.py $@ build/photographs/*

model: $(INSTALLED) $(CLUTTER)  ## The shipped model again, from DATA: trials on left-out sources, then the training; two hours on 2 quiet cores with AVX-512
	$(BIN)/crackscan models compare $(SOURCES) --clutter $(CLUTTER) --out $(TRIALS) \
	  --epochs 4 --epoch-tiles 1200 --batch-size 16
	$(BIN)/crackscan train $(SOURCES) --clutter $(CLUTTER) --val $(DATA)/metu_tiles/val --out build/model \
	  --calibrate-on $(TRIALS) --false-alarms 0.025 --epochs 3 --epoch-tiles 4000 --batch-size 16 \
	  --licence 'CC BY 4.0' --licence MIT --licence 'CC BY 4.0' --licence CC0-1.0 \
	  --licence 'CC BY 4.0, CC BY 2.0, CC0-1.0 and public domain' --licence 'CC BY 4.0' \
	  --attribution '$(METU)' --attribution '$(UAV)' --attribution '$(SDNET)' --attribution '$(WEATHERED)' \
	  --attribution '$(PHOTOGRAPHS)' --attribution '$(METU)' \
	  --note 'The default of crackscan. It says where to look, not that a bridge is safe: whoever decides on a structure must look at it. Its figures for structures it has not seen are those of left-out sources, four in number; measure it on labelled tiles of your own before you rely on its scores. ImageNet weights it started from: Apache-2.0.'
	cp build/model/model.safetensors build/model/int8.xml build/model/int8.bin build/model/card.json build/model/README.md pipeline/models/shipped/

pictures: $(INSTALLED)  ## The README's pictures, from the sample; needs Chromium for the one of the report
	$(BIN)/crackscan sample --out $(PICTURES)/sample --photos 12 --size 1200x900 --tiles 0 --seed 3
	$(BIN)/crackscan score $(PICTURES)/sample/photos.zip --out $(PICTURES)/scores
	$(BIN)/crackscan report $(PICTURES)/scores --out $(PICTURES)/report.html
	$(BIN)/python docs/pictures/draw.py $(PICTURES)/scores $(PICTURES)/report.html

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(DEMO) build
