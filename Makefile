# Short names for what is done often. `make` alone lists them.

.PHONY: help up seed test demo bench crash lab-statistics tidy docs ci hooks

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

up: ## the whole system, until Ctrl-C
	cargo run --release -- up

seed: ## fill the running system with the data set
	cargo run --release -- seed

test: ## everything that needs no engine
	cargo test --workspace

demo: ## the main job, by itself
	cargo run --release -- demo

bench: ## figures for docs/benchmarks.md
	cargo build --release
	cargo xtask bench
	cargo bench -p platform --bench bus
	cargo bench -p platform --bench schema
	cargo bench -p inventory --bench reserve

crash: ## a hundred kills of the running system, nothing acknowledged lost
	cargo build --release --locked
	data=$$(mktemp -d) && ./target/release/crashcart crash --kills $${KILLS:-100} --data "$$data/crash" && rm -rf "$$data"

lab-statistics: ## 200 seeds of oversell against the reference model
	cargo test --release -p system-tests --test statistics -- --ignored --nocapture

tidy: ## the order of the house
	cargo xtask tidy

docs: ## the documents that are made from the code
	cargo run -- api export --to docs/api

ci: ## what the pipeline runs
	.ci/run

hooks: ## a pre-commit hook that tests what changed
	git config core.hooksPath .githooks
