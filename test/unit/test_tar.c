/* Archives: what is written is read again, also by tar(1); what is cut or damaged anywhere is never believed. */
#include "tz_test.h"

#include <unistd.h>

#include "lib/tar.h"

static const TzTarOwner owner = {65534, 65534, 1700000000};

static void
add(TzBuf *out, const char *name, const char *content)
{
	TzErr err;

	assert_int_equal(tz_tar_add_file(out, tz_slice_cstr(name), 0644, &owner, tz_slice_cstr(content), &err),
	                 TZ_OK);
}

static void
test_there_and_back(void **state)
{
	char name[301];
	TzBuf out;
	TzTarReader reader;
	TzTarEntry e;
	TzErr err;

	(void) state;
	memset(name, 'n', 300);
	name[100] = '/';
	name[300] = '\0';
	tz_buf_init(&out, 1024 * 1024);
	assert_int_equal(tz_tar_add_dir(&out, tz_slice_cstr("data"), 0755, &owner, &err), TZ_OK);
	add(&out, "data/a.txt", "hello");
	add(&out, "empty", "");
	add(&out, name, "long");
	tz_tar_end(&out);
	assert_int_equal(out.len % TZ_TAR_BLOCK, 0);

	tz_tar_read(&reader, tz_buf_slice(&out), 1000);
	assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_OK);
	assert_int_equal(e.type, '5');
	assert_true(tz_slice_eq_cstr(e.name, "data"));
	assert_int_equal(e.mode, 0755);
	assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_OK);
	assert_int_equal(e.type, '0');
	assert_true(tz_slice_eq_cstr(e.name, "data/a.txt"));
	assert_true(tz_slice_eq_cstr(e.data, "hello"));
	assert_int_equal(e.mtime, 1700000000);
	assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_OK);
	assert_int_equal(e.size, 0);
	assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_OK);
	assert_true(tz_slice_eq_cstr(e.name, name));
	assert_true(tz_slice_eq_cstr(e.data, "long"));
	assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_NOT_FOUND);
	tz_buf_free(&out);
}

/* Somebody else's reader takes what we write. */
static void
test_system_reads(void **state)
{
	char path[] = "/tmp/theazo-tar-XXXXXX";
	char command[256];
	char text[512];
	char name[151];
	TzBuf out;
	FILE *f;
	size_t n;
	int fd = mkstemp(path);

	(void) state;
	assert_true(fd >= 0);
	memset(name, 'x', 150);
	name[150] = '\0';
	tz_buf_init(&out, 1024 * 1024);
	add(&out, "sub/b", "two\n");
	add(&out, name, "1");
	tz_tar_end(&out);
	assert_int_equal(write(fd, out.data, out.len), (ssize_t) out.len);
	close(fd);
	snprintf(command, sizeof(command), "tar -tf %s 2>&1 && tar -xOf %s sub/b", path, path);
	f = popen(command, "r");
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	assert_int_equal(pclose(f), 0);
	assert_non_null(strstr(text, "sub/b\n"));
	assert_non_null(strstr(text, name));
	assert_non_null(strstr(text, "\ntwo\n"));
	unlink(path);
	tz_buf_free(&out);
}

static void
test_names_refused(void **state)
{
	static const char *const bad[] = {"", "/etc/passwd", "..", "a/../b", "../x", "a/.."};
	TzBuf out;
	TzErr err;

	(void) state;
	tz_buf_init(&out, 4096);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(tz_tar_add_file(&out, tz_slice_cstr(bad[i]), 0644, &owner, tz_slice_cstr(""), &err),
		                 TZ_BAD_INPUT);
	assert_int_equal(tz_tar_add_dir(&out, tz_slice("a\0b", 3), 0755, &owner, &err), TZ_BAD_INPUT);
	assert_int_equal(tz_tar_add_file(&out, tz_slice_cstr("a..b"), 0644, &owner, tz_slice_cstr(""), &err),
	                 TZ_OK);
	assert_int_equal(out.len, TZ_TAR_BLOCK);
	tz_buf_free(&out);
}

/* Cut at every byte: what there is of a file is its beginning, and nobody reads behind the end. */
static void
test_cut(void **state)
{
	TzBuf out;

	(void) state;
	tz_buf_init(&out, 64 * 1024);
	add(&out, "f", "0123456789");
	tz_tar_end(&out);
	for (size_t n = 0; n <= out.len; n++)
	{
		char *copy = malloc(n + 1);
		TzTarReader reader;
		TzTarEntry e;
		TzErr err;
		TzStatus status;

		memcpy(copy, out.data, n);
		tz_tar_read(&reader, tz_slice(copy, n), 1000);
		status = tz_tar_next(&reader, &e, &err);
		assert_int_equal(status, n < TZ_TAR_BLOCK ? TZ_NOT_FOUND : TZ_OK);
		if (status == TZ_OK)
		{
			assert_int_equal(e.size, 10);
			assert_int_equal(e.data.len, n - TZ_TAR_BLOCK < 10 ? n - TZ_TAR_BLOCK : 10);
			assert_memory_equal(e.data.data, "0123456789", e.data.len);
			assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_NOT_FOUND);
		}
		free(copy);
	}
	tz_buf_free(&out);
}

static void
rewrite_sum(char *head)
{
	unsigned sum = 0;

	memset(head + 148, ' ', 8);
	for (int i = 0; i < TZ_TAR_BLOCK; i++)
		sum += (unsigned char) head[i];
	snprintf(head + 148, 8, "%06o", sum);
}

static void
test_damaged(void **state)
{
	TzBuf out;
	TzTarReader reader;
	TzTarEntry e;
	TzErr err;

	(void) state;
	tz_buf_init(&out, 64 * 1024);
	add(&out, "f", "0123456789");
	tz_tar_end(&out);
	out.data[0]++;
	tz_tar_read(&reader, tz_buf_slice(&out), 1000);
	assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_BAD_ANSWER);

	/* larger than allowed, in octal and in base 256 */
	tz_tar_read(&reader, tz_buf_slice(&out), 5);
	rewrite_sum(out.data);
	assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_TOO_LARGE);
	memcpy(out.data + 124, "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
	rewrite_sum(out.data);
	tz_tar_read(&reader, tz_buf_slice(&out), INT64_MAX / 2);
	assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_BAD_ANSWER);

	/* a link: its target is told, its size means nothing */
	memcpy(out.data + 124, "77777777777", 12);
	out.data[156] = '2';
	memcpy(out.data + 157, "../t", 5);
	rewrite_sum(out.data);
	tz_tar_read(&reader, tz_buf_slice(&out), 5);
	assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_OK);
	assert_int_equal(e.type, '2');
	assert_true(tz_slice_eq_cstr(e.link, "../t"));
	assert_int_equal(e.data.len, 0);
	tz_buf_free(&out);
}

/* Records that describe the next entry: pax, GNU, and some that do not. */
static void
test_records(void **state)
{
	static const char *const bad[] = {"5 a=b\n",      "999 path=x\n",   "x path=x\n",
	                                  "11 path=abc ", "12 size=1a\n\n", "6 path\n"};
	TzBuf out;
	TzTarReader reader;
	TzTarEntry e;
	TzErr err;

	(void) state;
	tz_buf_init(&out, 64 * 1024);
	add(&out, "ignored", "30 mtime=1700000000.123456789\n10 path=z\n\x31\x30 size=3\n");
	out.data[156] = 'x';
	rewrite_sum(out.data);
	add(&out, "short", "abc");
	tz_tar_end(&out);
	tz_tar_read(&reader, tz_buf_slice(&out), 1000);
	assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_OK);
	assert_true(tz_slice_eq_cstr(e.name, "z"));
	assert_int_equal(e.size, 3);
	tz_buf_free(&out);

	tz_buf_init(&out, 64 * 1024);
	add(&out, "././@LongLink", "a/very/long/name");
	out.data[156] = 'L';
	rewrite_sum(out.data);
	add(&out, "a/ver", "abc");
	tz_tar_read(&reader, tz_buf_slice(&out), 1000);
	assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_OK);
	assert_true(tz_slice_eq_cstr(e.name, "a/very/long/name"));
	assert_true(tz_slice_eq_cstr(e.data, "abc"));
	tz_buf_free(&out);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		tz_buf_init(&out, 64 * 1024);
		add(&out, "pax", bad[i]);
		out.data[156] = 'x';
		rewrite_sum(out.data);
		add(&out, "f", "abc");
		tz_tar_read(&reader, tz_buf_slice(&out), 1000);
		assert_int_equal(tz_tar_next(&reader, &e, &err), TZ_BAD_ANSWER);
		tz_buf_free(&out);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_system_reads),
		cmocka_unit_test(test_names_refused),  cmocka_unit_test(test_cut),
		cmocka_unit_test(test_damaged),        cmocka_unit_test(test_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
