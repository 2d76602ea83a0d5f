# Everything a person or a CI machine types. Needs Rust, Python 3.11 or newer with pip, and make.

CARGO ?= cargo
PYTHON ?= $(shell command -v python3.11 || command -v python3)
TARGET := $(or $(CARGO_TARGET_DIR),target)
VENV := target/venv
PY_VENV := target/venv-py
PY_ALL_VENV := target/venv-py-all
OPERATIONS_VENV := target/venv-operations
BENCH_VENV := target/venv-bench
PEERS_VENV := target/venv-peers
SAMPLES := tests/samples

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST) | awk -F': ' '{ printf "make %-9s %s\n", $$1, $$2 }'

.PHONY: setup
setup: ## Bring ONNX Runtime's library into target/ (the other targets do this by themselves)
	@$(PYTHON) scripts/setup.py

.PHONY: demo
demo: setup ## Transcribe recordings with the embedded model
	@$(CARGO) build --release --locked -p gigastt-sidecar
	@echo
	@echo 'The voice is synthesised speech; the model is a small one for demonstrations, which understands'
	@echo 'such speech and does not understand recordings of people. What was spoken in each recording:'
	@echo
	@$(TARGET)/release/gigastt transcribe $(addprefix $(SAMPLES)/sample_,00.wav 01.wav 04.wav 08.wav)

.PHONY: build
build: setup ## Build the command line, optimised, in target/release
	$(CARGO) build --release --locked -p gigastt-sidecar

.PHONY: test
test: lint test-rust test-c test-python test-py ## Check style and run the tests

.PHONY: test-all
test-all: test test-c-long test-operations test-demo test-long test-mutations test-py-all test-training test-bench ## Run all tests: the demo, a browser, recordings of hours, valgrind, mutations, the Python adapters too

.PHONY: lint
lint: setup
	$(CARGO) fmt --all --check
	$(PYTHON) scripts/mutate --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) metadata --locked --format-version 1 --manifest-path gigastt-ffi/fuzz/Cargo.toml >/dev/null
	$(CARGO) clippy --locked -p gigastt-core --no-default-features -- -D warnings
	$(CARGO) clippy --locked -p gigastt-py --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --quiet

.PHONY: test-rust
test-rust: setup
	$(CARGO) test --locked

.PHONY: test-python
test-python: setup $(VENV)/ready
	$(CARGO) build --locked -p gigastt-sidecar
	GIGASTT=$(TARGET)/debug/gigastt $(VENV)/bin/python -m pytest -p no:cacheprovider tests/python --ignore tests/python/operations --ignore tests/python/training

# The page in a browser, and what an operator runs.
.PHONY: test-operations
test-operations: setup $(VENV)/ready $(OPERATIONS_VENV)/ready
	scripts/debian-packages chromium nginx openssl ffmpeg curl buildah debootstrap
	command -v promtool >/dev/null || scripts/debian-packages prometheus
	$(CARGO) build --locked -p gigastt-sidecar --features scripted
	cp $(TARGET)/debug/gigastt $(TARGET)/debug/gigastt-scripted
	$(CARGO) build --locked -p gigastt-sidecar
	GIGASTT=$(TARGET)/debug/gigastt GIGASTT_SCRIPTED=$(TARGET)/debug/gigastt-scripted OPERATIONS_VENV=$(OPERATIONS_VENV) $(VENV)/bin/python -m pytest -p no:cacheprovider tests/python/operations

WORLDS_SECS ?= 600

.PHONY: soak-worlds
soak-worlds: setup ## Run random worlds of streams for ten minutes, or WORLDS_SECS, and check all promises in each
	GIGASTT_SOAK_SECONDS=$(WORLDS_SECS) $(CARGO) test --locked -p gigastt-core --features fake-model --lib \
		simulator -- --nocapture

.PHONY: soak
soak: soak-worlds $(VENV)/ready ## That, then let clients of every kind come and go for an hour, or GIGASTT_SOAK_SECS
	$(CARGO) build --release --locked -p gigastt-sidecar
	GIGASTT=$(TARGET)/release/gigastt GIGASTT_SOAK_SECS=$${GIGASTT_SOAK_SECS:-3600} \
		$(VENV)/bin/python -m pytest -p no:cacheprovider tests/python/operations/test_endurance.py -k soak

# The Python package, built without optimisation, installed and tested as its users have it.
.PHONY: test-py
test-py: $(PY_VENV)/ready
	rm -rf target/wheels/dev
	$(PY_VENV)/bin/maturin build --quiet --profile dev --locked --features scripted -m gigastt-py/Cargo.toml -o target/wheels/dev
	$(PYTHON) -m pip --python $(PY_VENV)/bin/python install --quiet --force-reinstall --no-deps target/wheels/dev/*.whl
	cd gigastt-py && ../$(PY_VENV)/bin/python -m pytest -p no:cacheprovider --cov --cov-report=term-missing:skip-covered --cov-fail-under=95 tests --ignore tests/extras

.PHONY: test-c
test-c: setup $(VENV)/ready
	PREFIX=$(TARGET)/ffi PROFILE=dev scripts/install
	GIGASTT_PREFIX=$(TARGET)/ffi $(VENV)/bin/python -m pytest -p no:cacheprovider tests/c --ignore tests/c/long

# What needs Debian's tools or takes long: memory checkers, other build systems, the interface's reference.
.PHONY: test-c-long
test-c-long: setup $(VENV)/ready $(PEERS_VENV)/ready
	scripts/debian-packages valgrind cmake pkg-config clang
	command -v abidiff >/dev/null || scripts/debian-packages abigail-tools
	PREFIX=$(TARGET)/ffi PROFILE=dev scripts/install
	scripts/sanitize address
	scripts/sanitize thread
	GIGASTT_PREFIX=$(TARGET)/ffi GIGASTT_SANITIZED=$(TARGET)/sanitize-address/lib PEERS_VENV=$(PEERS_VENV) \
		$(VENV)/bin/python -m pytest -p no:cacheprovider tests/c/long
	scripts/fuzz 60

# The same with Ray, LiveKit Agents and Pipecat, with pyright, with tests side by side, and the wheels.
.PHONY: test-py-all
test-py-all: test-py $(PY_ALL_VENV)/ready wheel
	$(PY_VENV)/bin/python -m pytest -p no:cacheprovider --parallel-threads 4 $(addprefix gigastt-py/tests/test_, \
		asyncio.py errors.py results.py samples.py stream.py transcribe.py)
	$(PYTHON) -m pip --python $(PY_ALL_VENV)/bin/python install --quiet --force-reinstall --no-deps target/wheels/dev/*.whl
	cd gigastt-py && ../$(PY_ALL_VENV)/bin/python -m pytest -p no:cacheprovider -o filterwarnings=default tests/extras \
		--cov --cov-config=tests/extras/coverage.toml --cov-report=term-missing:skip-covered --cov-fail-under=95
	cd gigastt-py && ../$(PY_ALL_VENV)/bin/python -m pyright --pythonpath ../$(PY_ALL_VENV)/bin/python

.PHONY: test-demo
test-demo: setup
	scripts/check-demo

.PHONY: test-long
test-long: setup $(VENV)/ready
	scripts/debian-packages ffmpeg espeak-ng
	$(VENV)/bin/python tests/bench/make_dialogues.py target/dialogues --dialogues 90
	GIGASTT_DIALOGUES=$(CURDIR)/target/dialogues $(CARGO) test --release --locked -p gigastt-sidecar \
		--features long-tests --test cli -- long:: dialogues:: --nocapture

.PHONY: test-mutations
test-mutations: setup ## Put faults into a copy of the sources and see the tests find them
	@$(PYTHON) scripts/mutate

# Debian's PyTorch runs on the processor alone, with OpenBLAS 20 times faster than with the BLAS that it asks for. The
# one on PyPI brings gigabytes of CUDA on Linux.
TRAINING := gigastt-core/models/training
TRAINING_PYTHON ?= /usr/bin/python3
TRAINED := target/training
STEPS ?= 2000
TRAIN ?= --ranks $$(nproc)

.PHONY: train-embedded
train-embedded: setup $(VENV)/ready ## Train the embedded model anew in target/training, for an hour or more; SMOKE=1: test that it can be
	scripts/debian-packages espeak-ng
	command -v festival >/dev/null || scripts/debian-packages festival festvox-ru
	$(TRAINING_PYTHON) -c 'import torch, onnx' 2>/dev/null || \
		scripts/debian-packages python3-torch python3-onnx libopenblas0-pthread
ifdef SMOKE
	$(CARGO) build --locked -p gigastt-sidecar
	GIGASTT=$(TARGET)/debug/gigastt TRAINING_PYTHON=$(TRAINING_PYTHON) \
		$(VENV)/bin/python -m pytest -p no:cacheprovider tests/python/training
else
	$(CARGO) build --release --locked -p gigastt-sidecar
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(TRAINING_PYTHON) $(TRAINING)/train.py \
		--folder $(TRAINED) --steps $(STEPS) $(TRAIN)
	$(TRAINING_PYTHON) $(TRAINING)/export.py $(TRAINED)/checkpoint.pt $(TRAINED)/model
	$(TRAINING_PYTHON) $(TRAINING)/evaluate.py $(TRAINED)/held-out $(TARGET)/release/gigastt embedded $(TRAINED)/model
endif

.PHONY: test-training
test-training:
	@$(MAKE) train-embedded SMOKE=1

.PHONY: wheel
wheel: $(PY_VENV)/ready ## Build the Python wheel in target/wheels, and on Linux one for manylinux_2_28
	rm -rf target/wheels/*.whl target/wheels/manylinux
	$(PY_VENV)/bin/maturin build --release --locked -m gigastt-py/Cargo.toml -o target/wheels
	$(PYTHON) scripts/check_wheel.py target/wheels/*.whl
ifeq ($(shell uname -s),Linux)
	$(PYTHON) -m pip --python $(PY_VENV)/bin/python install --quiet ziglang==0.17.1
	PATH=$(CURDIR)/$(PY_VENV)/bin:$$PATH $(PY_VENV)/bin/maturin build --release --locked --zig \
		--compatibility manylinux_2_28 -m gigastt-py/Cargo.toml -o target/wheels/manylinux
	$(PYTHON) scripts/check_wheel.py target/wheels/manylinux/*.whl
endif

.PHONY: bench-py
bench-py: build $(PY_VENV)/ready ## Measure the Python package
	rm -rf target/wheels/bench
	$(PY_VENV)/bin/maturin build --release --locked -m gigastt-py/Cargo.toml -o target/wheels/bench
	$(PYTHON) -m pip --python $(PY_VENV)/bin/python install --quiet --force-reinstall --no-deps target/wheels/bench/*.whl
	$(PY_VENV)/bin/python gigastt-py/benchmarks/bench.py --cli $(TARGET)/release/gigastt

# What the comparison needs: the program, the C library with a program over it, the Python package, the peers.
BENCH := $(BENCH_VENV)/bin/python tests/bench/bench.py
BENCH_CC := $(CC) -O2 -std=c99 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Werror tests/bench/children/gigastt_file.c
.PHONY: bench-setup
bench-setup: build $(BENCH_VENV)/ready $(PY_VENV)/ready
	PREFIX=target/bench/ffi PROFILE=release scripts/install
	$(BENCH_CC) -o target/bench/gigastt_file -Itarget/bench/ffi/include -Ltarget/bench/ffi/lib -lgigastt \
		-Wl,-rpath,$(CURDIR)/target/bench/ffi/lib
	rm -rf target/wheels/bench
	$(PY_VENV)/bin/maturin build --quiet --release --locked -m gigastt-py/Cargo.toml -o target/wheels/bench
	$(PYTHON) -m pip --python $(BENCH_VENV)/bin/python install --quiet --force-reinstall --no-deps target/wheels/bench/*.whl

.PHONY: bench
bench: bench-setup ## Compare with the peers and write docs/benchmarks.md (40 minutes; leave the machine alone)
	$(BENCH) $(TARGET)/release/gigastt target/bench/gigastt_file

.PHONY: bench-quick
bench-quick: bench-setup ## The same in some minutes, less sure
	$(BENCH) $(TARGET)/release/gigastt target/bench/gigastt_file --quick

.PHONY: bench-compare
bench-compare: $(BENCH_VENV)/ready ## Compare the last two results of make bench
	$(BENCH_VENV)/bin/python tests/bench/compare.py

# That the comparison runs and writes its page, with what the other tests have built.
.PHONY: test-bench
test-bench: setup $(BENCH_VENV)/ready $(PY_VENV)/ready
	$(CARGO) build --locked -p gigastt-sidecar
	PREFIX=$(TARGET)/ffi PROFILE=dev scripts/install
	rm -rf target/bench/page target/wheels/bench
	mkdir -p target/bench
	$(BENCH_CC) -o target/bench/gigastt_file_dev -I$(TARGET)/ffi/include -L$(TARGET)/ffi/lib -lgigastt \
		-Wl,-rpath,$(abspath $(TARGET)/ffi/lib)
	$(PY_VENV)/bin/maturin build --quiet --profile dev --locked --features scripted -m gigastt-py/Cargo.toml -o target/wheels/bench
	$(PYTHON) -m pip --python $(BENCH_VENV)/bin/python install --quiet --force-reinstall --no-deps target/wheels/bench/*.whl
	$(BENCH) $(TARGET)/debug/gigastt target/bench/gigastt_file_dev --smoke --out target/bench/page
	$(BENCH_VENV)/bin/python -m pytest -p no:cacheprovider tests/bench

.PHONY: bench-parts
bench-parts: setup ## Measure the parts: resampling, log-mel, decoding
	$(CARGO) bench --locked -p gigastt-core --features fake-model --bench '*'

.PHONY: install
install: setup ## Install libgigastt under PREFIX (default /usr/local; also DESTDIR, PROFILE, RUNTIME)
	@scripts/install

.PHONY: header
header: ## Write include/gigastt.h from the sources
	@GIGASTT_WRITE_HEADER=1 $(CARGO) test --locked --quiet -p gigastt-ffi --test header

.PHONY: dist
dist: setup ## Make a tarball of the installed libgigastt in target/
	@scripts/dist

.PHONY: fuzz
fuzz: ## Fuzz sequences of C calls for an hour
	scripts/fuzz 3600

.PHONY: abi
abi: $(VENV)/ready ## Write down the C interface, for abidiff
	@GIGASTT_WRITE_ABI=1 $(VENV)/bin/python -m pytest -q -p no:cacheprovider tests/c/long/test_projects.py -k reference

.PHONY: fmt
fmt: ## Format the sources
	$(CARGO) fmt --all

.PHONY: clean
clean: ## Delete everything that was built or brought
	$(CARGO) clean
	rm -rf target

# The Python reference implementation, and what builds and tests the Python package, in environments of
# their own. Without ensurepip, which some systems lack: the pip that is there installs into them.
$(VENV)/ready: tests/python/requirements.txt
$(PY_VENV)/ready: gigastt-py/tests/requirements.txt
$(PY_ALL_VENV)/ready: gigastt-py/tests/extras/requirements.txt
$(OPERATIONS_VENV)/ready: tests/python/operations/requirements.txt
$(BENCH_VENV)/ready: tests/bench/requirements.txt
$(PEERS_VENV)/ready: tests/c/peers/requirements.txt
$(VENV)/ready $(PY_VENV)/ready $(PY_ALL_VENV)/ready $(OPERATIONS_VENV)/ready $(BENCH_VENV)/ready $(PEERS_VENV)/ready:
	rm -rf $(@D)
	$(PYTHON) -m venv --without-pip $(@D)
	$(PYTHON) -m pip --python $(@D)/bin/python install --quiet --requirement $<
	touch $@
