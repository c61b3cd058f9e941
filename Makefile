# Two commands do all the set-up: `make run` builds and starts the broker, `make test` runs everything CI runs.
# The first build compiles RocksDB and wasmtime: about half an hour on two cores. Later ones take up to two minutes.

SHELL := /bin/sh
export PATH := $(HOME)/.cargo/bin:$(PATH)
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: run build test check campaign interop bench clean help

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: build ## build and start the broker: data in ./data, OpenWire on 61616, STOMP on 61613
	$(TARGET)/release/jackfield serve

build: ## build the program
	@./setup.sh
	cargo build --locked --release -p jackfield

check: ## formatting and lints
	cargo fmt --all --check
	cargo clippy --locked --release --workspace --all-targets -- -D warnings

test: ## everything CI runs
	@./setup.sh test
	tests/run.sh

interop: build ## the real clients against this broker
	@./setup.sh test
	tests/interop/against-jackfield.sh $(TARGET)/release/jackfield

campaign: build ## the long campaigns: kills, power cuts, seeds, fuzz
	@./setup.sh test
	tests/campaign.sh $(TARGET)/release/jackfield

bench: build ## side by side with a real ActiveMQ
	@./setup.sh test
	JACKFIELD=$(TARGET)/release/jackfield tests/bench/compare.sh

clean: ## remove what was built
	cargo clean
