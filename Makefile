# Linux only. `make demo` and `make test` work in a fresh clone on a Debian-like machine with Go, git and root.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

export CGO_ENABLED := 0
# AWS's own clients, unmodified, that setup installs.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: build setup demo test check bench crash guest fuzz clean

build: ## bin/artesian
	go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)" -o bin/artesian ./cmd/artesian

setup: ## install what demo and tests need and the machine does not have
	scripts/setup

demo: setup build ## the whole way, from an upload to zero instances and the bill; stops by itself
	scripts/demo

test: setup ## every test that can run here
	go test -timeout 20m ./...
	cd examples/thumbnail && go test ./...
	cd ../word-statistics && python3 -B -m unittest -q
	cd ../markdown-html && npm ci --no-audit --no-fund --loglevel error && node --test
	cd ../csv-invoice && mvn -q -B test

check: ## format, vet, staticcheck, generated files, import rules, modules
	scripts/check $(STATICCHECK)

bench: setup build ## every number beside its floor or peer, in the same run; the table goes to bench/results. RUN=cold: sections that match
	scripts/peers/install
	go build -trimpath -o bin/bench ./internal/app/bench
	bin/bench -artesian bin/artesian -run '$(RUN)' -results '$(if $(RUN),,bench/results)'

crash: setup ## kill -9 in a loop while functions are created and updated
	ARTESIAN_CRASH_ROUNDS=10 go test -run 'Crash|Kill' -count 3 -timeout 20m ./internal/...

guest: setup ## isolation on cgroup v2, a delegated subtree and pure v1, in a virtual machine
	scripts/guest

fuzz: ## every fuzz target, 20 seconds each
	scripts/fuzz 20s

clean:
	rm -rf bin .venv .npm-clients .peers .demo
