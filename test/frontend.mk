# How src/odata is built as part of a front-end program: for test/unit and
# test/fuzz.  Sets SOURCES, HEADERS, FLAGS and LIBRARIES; takes PG_CONFIG, CFLAGS and
# SANITIZE.

SOURCES := $(sort $(wildcard src/odata/*.c))
HEADERS := $(wildcard src/*.h src/odata/*.h)

include src/odata/inflate.mk

# Assertions are on, whatever the server was built with.
FLAGS = -std=gnu11 -DFRONTEND -DUSE_ASSERT_CHECKING -D_GNU_SOURCE -Isrc \
	-I$(shell $(PG_CONFIG) --includedir-server) $(shell pkg-config --cflags jansson) $(INFLATE_FLAGS) \
	-Wall -Wextra -Werror -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers \
	-Wno-ignored-attributes \
	-fno-strict-aliasing -fwrapv \
	$(CFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)

LIBRARIES := -L$(shell $(PG_CONFIG) --pkglibdir) -L$(shell $(PG_CONFIG) --libdir) \
	-lpgcommon -lpgport $(shell pkg-config --libs jansson) $(INFLATE_LIBS) -lz -lm
