# The commands of the project. Targets that need .venv make it first.
PYTHON  ?= python3
WORKERS ?= 1
PORT    ?= 8080
DURATION ?= 900
EXAMPLES ?= 2000
BIN     := .venv/bin
NPM     ?= npm
NPM_PARTS := $(if $(shell command -v $(NPM)),.npm/ready) # without npm the tests skip what needs it
STREAMS ?= 2
PARALLEL := --numprocesses $(STREAMS) --dist loadfile --no-loadscope-reorder
CHAOS_TEST := tests/acceptance/test_chaos.py
UV      ?= uv
GPU_PYTHON ?= $(if $(wildcard .venv-gpu/ready),.venv-gpu/bin/python,$(BIN)/python)

.PHONY: help setup demo up samples gallery quality screenshots check test coverage test-gpu chaos fuzz properties scale bench docs lint lock audit clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/ready  ## Make .venv from the hashed lock, with all tools for development

.venv/ready: deploy/locks/dev.txt pyproject.toml
	$(call install,dev)

.venv/local: deploy/locks/local.txt pyproject.toml  # what `make demo` and `make up` need; no test or development tools
	$(call install,local)

define install
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Easel needs Python 3.11, 3.12 or 3.13; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r deploy/locks/$(1).txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	ln -sf ../../deploy/easel-worker $(BIN)/easel-worker
	touch $@
endef

.venv-s3/ready: deploy/locks/s3.txt  # the S3 server of the tests; its pins would hold back everything else
	test -x .venv-s3/bin/python || $(PYTHON) -m venv .venv-s3
	.venv-s3/bin/python -m pip install --disable-pip-version-check --require-hashes -r deploy/locks/s3.txt
	touch $@

.venv-flower/ready: deploy/locks/flower.txt  # Flower, which shows jobs as Celery tasks in a test
	test -x .venv-flower/bin/python || $(PYTHON) -m venv .venv-flower
	.venv-flower/bin/python -m pip install --disable-pip-version-check --require-hashes -r deploy/locks/flower.txt
	touch $@

.npm/ready: deploy/locks/npm/package.json deploy/locks/npm/package-lock.json  # of the tests: axe-core, and what a TypeScript client is made with
	mkdir -p .npm
	cp $^ .npm
	$(NPM) ci --prefix .npm --ignore-scripts --no-audit --no-fund
	touch $@

demo: .venv/local  ## Render one image through the whole stack: out/demo.png (CONTENT=a.jpg STYLE=b.jpg RECIPE=fast)
	$(BIN)/python -m deploy.local demo $(if $(CONTENT),--content "$(CONTENT)") $(if $(STYLE),--style "$(STYLE)") $(if $(RECIPE),--recipe "$(RECIPE)")

up: .venv/local  ## Run the stack until Ctrl-C (PORT=8080 WORKERS=1)
	$(BIN)/python -m deploy.local up --port $(PORT) --workers $(WORKERS)

samples: .venv/local  ## Write a free photo and style image to try things with: out/photo.png, out/painting.jpg
	$(BIN)/python -m deploy.local samples

gallery: setup  ## Render the gallery of the README and the pictures of the docs again
	PYTHONPATH=tests $(BIN)/python -m benchmarks.gallery
	PYTHONPATH=tests $(BIN)/python -m benchmarks.controls

quality: setup  ## Measure pictures and write contact sheets: make quality ARGS="--pairs held_out --images FOLDER"
	PYTHONPATH=tests $(BIN)/python -m benchmarks.quality $(ARGS)

screenshots: setup  ## Render docs/pages again: every page in every state, three widths, light and dark
	PYTHONPATH=tests $(BIN)/python -m browser.screenshots

check: lint  ## Lint, types and the fast unit tests, in two minutes
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" tests/unit

# The chaos run comes last and alone: other work on the machine would delay its recoveries.
test: setup .venv-s3/ready .venv-docs/ready .venv-flower/ready $(NPM_PARTS)  ## The whole suite: real Valkey, real workers, a real S3 server, a real browser (TESTS=tests/unit)
ifdef TESTS
	$(BIN)/python -m pytest $(TESTS)
else
	$(BIN)/python -m pytest $(PARALLEL) --ignore $(CHAOS_TEST); parallel=$$?; $(BIN)/python -m pytest $(CHAOS_TEST) && exit $$parallel
endif

coverage: setup .venv-s3/ready .venv-docs/ready .venv-flower/ready $(NPM_PARTS)  ## The same with the coverage of all processes: out/coverage/html; takes longer than `make test`
	rm -rf out/coverage && mkdir -p out/coverage
ifdef TESTS
	$(BIN)/coverage run -m pytest $(TESTS)
else
	$(BIN)/coverage run -m pytest $(PARALLEL) --ignore $(CHAOS_TEST)
	$(BIN)/coverage run -m pytest $(CHAOS_TEST)
endif
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet --directory out/coverage/html
	@for package in easel shared api worker deploy; do \
		printf '%-8s %3s %%\n' $$package "$$($(BIN)/coverage report --format=total --include="$$package/*")"; done
	@printf '%-8s %3s %%\n' total "$$($(BIN)/coverage report --format=total)"

test-gpu: $(if $(filter $(BIN)/%,$(GPU_PYTHON)),setup)  ## Test what a GPU can change; skipped without one (run `make .venv-gpu/ready` first, which installs TensorFlow with CUDA)
	$(GPU_PYTHON) -m pytest tests/gpu

.venv-gpu/ready: deploy/locks/dev.txt deploy/locks/worker-gpu.txt pyproject.toml  # .venv with the other TensorFlow
	test -x .venv-gpu/bin/python || $(PYTHON) -m venv .venv-gpu
	.venv-gpu/bin/python -m pip install --disable-pip-version-check --require-hashes -r deploy/locks/dev.txt
	.venv-gpu/bin/python -m pip uninstall --yes tensorflow-cpu  # both would install into the same folder
	.venv-gpu/bin/python -m pip install --disable-pip-version-check --require-hashes -r deploy/locks/worker-gpu.txt
	.venv-gpu/bin/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	ln -sf ../../deploy/easel-worker .venv-gpu/bin/easel-worker
	touch $@

chaos: setup .venv-s3/ready  ## Inject faults everywhere while jobs run, and audit every job (JOBS= DURATION=900 SEED= STORE=both|local|s3 FAULTS=)
	PYTHONPATH=tests $(BIN)/python -m chaos --duration $(DURATION) $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED)) $(if $(STORE),--store $(STORE)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(filter command line environment,$(origin WORKERS)),--workers $(WORKERS))

properties: setup  ## Compare the ledger with its model, and rebuilt ledgers with what clients were told, in random sequences (EXAMPLES=2000)
	EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest --numprocesses 2 tests/integration/ledger/test_ledger_model.py tests/integration/ledger/test_recovery_properties.py

fuzz: setup  ## Send 100,000 generated requests to the API: no 5xx, no undocumented error, no growth of memory (REQUESTS= SEED=)
	PYTHONPATH=tests $(BIN)/python -m fuzz $(if $(REQUESTS),--requests $(REQUESTS)) $(if $(SEED),--seed $(SEED))

scale: setup .venv-s3/ready  ## 1 to 64 workers on separate networks join, leave and are cut off under load: out/scale.json (WORKERS=64; needs root and `ip netns`)
	PYTHONPATH=tests $(BIN)/python -m benchmarks.service.scale $(if $(filter command line environment,$(origin WORKERS)),--workers $(WORKERS))

bench: setup  ## Measure all speeds next to their baselines: out/bench.json (QUICK=1 for the quick ones; PyTorch if .venv-torch has it)
	PYTHONPATH=tests $(BIN)/python -m benchmarks $(if $(QUICK),--quick)

.venv-torch/ready:  # PyTorch, an optional baseline of the benchmarks: `make .venv-torch/ready`
	test -x .venv-torch/bin/python || $(PYTHON) -m venv .venv-torch
	.venv-torch/bin/python -m pip install --disable-pip-version-check torch==2.13.0 numpy pillow
	touch $@

docs: setup .venv-docs/ready  ## Build the documentation offline: out/docs/index.html
	$(BIN)/python docs/reference/generate.py
	.venv-docs/bin/sphinx-build --fail-on-warning --keep-going --nitpicky --quiet --fresh-env docs out/docs

.venv-docs/ready: deploy/locks/docs.txt
	test -x .venv-docs/bin/python || $(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --disable-pip-version-check --require-hashes -r deploy/locks/docs.txt
	touch $@

lint: setup  ## Types, style, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock:  ## Resolve pyproject.toml into deploy/locks (needs uv)
	deploy/locks/resolve.sh $(UV)

audit: .venv-audit/ready  ## Look up known vulnerabilities of the locked packages (needs a network, so it is not a part of CI)
	for lock in deploy/locks/*.txt; do echo "$$lock" && .venv-audit/bin/pip-audit --require-hashes --disable-pip -r "$$lock" || exit 1; done

.venv-audit/ready:  # pip-audit, whose findings change every day, so it is not locked
	test -x .venv-audit/bin/python || $(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install --disable-pip-version-check pip-audit
	touch $@

clean:  ## Remove what `make` made, except `var/`, which has your jobs
	rm -rf .venv .venv-s3 .venv-torch .venv-gpu .venv-docs .venv-flower .venv-audit .npm out
