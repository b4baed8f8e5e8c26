# One configuration for everything that runs: release. `make core` leaves out what needs heavy
# libraries (Admin, apus) and builds and tests the rest quickly.

SWIFT ?= swift
CORE = APUS_CORE=1 $(SWIFT)
SWIFT_FILES = Package.swift Sources Tests Perf

.DEFAULT_GOAL := test
.PHONY: run test conformance core deps format lint docs fuzz sanitize bench bench-check \
	bench-baselines clients mutants simulate soak

run: deps ## serve on loopback; ARGS="…" are passed on
	$(SWIFT) run -c release apus serve $(ARGS)

test: deps ## every test; FILTER=Name for some
	$(SWIFT) build -c release --build-tests
	$(SWIFT) test -c release --skip-build $(if $(FILTER),--filter $(FILTER))

core: deps ## everything up to Broker, without heavy libraries
	$(CORE) build -c release --build-tests --build-path .build-core
	$(CORE) test -c release --skip-build --build-path .build-core $(if $(FILTER),--filter $(FILTER))

deps:
	@Packaging/install-deps.sh

format:
	$(SWIFT) format format --in-place --parallel --recursive $(SWIFT_FILES)

lint:
	$(SWIFT) format lint --strict --parallel --recursive $(SWIFT_FILES)

docs: ## writes the generated pages (Docs/CONFORMANCE.md, Docs/CONFIGURATION.md)
	APUS_CORE=1 $(SWIFT) build -c release --build-tests --build-path .build-core
	APUS_WRITE_DOCS=1 $(CORE) test -c release --skip-build --build-path .build-core \
		--filter 'Tidy|OptionTests'

fuzz: ## TARGET=name [SEED=n]
	$(CORE) run -c release --build-path .build-core fuzz $(TARGET) $(SEED)

sanitize: ## AddressSanitizer, then ThreadSanitizer, over everything up to Broker
	ASAN_OPTIONS=detect_leaks=0 $(CORE) test --sanitize=address --build-path .build-address \
		$(if $(FILTER),--filter $(FILTER))
	$(CORE) test --sanitize=thread --build-path .build-thread $(if $(FILTER),--filter $(FILTER))

conformance: ## every statement on both pollers, and on ranges that lose and delay
	$(CORE) build -c release --build-tests --build-path .build-core
	APUS_CONFORMANCE_HOSTS=epoll,uring,faulty $(CORE) test -c release --skip-build \
		--build-path .build-core --filter Conformance

BENCH = $(CORE) run -c release --build-path .build-core apus-bench

bench: ## [SCENARIO=name]: time, allocations and references of single operations
	$(BENCH) $(SCENARIO)

bench-check: ## fails above a ceiling of Perf/Baselines/micro.txt: instructions, mallocs, references
	$(BENCH) check

bench-baselines: ## writes what is measured as the new ceilings
	$(BENCH) baselines

simulate: ## [SEED=n]
	$(CORE) run -c release --build-path .build-core simulate $(SEED)

clients: ## other people's MQTT clients against apus
	Packaging/install-deps.sh --clients
	$(SWIFT) build -c release --product apus
	Tests/Conformance/clients.sh

mutants: ## each single mutation must be caught by a test
	Tests/Mutants/run.sh $(ARGS)

soak: ## the oracle of mqload against apus, several seeds
	$(SWIFT) build -c release --product apus
	Tests/Conformance/soak.sh $(ARGS)
