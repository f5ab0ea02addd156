/* box_cgroup.c: finding a delegated group and taking dead ones away, in a folder that looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/box_internal.h"

static char root[64];

static void
put(const char *path, const char *text)
{
	char whole[256];
	FILE *f;

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	f = fopen(whole, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
make(const char *path)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	assert_int_equal(mkdir(whole, 0755), 0);
}

static bool
there(const char *path)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	return access(whole, F_OK) == 0;
}

static bool
find(const char *self, char *dir, char *found)
{
	char path[128];

	put("self", self);
	snprintf(path, sizeof(path), "%s/self", root);
	return tz_box_cgroup_find(root, path, dir, 256, found, 120);
}

static int
setup(void **state)
{
	(void) state;
	snprintf(root, sizeof(root), "/tmp/theazo-cgroup.XXXXXX");
	return mkdtemp(root) == NULL;
}

static int
teardown(void **state)
{
	char command[128];

	(void) state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

static void
test_find(void **state)
{
	char dir[256], found[120], want[256];

	(void) state;
	/* a hierarchy of version 1 only */
	assert_false(find("4:memory:/x\n", dir, found));
	assert_string_equal(dir, "");
	assert_false(find("", dir, found));
	/* the unit's group has no controllers to give */
	make("unit");
	put("unit/cgroup.subtree_control", "");
	make("unit/server");
	put("unit/server/cgroup.subtree_control", "");
	assert_true(find("0::/unit/server\n", dir, found)); /* a plain file takes what is written */
	/* controllers are on in the group above ours */
	put("unit/cgroup.subtree_control", "cpu memory pids\n");
	assert_int_equal(chmod(root, 0755), 0);
	put("unit/server/cgroup.subtree_control", "memory_recursiveprot pids\n");
	assert_true(find("1:name=systemd:/x\n0::/unit/server\n", dir, found));
	/* nothing there */
	assert_false(find("0::/elsewhere/else\n", dir, found));
	assert_string_equal(dir, "");
	snprintf(want, sizeof(want), "%s/unit", root);
	unlink(want);
	assert_true(find("0::/unit\n", dir, found));
	assert_string_equal(dir, want);
}

static void
test_sweep(void **state)
{
	char dir[300], mine[64], mine_path[128];

	(void) state;
	snprintf(mine, sizeof(mine), "theazo-box-%d-1", (int) getpid());
	snprintf(mine_path, sizeof(mine_path), "sweep/%s", mine);
	make("sweep");
	make("sweep/theazo-box-2000000000-7"); /* no such process */
	make("sweep/other-2000000000");
	make(mine_path);
	snprintf(dir, sizeof(dir), "%s/sweep", root);
	tz_box_cgroup_sweep(dir);
	assert_false(there("sweep/theazo-box-2000000000-7"));
	assert_true(there("sweep/other-2000000000"));
	assert_true(there(mine_path));
	tz_box_cgroup_sweep("/nonexistent");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_sweep),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
