# `make demo` shows it, `make test` proves it; both set up what they need, see deploy/set-up.
.PHONY: demo test secrets lab soak deb packages truth month check format bench golden

# Set in some images of containers: then each start of a program compiles it anew.
unexport PYTHONDONTWRITEBYTECODE

FOR ?=
TARGETS ?=

demo:
	@deploy/set-up demo
	@.venv/bin/fibrewatch demo $(if $(FOR),--for $(FOR)) $(foreach target,$(TARGETS),--target $(target))

# While mypy keeps one core busy, another compiles programs and tests, once for all the processes that load them.
test:
	@deploy/set-up test
	@(.venv/bin/python -m compileall -q core agent collector tests; \
		.venv/bin/python -m pytest --collect-only -qq >/dev/null 2>&1) & \
		$(MAKE) --no-print-directory check || exit 1; wait
	@tests/run

# All that the virtual machine is for, of which `make test` runs a short part; some lines' truth is told in full here.
SHORT = tests/lab/test_truth.py::test_what_probes_say_of_lines_of_known_truth
lab:
	@deploy/set-up test
	@tests/run -q -n 2 --dist worksteal -m "not alone" --deselect $(SHORT) tests/lab
	@tests/run -q -m alone tests/lab

# `make test`, and no secret of it may be seen by others: in command lines, environments, logs, /metrics, answers.
secrets:
	@deploy/set-up test
	@SECRETS_SCAN=1 tests/run

# Long repetitions: the same faults with more seeds, more boxes, more minutes than `make test` has time for.
soak:
	@deploy/set-up test
	@deploy/set-up soak
	@tests/run -q -m soak tests

# The Debian packages, into dist/.
deb:
	@deploy/set-up packages
	@.venv/bin/python deploy/debian/build.py

# The packages in fresh Debian trees, and under a systemd of their own; as root.
packages:
	@deploy/set-up packages
	@.venv/bin/python -m pytest -q -m packages tests/packages

# docs/truth.md: every probe against lines whose truth is known, measured anew on this machine.
truth:
	@deploy/set-up test
	@tests/run --python -m tests.lab.truth

# docs/month.md: a month of fifty sites in virtual time, and what its tests can prove (some minutes).
month:
	@deploy/set-up test
	@.venv/bin/python -m benchmarks.month

check:
	@deploy/set-up test
	@.venv/bin/ruff check --quiet .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy

format:
	@.venv/bin/ruff check --quiet --fix .
	@.venv/bin/ruff format --quiet .

# The figures in README.md, measured anew on this machine (about fifty minutes).
bench:
	@deploy/set-up test
	@deploy/set-up bench
	@.venv/bin/python -m benchmarks.ingest
	@.venv/bin/python -m benchmarks.scrape
	@.venv/bin/python -m benchmarks.queries
	@.venv/bin/python -m benchmarks.rules
	-@.venv/bin/python -m benchmarks.footprint
	-@.venv/bin/python -m benchmarks.resident
	@.venv/bin/python -m benchmarks.latency
	@.venv/bin/python -m benchmarks.early_stop
	@.venv/bin/python -m benchmarks.throughput
	@.venv/bin/python -m benchmarks.table

# A month of fifty sites through the real ingest, and its reports: an hour and 5 GB. DAYS=3 writes three days and copies the rest.
DAYS ?= 30
.PHONY: bench-report
bench-report:
	@deploy/set-up test
	@.venv/bin/python -m benchmarks.report --days $(DAYS)

# Generated files that tests hold current.
golden:
	@.venv/bin/python -m fibrewatch.schema docs/schema
	@.venv/bin/python -m tests.wire.make_golden
	@.venv/bin/python -m fibrewatch_agent.responder.openapi > docs/responder.openapi.json
	@.venv/bin/python -m fibrewatch_collector.metrics_page > docs/metrics.md
	@.venv/bin/python -m grafana
	@.venv/bin/fibrewatch rules --engine prometheus --out grafana/rules/prometheus >/dev/null
	@.venv/bin/fibrewatch rules --engine grafana --out grafana/rules/grafana >/dev/null
	@mv grafana/rules/grafana/fibrewatch-alerts.yaml grafana/provisioning/alerting/
