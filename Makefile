# theazo: build, install, test. `make help` lists the targets.
#
# Targets that only run scripts work before the server's development package is
# there (make deps installs it), so PGXS is included for the build goals only.

EXTVERSION = 0.1.0
EXTENSION = theazo
MODULE_big = theazo
PG_CONFIG ?= pg_config
# Bitcode would need the matching clang and doubles the build time for nothing we use.
override with_llvm = no

# ---------------------------------------------------------------------------
# What the extension is made of
# ---------------------------------------------------------------------------
# src/sandbox/init and src/runner/helper are not linked into the server: PID 1 of a sandbox and what runs agents' code
# are static programs of their own.
MODULE_DIRS = lib safety http adapter sandbox runner pg gate effect vault auth audit stream call gateway worker
SRCS = $(sort $(wildcard src/theazo.c $(MODULE_DIRS:%=src/%/*.c)))
OBJS = $(SRCS:.c=.o)
# Plain C without the server: what unit tests and fuzzers link.
PLAIN_SRCS = $(sort $(wildcard src/lib/*.c src/safety/*.c src/http/*.c src/adapter/*.c src/sandbox/*.c src/runner/*.c) \
	$(filter-out src/verify/main.c,$(wildcard src/verify/*.c)) \
	$(addprefix src/worker/,script.c script_call.c script_fetch.c script_outcome.c))
INIT_SRCS = $(sort $(wildcard src/sandbox/init/*.c) src/sandbox/wire.c src/lib/seccomp.c)
INIT = theazo-init
# Runs agents' code. The engine in it is fetched and compiled once, see src/runner/engine.
# RUNNER_ENGINE=jsc takes JavaScriptCore of the system instead, for machines without access to npm.
RUNNER_ENGINE ?= quickjs
RUNNER_SRCS = $(sort $(wildcard src/runner/helper/*.c src/runner/helper/$(RUNNER_ENGINE)/*.c) src/runner/frame.c src/lib/seccomp.c)
ifeq ($(RUNNER_ENGINE),jsc)
RUNNER_LINK = -pie -Wl,-z,now -DJSC_VERSION='"$(shell pkg-config --modversion javascriptcoregtk-4.1)"' \
	$(shell pkg-config --cflags --libs javascriptcoregtk-4.1)
else
RUNNER_ENGINE_OBJ = .build/engine/qjs.o
RUNNER_LINK = -static-pie
endif
RUNNER = theazo-runner
# The auditor's program: checks exports where no server runs.
VERIFY_SRCS = $(sort $(wildcard src/verify/*.c) \
	$(addprefix src/lib/,anchor.c buf.c checkpoint.c entry.c json.c merkle.c sign.c status.c tsa.c utf8.c))
VERIFY = theazo-verify

# What the content filter's weights are learnt from, and the program that learns. Only `make weights` and lint run it.
TRAIN_SRCS = $(sort $(wildcard src/safety/model/train*.c)) \
	$(addprefix src/safety/,features.c fold.c lexicon.c model.c rules.c score.c words.c) src/lib/buf.c src/lib/status.c
TRAIN_TEXTS = $(sort $(wildcard src/safety/model/*.tsv)) test/safety/corpus.tsv
TRAIN = .build/train

# The REST face: operations by hand, routes and the functions of theazo_api out of sql/rest/routes.tsv.
REST_ROUTES = .build/rest/routes.sql
# In the order in which they build on each other.
REST_SQL = $(addprefix sql/rest/,base.sql run.sql \
	agent.sql session.sql definition.sql secret.sql \
	schedule.sql trigger.sql webhook.sql \
	governed.sql execution.sql permission_request.sql audit.sql \
	stream.sql \
	platform.sql provider.sql approval.sql observe.sql usage.sql guardrail.sql tool.sql \
	) $(REST_ROUTES)

# The install script: an explicit order, grants last.
SQL_FILES = sql/header.sql \
	$(addprefix sql/schema/,base.sql tenant.sql vault.sql run.sql checkpoint.sql model.sql event.sql audit.sql anchor.sql limit.sql \
		budget.sql permission.sql approval.sql safety.sql observe.sql governed.sql schedule.sql gateway.sql) \
	$(addprefix sql/api/,clib.sql base.sql partition.sql personal.sql event.sql seal.sql segment.sql charge.sql \
		log.sql gate.sql halt.sql halt_apply.sql halt_drill.sql rate.sql permission.sql flow.sql flow_rule.sql template.sql effect.sql settle.sql recovery.sql \
		budget.sql budget_reserve.sql budget_aside.sql budget_alert.sql verdict.sql safety.sql \
		worker.sql delivery.sql capability.sql compute.sql compute_turn.sql stop.sql compute_settle.sql sandbox.sql meter.sql \
		reap.sql storage.sql snapshot.sql \
		tenant.sql session.sql provider.sql provider_health.sql secret.sql \
		managed.sql provider_test.sql vault.sql rotation.sql definition.sql agent.sql run.sql exec.sql fetch.sql model.sql \
		model_gate.sql model_price.sql tool.sql tool_search.sql tool_set.sql tool_test.sql tool_gate.sql loop.sql \
		loop_model.sql loop_tool.sql loop_end.sql agent_run.sql checkpoint.sql sandbox_policy.sql hibernate.sql pool.sql context.sql guardrail.sql guardrail_domain.sql bound.sql safety_work.sql safety_ai.sql safety_ai_set.sql \
		approval.sql approval_decide.sql approval_wait.sql permission_request.sql governed_agent.sql governed_set.sql execution.sql script.sql host_call.sql webhook_event.sql webhook_lane.sql webhook_out.sql webhook_set.sql fire.sql schedule.sql schedule_fire.sql trigger.sql output.sql report.sql sample.sql follow.sql follow_tool.sql usage.sql anchor.sql anchor_round.sql \
		audit_log.sql user_erase.sql audit_verify.sql audit_export.sql audit_proof.sql attestation.sql secure_agent.sql keeper.sql retention.sql \
		operator.sql gateway.sql) \
	$(REST_SQL) \
	sql/schema/grants.sql

DATA_built = $(EXTENSION)--$(EXTVERSION).sql

# ---------------------------------------------------------------------------
# Flags
# ---------------------------------------------------------------------------
# Pause points (test/README.md) are compiled in for every build against a private server tree.
PAUSE_POINTS ?= $(if $(findstring /.build/,$(PG_CONFIG)),1,0)
WERROR ?= 0

WARN_FLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers
PG_CPPFLAGS = -Isrc -MMD -MP
# Exactly the marked symbols leave the library, on every version.
PG_CFLAGS = -std=gnu11 $(WARN_FLAGS) -Wno-declaration-after-statement \
	-fvisibility=hidden -D'PGDLLEXPORT=__attribute__((visibility("default")))'
ifeq ($(PAUSE_POINTS),1)
PG_CPPFLAGS += -DTHEAZO_PAUSE_POINTS
endif
ifeq ($(WERROR),1)
PG_CFLAGS += -Werror
INIT_WERROR = -Werror
endif
SHLIB_LINK = -lcurl -lcrypto -ljansson -lhs -lmicrohttpd -lm
INIT_CFLAGS = -O2 -g -std=gnu11 $(WARN_FLAGS) $(INIT_WERROR) -fstack-protector-strong -D_GNU_SOURCE

# No -O0 build of it by accident, nor one that a debugger's flags have opened.
RUNNER_CFLAGS = $(INIT_CFLAGS) -fPIE -fstack-clash-protection -isystem .build/engine

EXTRA_CLEAN = $(INIT) $(VERIFY) $(RUNNER) .build/unit .build/fuzz .build/flags $(SRCS:.c=.d)
NO_INSTALLCHECK = 1

# ---------------------------------------------------------------------------
# Targets
# ---------------------------------------------------------------------------
SCRIPT_GOALS = installcheck unit fuzz chaos lint bench deps demo check \
	check-jsc check-versions help pgtree indent reference weights weights-check
GOALS = $(or $(MAKECMDGOALS),all)

.PHONY: $(SCRIPT_GOALS)

# First rule of the file, so that a bare `make` builds.
all:

ifneq ($(filter-out $(SCRIPT_GOALS) unit-build fuzz-build,$(GOALS)),)
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifeq ($(PGXS),)
$(error $(PG_CONFIG) does not work: run `make deps`, or set PG_CONFIG)
endif
include $(PGXS)

all: $(INIT) $(VERIFY) $(RUNNER)

install: install-programs
.PHONY: install-programs
install-programs: $(INIT) $(VERIFY) $(RUNNER) installdirs
	$(MKDIR_P) '$(DESTDIR)$(bindir)'
	$(INSTALL_PROGRAM) $(INIT) '$(DESTDIR)$(pkglibdir)/$(INIT)'
	$(INSTALL_PROGRAM) $(RUNNER) '$(DESTDIR)$(pkglibdir)/$(RUNNER)'
	$(INSTALL_PROGRAM) $(VERIFY) '$(DESTDIR)$(bindir)/$(VERIFY)'

uninstall: uninstall-programs
.PHONY: uninstall-programs
uninstall-programs:
	rm -f '$(DESTDIR)$(pkglibdir)/$(INIT)' '$(DESTDIR)$(pkglibdir)/$(RUNNER)' '$(DESTDIR)$(bindir)/$(VERIFY)'

# Objects are rebuilt when the compiler, its flags or the server change.
BUILD_FLAGS = $(CC) $(CPPFLAGS) $(CFLAGS) $(VERSION)
.build/flags: FORCE
	@mkdir -p .build
	@printf '%s\n' $(call shell_quote,$(BUILD_FLAGS)) | cmp -s - $@ || \
		printf '%s\n' $(call shell_quote,$(BUILD_FLAGS)) > $@
FORCE:
.PHONY: FORCE
shell_quote = '$(subst ','\'',$(1))'
$(OBJS): .build/flags
endif

# PGXS brings a `check` of its own, so ours is defined only where that is not included.
ifneq ($(filter check,$(GOALS))$(if $(PGXS),,y),)
check: deps
	@test/run/check.sh all
endif

$(REST_ROUTES): sql/rest/routes.tsv sql/rest/routes.awk
	@mkdir -p $(@D)
	@awk -v want=sql -f sql/rest/routes.awk sql/rest/routes.tsv > $@.tmp
	@mv $@.tmp $@

$(EXTENSION)--$(EXTVERSION).sql: $(SQL_FILES) Makefile
	@for f in $(SQL_FILES); do \
		printf '\n-- ---- %s ----\n' "$$f"; cat "$$f" || exit 1; done | \
		sed '1d' > $@.tmp
	@mv $@.tmp $@

$(INIT): $(INIT_SRCS) $(wildcard src/sandbox/init/*.h src/sandbox/*.h src/lib/*.h) Makefile
	$(CC) $(INIT_CFLAGS) -Isrc -static -o $@ $(INIT_SRCS)

.build/engine/qjs.o: src/runner/engine/build.sh src/runner/engine/package-lock.json
	CC='$(CC)' src/runner/engine/build.sh

$(RUNNER): $(RUNNER_SRCS) $(RUNNER_ENGINE_OBJ) src/runner/helper/bridge.js \
		$(wildcard src/runner/helper/*.h src/runner/helper/$(RUNNER_ENGINE)/*.h src/runner/*.h src/lib/*.h) Makefile
	$(CC) $(RUNNER_CFLAGS) -DTHEAZO_VERSION='"$(EXTVERSION)"' -Isrc -o $@ $(RUNNER_SRCS) $(RUNNER_ENGINE_OBJ) $(RUNNER_LINK) -lm

$(VERIFY): $(VERIFY_SRCS) $(wildcard src/verify/*.h src/lib/*.h) Makefile
	$(CC) $(INIT_CFLAGS) -DTHEAZO_VERSION='"$(EXTVERSION)"' -Isrc -o $@ $(VERIFY_SRCS) -lcrypto -ljansson -lm

# --- weights of the content filter -------------------------------------------
$(TRAIN): $(TRAIN_SRCS) $(wildcard src/safety/*.h src/safety/model/*.h src/lib/*.h) Makefile
	@mkdir -p .build
	$(CC) -O2 -std=gnu11 $(WARN_FLAGS) -D_GNU_SOURCE -ffp-contract=off -Isrc -o $@ $(TRAIN_SRCS) -lm

# --- tests without a server: ASan and UBSan, cmocka ------------------------
UNIT_CC ?= gcc
UNIT_FLAGS = -std=gnu11 -g -O1 $(WARN_FLAGS) -Werror -D_GNU_SOURCE -DTHEAZO_UNIT -Isrc -Itest/unit -MMD -MP \
	-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
PLAIN_LIBS = -lcurl -lcrypto -ljansson -lhs -lm
UNIT_TESTS = $(patsubst test/unit/%.c,.build/unit/%,$(sort $(wildcard test/unit/test_*.c)))
UNIT_OBJS = $(patsubst %.c,.build/unit/obj/%.o,$(PLAIN_SRCS) $(wildcard test/unit/lib_*.c))

.build/unit/obj/%.o: %.c
	@mkdir -p $(@D)
	$(UNIT_CC) $(UNIT_FLAGS) -c -o $@ $<
.build/unit/libplain.a: $(UNIT_OBJS)
	@rm -f $@
	ar rcs $@ $^
.build/unit/test_%: test/unit/test_%.c .build/unit/libplain.a
	$(UNIT_CC) $(UNIT_FLAGS) -o $@ $< .build/unit/libplain.a -lcmocka -lssl $(PLAIN_LIBS)
.PHONY: unit-build
unit-build: $(UNIT_TESTS) $(INIT) $(VERIFY) $(RUNNER)

# --- fuzzers: libFuzzer ------------------------------------------------------
FUZZ_CC ?= clang
FUZZ_FLAGS = -std=gnu11 -g -O1 $(WARN_FLAGS) -Werror -D_GNU_SOURCE -DTHEAZO_UNIT -Isrc -Itest/fuzz -MMD -MP \
	-fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZERS = $(patsubst test/fuzz/%.c,.build/fuzz/%,$(sort $(wildcard test/fuzz/fuzz_*.c)))
FUZZ_OBJS = $(patsubst %.c,.build/fuzz/obj/%.o,$(PLAIN_SRCS))

.build/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link,address,undefined -c -o $@ $<
.build/fuzz/libplain.a: $(FUZZ_OBJS)
	@rm -f $@
	ar rcs $@ $^
.build/fuzz/fuzz_%: test/fuzz/fuzz_%.c .build/fuzz/libplain.a
	$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -o $@ $< .build/fuzz/libplain.a $(PLAIN_LIBS)
.PHONY: fuzz-build
fuzz-build: $(FUZZERS)

-include $(OBJS:.o=.d) $(UNIT_OBJS:.o=.d) $(FUZZ_OBJS:.o=.d)

# --- scripts -----------------------------------------------------------------
deps:
	@test/run/deps.sh

pgtree:
	@test/run/pgtree.sh

installcheck:
	@test/run/check.sh regress isolation tap

unit:
	@test/run/check.sh unit

fuzz:
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-60} test/run/check.sh fuzz

chaos:
	@THEAZO_CHAOS=$${THEAZO_CHAOS:-30} test/run/check.sh chaos

lint:
	@test/run/check.sh lint

check-versions: deps
	@THEAZO_VERSIONS_FULL=1 test/run/check.sh versions

check-jsc:
	@test/run/check.sh jsc

# Lays all C files out as lint wants them.
indent:
	@find src test -name '*.[ch]' | xargs clang-format -i --style=file

# Learns the content filter's weights again, when texts, words or rules have changed.
weights: $(TRAIN)
	@$(TRAIN) $(TRAIN_TEXTS) > .build/weights.h
	@cp .build/weights.h src/safety/model/weights.h

weights-check: $(TRAIN)
	@$(TRAIN) $(TRAIN_TEXTS) | cmp - src/safety/model/weights.h

# docs/reference.md from the catalog, docs/rest-reference.md from the routes.
reference: docs/rest-reference.md
	@test/run/check.sh reference

.PHONY: docs/rest-reference.md
docs/rest-reference.md: sql/rest/routes.tsv sql/rest/routes.awk
	@{ sed '/^<!-- generated -->$$/,$$d' $@; echo '<!-- generated -->'; \
		awk -v want=docs -f sql/rest/routes.awk sql/rest/routes.tsv; } > .build/rest-reference.md
	@cp .build/rest-reference.md $@

bench:
	@PAUSE_POINTS=0 test/run/check.sh bench

demo:
	@test/run/deps.sh demo
	@test/run/demo.sh

help:
	@echo 'make all             build theazo.so, theazo-init, theazo-runner, theazo-verify and the install script'
	@echo 'make install         install into the server of PG_CONFIG'
	@echo 'make deps            fetch and install what building and testing need (root), or say what is missing'
	@echo 'make demo            private server, a real agent job, its result'
	@echo 'make check           everything, on 15, and the core of it on 17 and 18'
	@echo 'make check-versions  the full lists on 15, 17 and 18, with counts'
	@echo 'make check-jsc       the lists of JavaScript with the engine of the system'
	@echo 'make installcheck    regress, isolation and TAP (TESTS="a b" names some)'
	@echo 'make unit            tests without a server, under ASan and UBSan'
	@echo 'make fuzz            fuzzers, FUZZ_SECONDS=60 each'
	@echo 'make chaos           random kills, THEAZO_CHAOS=30 of them'
	@echo 'make lint            format, include directions, grants, search paths, docs'
	@echo 'make reference       write docs/reference.md and docs/rest-reference.md'
	@echo 'make weights         learn the weights of the content filter from its labelled texts'
	@echo 'make indent          lay C files out by .clang-format'
	@echo 'make bench           ratios against references, in one run'
	@echo 'make pgtree          private relocatable copy of the server in .build/pg15'
	@echo 'make clean'
