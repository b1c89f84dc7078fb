/*
 * tap.h
 *	  The few words of the Test Anything Protocol that the unit programs need.
 */
#ifndef DV_TEST_TAP_H
#define DV_TEST_TAP_H

#include "odata/base.h"

static int tap_count = 0;
static int tap_failed = 0;

static inline void diag(const char *format, ...) pg_attribute_printf(1, 2);
static inline void bail_out(const char *format, ...) pg_attribute_printf(1, 2);
static inline bool ok(bool passed, const char *format, ...) pg_attribute_printf(2, 3);
static inline bool is(const char *got, const char *expected, const char *format, ...)
	pg_attribute_printf(3, 4);

static inline void
diag(const char *format, ...)
{
	va_list args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

static inline void
bail_out(const char *format, ...)
{
	va_list args;

	printf("Bail out! ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	exit(2);
}

static inline bool
tap_result(bool passed, const char *format, va_list args)
{
	printf("%sok %d - ", passed ? "" : "not ", ++tap_count);
	vprintf(format, args);
	printf("\n");
	if (!passed)
		tap_failed++;
	return passed;
}

static inline bool
ok(bool passed, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tap_result(passed, format, args);
	va_end(args);
	return passed;
}

/* Two strings, either of which may be NULL. */
static inline bool
is(const char *got, const char *expected, const char *format, ...)
{
	bool passed = got == NULL || expected == NULL ? got == expected : strcmp(got, expected) == 0;
	va_list args;

	va_start(args, format);
	tap_result(passed, format, args);
	va_end(args);
	if (!passed)
	{
		diag("     got: %s", got ? got : "(null)");
		diag("expected: %s", expected ? expected : "(null)");
	}
	return passed;
}

/* The plan, and the program's exit status. */
static inline int
done_testing(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed == 0 ? 0 : 1;
}

#endif /* DV_TEST_TAP_H */
