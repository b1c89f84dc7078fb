/*
 * test_newid.c
 *	  Ids of ours grow in the service's order and never repeat.
 */
#include "odata/base.h"

#include "odata/newid.h"

static int ntests = 0;
static int nfailed = 0;

static void
check(bool ok, const char *name)
{
	ntests++;
	nfailed += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", ntests, name);
}

/* The service's order: the last group, the fourth, then the others. */
static int
compare(const char *a, const char *b)
{
	int c = strcmp(a + 24, b + 24);

	return c ? c : strncmp(a + 19, b + 19, 4);
}

static bool
well_formed(const char *id)
{
	if (strlen(id) != DV_ID_LEN || id[8] != '-' || id[13] != '-' || id[18] != '-' || id[23] != '-')
		return false;
	return strspn(id, "0123456789abcdef-") == DV_ID_LEN && id[14] == '8' &&
		   strchr("89ab", id[19]) != NULL;
}

static void
test_growth(void)
{
	DvIdStream stream = {0};
	uint8 random[DV_ID_RANDOM] = {0xFF, 0xFE, 0xFD, 0xFC, 0xFB, 0xFA, 0xF9, 0xF8};
	char last[DV_ID_LEN + 1] = "";
	char id[DV_ID_LEN + 1];
	int64 clock = INT64CONST(1700000000000);
	bool grows = true;
	bool formed = true;

	/* The clock stands for longer than the counter lasts, steps back, then goes on. */
	for (int i = 0; i < 60000; i++)
	{
		if (i == 40000)
			clock -= 5000;
		if (i > 50000)
			clock += 3;
		dv_newid(&stream, clock, random, id);
		formed = formed && well_formed(id);
		grows = grows && (*last == '\0' || compare(last, id) < 0);
		memcpy(last, id, sizeof(last));
	}
	check(formed, "form");
	check(grows, "every id is greater than the one before, whatever the clock does");
}

static void
test_layout(void)
{
	DvIdStream stream = {0};
	uint8 random[DV_ID_RANDOM] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0xF7, 0x88};
	char id[DV_ID_LEN + 1];

	dv_newid(&stream, INT64CONST(0x0123456789AB), random, id);
	check(strcmp(id, "11223344-5566-8788-8000-0123456789ab") == 0, "layout");
	dv_newid(&stream, INT64CONST(0x0123456789AB), random, id);
	check(strcmp(id, "11223344-5566-8788-8001-0123456789ab") == 0, "same millisecond counts up");
}

int
main(void)
{
	test_growth();
	test_layout();
	printf("1..%d\n", ntests);
	return nfailed ? 1 : 0;
}
