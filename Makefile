# dataverse_fdw: PGXS build.  "make check-house" runs the cheap checks of
# CONTRIBUTING.md; everything CI runs is in scripts/test.
MODULE_big = dataverse_fdw
EXTENSION = dataverse_fdw
DATA = dataverse_fdw--0.1.sql
PGFILEDESC = "dataverse_fdw - Microsoft Dataverse as foreign tables"

SRCS = dataverse_fdw.c $(wildcard src/*.c) $(wildcard src/odata/*.c) $(wildcard src/remote/*.c) \
	$(wildcard src/plan/*.c) $(wildcard src/exec/*.c)
OBJS = $(SRCS:.c=.o)

include src/odata/inflate.mk

PG_CPPFLAGS = -I$(srcdir)/src $(INFLATE_FLAGS) $(shell pkg-config --cflags libcurl jansson 2>/dev/null)
PG_CFLAGS = -std=gnu11 -fvisibility=hidden -Werror -Wextra -Wno-unused-parameter -Wno-sign-compare \
	-Wno-missing-field-initializers -Wno-declaration-after-statement
SHLIB_LINK = $(shell pkg-config --libs libcurl jansson 2>/dev/null || echo -lcurl -ljansson) $(INFLATE_LIBS)

REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
REGRESS_OPTS = --inputdir=. --load-extension=dataverse_fdw

EXTRA_CLEAN = test/unit/bin test/fuzz/bin src/*.d src/*/*.d

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# Headers are few and change together; a change to one rebuilds all.
$(OBJS): $(wildcard src/*.h) $(wildcard src/*/*.h)

.PHONY: unit fuzz check-house
unit:
	$(MAKE) -f test/unit/Makefile PG_CONFIG=$(PG_CONFIG) check
fuzz:
	$(MAKE) -f test/fuzz/Makefile PG_CONFIG=$(PG_CONFIG) check
check-house:
	scripts/check-house
