# Short names for what is done often. `make` alone lists them. ARGS are handed on: `make up ARGS="--port 0"`.

CRASHCART ?= cargo run --release --
ARGS ?=

.PHONY: help up seed test demo bench bench-engines bench-growth crash crash-images replays fuzz lab-statistics coverage contract test-engines engines-up engines-down engines-status engines-crash tidy docs ci hooks

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

up: ## the whole system, until Ctrl-C
	$(CRASHCART) up $(ARGS)

seed: ## fill the running system with the data set
	$(CRASHCART) seed $(ARGS)

test: ## everything that needs no engine
	cargo test --workspace

demo: ## the main job, by itself
	$(CRASHCART) demo $(ARGS)

bench: ## figures for docs/benchmarks.md
	cargo build --release
	cargo xtask bench
	cargo bench -p platform --bench bus
	cargo bench -p platform --bench schema
	cargo bench -p platform --bench floor
	cargo bench -p platform --bench outbox
	cargo bench -p inventory --bench reserve

bench-engines: ## the same checkouts on the embedded stores and on the real engines
	cargo build --release --features engines
	cargo xtask bench engines

bench-growth: ## what an order costs among a million others, and a start; ORDERS=100000 for fewer
	cargo build --release
	cargo xtask bench growth $${ORDERS:-1000000}

crash: ## a hundred kills of the running system, nothing acknowledged lost
	cargo build --release --locked
	data=$$(mktemp -d) && ./target/release/crashcart crash --kills $${KILLS:-100} --data "$$data/crash" && rm -rf "$$data"

crash-images: ## 100,000 power cuts under both stores; CRASH_IMAGES=1000 FIRST_SEED=7 for others
	cargo test --release --locked -p crash-images --test images -- --ignored --nocapture

replays: ## a million requests said again while services die; REPLAYS=20000 for less
	cargo test --release --locked -p system-tests --test replays -- --ignored --nocapture

fuzz: ## ten minutes of each fuzz target (nightly, cargo-fuzz); FUZZ_SECONDS=60 for less
	for target in $${FUZZ_TARGETS:-avro log bodies callbacks graphql settings}; do \
		mkdir -p fuzz/found/$$target && cargo +nightly fuzz run -s none --codegen-units 16 $$target fuzz/found/$$target fuzz/corpus/$$target -- \
			-max_total_time=$${FUZZ_SECONDS:-600} -max_len=4096 -timeout=20 -rss_limit_mb=2048 || exit 1; done

lab-statistics: ## 500 seeds of every scenario against its model; LAB_SMALL_SEEDS=100 for less
	cargo test --release --locked -p crashcart --test statistics -- --ignored --nocapture

coverage: ## the lines of each service that its own tests run, 70 % or more (cargo-llvm-cov)
	cargo xtask coverage

contract: ## generated requests over every API document (schemathesis; ten minutes at most)
	.ci/contract

test-engines: ## the ports and seven services over the real engines, started for it
	.ci/engines $(ARGS)

engines-up: ## the real engines from packages, on free ports; ARGS="--only redis,kafka" for some
	@cargo xtask engines up $(ARGS)

engines-down: ## stops the engines that were started so, and takes their data away
	@cargo xtask engines down $(ARGS)

engines-status: ## which engines are up, where, and whether they answer
	@cargo xtask engines status $(ARGS)

engines-crash: ## kills engines and starts each again over its data; ARGS="--only kafka" for some
	@cargo xtask engines crash $(ARGS)

tidy: ## the order of the house
	cargo xtask tidy

docs: ## the documents that are made from the code
	cargo run -- api export --to docs/api

ci: ## what the pipeline runs
	.ci/run

hooks: ## a pre-commit hook that tests what changed
	git config core.hooksPath .githooks
