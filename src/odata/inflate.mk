# What unpacks bodies: libdeflate where pkg-config knows it, else zlib.
# make HAVE_LIBDEFLATE=no takes zlib in any case.  Sets INFLATE_FLAGS and
# INFLATE_LIBS.

ifndef HAVE_LIBDEFLATE
HAVE_LIBDEFLATE := $(if $(shell pkg-config --exists libdeflate 2>/dev/null && echo yes),yes,no)
endif

ifeq ($(HAVE_LIBDEFLATE),yes)
INFLATE_FLAGS := -DHAVE_LIBDEFLATE $(shell pkg-config --cflags libdeflate 2>/dev/null)
INFLATE_LIBS := $(shell pkg-config --libs libdeflate 2>/dev/null || echo -ldeflate)
else
INFLATE_FLAGS := $(shell pkg-config --cflags zlib 2>/dev/null)
INFLATE_LIBS := $(shell pkg-config --libs zlib 2>/dev/null || echo -lz)
endif
