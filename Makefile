# `make help` lists what can be made. Everything runs from .venv, which the first command makes.
PY := .venv/bin/python
HOST ?= 127.0.0.1
PORT ?= 8000
export PYTHON

.PHONY: help venv install install-dev demo serve test test-kills bench-export bench-quality bench-training peers format clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## an empty virtual environment in .venv (to put a PyTorch of your own in)
	@scripts/venv.sh empty

install:
	@scripts/venv.sh run

install-dev:
	@scripts/venv.sh dev

demo: install ## everything on this machine, from crawl to report, with bundled real photos
	@$(PY) -m demo.run $(DEMO)

serve: install ## the site on http://127.0.0.1:8000 with what the demo built
	@scripts/serve.sh $(HOST) $(PORT)

test: install-dev ## the whole test suite: SQLite and PostgreSQL, browser and pipeline
	@$(PY) -m tests.suite

test-kills: install-dev ## kill -9 the export, and a training, at 50 random moments; and a crawl
	@KILLS=50 $(PY) -m pytest tests/export/test_kill.py tests/training/test_resume.py \
		tests/ingest/test_ingest_killed.py -q -k "random or killed_crawl"

DATA ?= ../shared/data

peers: install-dev ## the tools we measure beside, in an environment of their own
	@scripts/peers.sh

bench-quality: peers ## quality beside crowd-kit and cleanlab, on the vote tables in DATA=FOLDER
	@$(PY) -m benchmarks.quality $(DATA) --peer .venv-peers/bin/python

bench-export: install-dev ## export of 10^4 and 10^5 small pictures beside cp -r and stripping (PEER=python with datumaro)
	@$(PY) -m benchmarks.export_speed $(if $(PEER),--peer $(PEER))

bench-training: install-dev ## speed beside torchvision's reference loop; what CIFAR-10N's label errors cost (DATA=FOLDER with cifar10n/)
	@$(PY) -m benchmarks.training_speed
	@$(PY) -m benchmarks.training_cifar10n $(DATA)

format: install-dev ## format the code and mend what the linter can
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

clean: ## remove caches; data/ and .venv stay
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache staticfiles
	@find . -name __pycache__ -not -path './.venv/*' -type d -prune -exec rm -rf {} +
