# One command per wish. Needs python3 (3.11 or newer, with venv), make and git; the rest comes from the package index.
.DEFAULT_GOAL := help
.PHONY: help run test chaos chaos-deliveries check lock serve worker migrate bench test-sdk check-deploy clean venv

python := .venv/bin/python
jobs ?= 3

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: venv ## one image's journey on a private Postgres and a sandbox upstream, then keep serving
	@$(python) -m service demo $(ARGS)

test: venv ## all tests (ARGS="-k callback" for some, jobs=4 for more at once)
	@$(python) -m compileall -q service # tests start many processes: none of them should compile it anew
	@$(python) -m pytest -n $(jobs) --dist worksteal $(ARGS)

chaos: venv ## 1,000 tasks while processes are killed and the upstream misbehaves (ARGS="--seed 8", "--logs DIR")
	@$(python) -m tests.chaos $(ARGS)

chaos-deliveries: venv ## 10,000 events while processes, database and subscribers fail (ARGS="--seed 8 --events 2000")
	@$(python) -m tests.chaos_deliveries $(ARGS)

check: venv ## style, types, layers, dependencies, house rules
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	$(python) .venv/bin/lint-imports
	$(python) -m deptry .
	$(python) -m pytest -q tests/house $(ARGS)

lock: venv ## write the lock files anew with the newest versions
	@dev/lock

serve: venv ## gateway with API and loops; settings from the environment (GATEWAY_DATABASE_URL, ...)
	@$(python) -m service all

worker: venv ## loops only
	@$(python) -m service worker

migrate: venv ## bring the database of GATEWAY_DATABASE_URL up to date
	@$(python) -m service migrate

bench: venv ## benchmarks, printed as ratios (ARGS names one)
	@$(python) -m bench $(ARGS)

test-sdk: venv ## the public client libraries of other languages (needs node and npm)
	@$(python) -m pytest -m sdk $(ARGS)

check-deploy: ## render and check the deployment files, build and try the image (says what it needs)
	@deploy/check
	@deploy/check-image

clean: ## remove the virtual environment, caches and the data of `make run`
	@# for root, .data/postgres is a link: its server may not run as root, so its data lies outside
	@[ ! -d .data ] || find .data -type l | while read -r link; do target=$$(readlink "$$link"); \
		case $$target in /var/lib/image-gateway-dev/?*) rm -rf "$$target";; esac; done
	rm -rf .venv .data .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -path ./.git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

venv:
	@dev/venv
