# The few commands a person types. What they do is in infra/local and infra/checks.

PYTHON ?= python3
# Ports of the local stack, where the usual ones are taken: make run PORT=5566 HQ_PORT=5567
PORTS = $(if $(PORT),--port $(PORT)) $(if $(HQ_PORT),--hq-port $(HQ_PORT))
LOCAL = $(PYTHON) infra/local/stack.py $(PORTS)

.DEFAULT_GOAL := help
.PHONY: help run replay reset stop logs token test fuzz bench simulate mutants check build deploy events invoke

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## everything on this machine from nothing, with a real day's sales through it
	@$(LOCAL) run

replay: ## another day: FILE=day.csv [SPEED=max, or a multiple of the day's pace]
	@$(if $(FILE),,$(error make replay needs a file: make replay FILE=tests/data/online-retail/2011-12-05.csv))$(LOCAL) replay --speed $(or $(SPEED),max) '$(FILE)'

reset: ## the stack up, deployed and empty
	@$(LOCAL) reset

stop: ## stop the stack
	@$(LOCAL) stop

logs: ## what the functions logged: [LINES=200] [FOLLOW=1]
	@$(LOCAL) logs $(if $(LINES),--lines $(LINES)) $(if $(FOLLOW),--follow)

token: ## only a token: [TENANT=demo] [ROLE=store_manager] [STORES=a,b or *] [REGISTER=r-1]
	@$(LOCAL) token --tenant '$(or $(TENANT),demo)' --role '$(or $(ROLE),store_manager)' --stores '$(or $(STORES),*)' $(if $(REGISTER),--register '$(REGISTER)')

# Property tests draw the same inputs each time here: what fails is then the change that is tested.
test: ## every test; the end-to-end ones start stacks of their own: [SCENARIOS=all, or "killed hq"] [PROPTEST_RNG_SEED=1]
	PROPTEST_RNG_SEED=$(or $(PROPTEST_RNG_SEED),1) cargo test --workspace --locked
	$(PYTHON) infra/local/prerequisites.py -m unittest discover --start-directory infra/local
	$(PYTHON) -m unittest discover --start-directory infra/bench
	$(PYTHON) -m unittest discover --start-directory infra/mutants
	$(PYTHON) -m unittest discover --start-directory infra/fuzz
	$(PYTHON) infra/local/end_to_end.py $(SCENARIOS)

fuzz: ## the fuzzing tests from new seeds, round after round: [MINUTES=10] [CASES=1000] [SEED=7: one round, that one]
	$(PYTHON) infra/fuzz/fuzz.py --minutes $(or $(MINUTES),10) --cases $(or $(CASES),1000) $(if $(SEED),--seed $(SEED))

bench: ## every benchmark: each figure into target/bench, and the table in README.md
	cargo bench --package tillstream-tests --benches --locked
	cargo build --release --locked --workspace --exclude tillstream-testkit --bins
	$(PYTHON) infra/bench/cold_start.py
	cargo build --release --locked --package tillstream-testkit --bin simulator
	$(PYTHON) infra/bench/simulator_speed.py
	$(PYTHON) infra/bench/cost.py
	$(PYTHON) infra/bench/readme_table.py

simulate: ## tills, functions and faults by chance, on virtual time: [SEEDS=100] [FROM=1] [COMMANDS=1000] [PLANNED=1000] [BUG=StockUnchecked] [TELL=1]
	cargo run --locked --release --package tillstream-testkit --bin simulator -- --seeds $(or $(SEEDS),100) --from $(or $(FROM),1) $(if $(COMMANDS),--commands $(COMMANDS)) $(if $(PLANNED),--planned $(PLANNED)) $(if $(BUG),--bug $(BUG)) $(if $(TELL),--tell)

mutants: ## which changes of rules and use cases no test notices: [MINUTES=60] [FILES=shared/app/src/stock]
	$(PYTHON) infra/mutants/measure.py --minutes $(or $(MINUTES),60) --files '$(FILES)'

check: ## formatting, lints, templates, licences and advisories
	@$(PYTHON) infra/checks/check.py

# Lambda's Linux is older than most: cargo-lambda links against its libc, for either architecture.
# arm64 is cheaper to run, but needs that Rust target: rustup target add aarch64-unknown-linux-gnu
ARCH ?= $(if $(filter aarch64 arm64,$(shell uname -m)),arm64,x86_64)

build: ## the functions for Lambda: [ARCH=arm64 or x86_64]
	@$(PYTHON) infra/lambda/functions.py build --architecture $(ARCH)

deploy: ## build and deploy to AWS: STAGE=dev [ARCH=…]; needs AWS credentials
	@$(PYTHON) infra/lambda/functions.py deploy --architecture $(ARCH) --stage '$(or $(STAGE),dev)'

events: ## every sample event through its function, on the running stack
	@$(PYTHON) infra/lambda/functions.py invoke-all

invoke: ## one function, by hand: FN=sales-aggregator EVENT=events/….json
	@$(if $(and $(FN),$(EVENT)),,$(error make invoke needs a function and an event: make invoke FN=sales-aggregator EVENT=events/….json))$(PYTHON) infra/lambda/functions.py invoke '$(FN)' '$(EVENT)'
