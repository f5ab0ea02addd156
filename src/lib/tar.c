/*-------------------------------------------------------------------------
 *
 * tar.c
 *	  Archives in memory: ustar written, ustar with pax and GNU names read.
 *
 * Names that do not fit into a header go into a pax record before it, which every
 * reader of today takes. Of what is read, only names, links and sizes of pax are
 * applied; other records are passed over. Nothing is trusted: every number is
 * bounded and an entry never reaches behind the bytes that are there.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "lib/tar.h"

#define NAME_MAX_BYTES 4096
#define EXTRA_MAX (64 * 1024) /* of a header that only describes the next one */

/* Places in a header. */
enum
{
	AT_NAME = 0,
	LEN_NAME = 100,
	AT_MODE = 100,
	AT_UID = 108,
	AT_GID = 116,
	AT_SIZE = 124,
	AT_MTIME = 136,
	AT_SUM = 148,
	LEN_SUM = 8,
	AT_TYPE = 156,
	AT_LINK = 157,
	LEN_LINK = 100,
	AT_MAGIC = 257,
	AT_PREFIX = 345,
	LEN_PREFIX = 155
};

static unsigned sum_of(const unsigned char *head);
static TzStatus add_header(TzBuf *out, TzSlice name, char type, unsigned mode, const TzTarOwner *owner,
                           size_t size);
static TzStatus add_long_name(TzBuf *out, TzSlice name, const TzTarOwner *owner);
static TzStatus add_padding(TzBuf *out, size_t size);
static TzStatus name_check(TzSlice name, TzErr *err);
static bool number_at(const unsigned char *field, size_t len, int64_t *value);
static TzSlice text_at(const char *field, size_t len);
static TzStatus take_extra(TzTarReader *reader, char type, TzSlice data, TzErr *err);
static TzStatus take_pax(TzTarReader *reader, TzSlice records, TzErr *err);
static bool all_zero(const char *data, size_t len);

/* ---------------------------------------------------------------- writing */

TzStatus
tz_tar_add_dir(TzBuf *out, TzSlice name, unsigned mode, const TzTarOwner *owner, TzErr *err)
{
	TzStatus status = name_check(name, err);

	if (status == TZ_OK)
		status = add_header(out, name, '5', mode, owner, 0);
	return status == TZ_OK || status == TZ_BAD_INPUT ? status
	                                                 : tz_err_set(err, status, "archive is too large");
}

TzStatus
tz_tar_add_file(TzBuf *out, TzSlice name, unsigned mode, const TzTarOwner *owner, TzSlice content, TzErr *err)
{
	TzStatus status = name_check(name, err);

	if (status != TZ_OK)
		return status;
	status = add_header(out, name, '0', mode, owner, content.len);
	if (status == TZ_OK && content.len > 0)
		status = tz_buf_append(out, content.data, content.len);
	if (status == TZ_OK)
		status = add_padding(out, content.len);
	return status == TZ_OK ? TZ_OK : tz_err_set(err, status, "archive is too large");
}

TzStatus
tz_tar_end(TzBuf *out)
{
	char zero[2 * TZ_TAR_BLOCK] = {0};

	return tz_buf_append(out, zero, sizeof(zero));
}

static TzStatus
name_check(TzSlice name, TzErr *err)
{
	size_t start = 0;

	if (name.len == 0 || name.len > NAME_MAX_BYTES || memchr(name.data, 0, name.len) != NULL ||
	    name.data[0] == '/')
		return tz_err_set(err, TZ_BAD_INPUT, "name in an archive is empty, too long or absolute");
	for (size_t i = 0; i <= name.len; i++)
	{
		if (i < name.len && name.data[i] != '/')
			continue;
		if (i - start == 2 && memcmp(name.data + start, "..", 2) == 0)
			return tz_err_set(err, TZ_BAD_INPUT, "name in an archive climbs out of it");
		start = i + 1;
	}
	return TZ_OK;
}

static TzStatus
add_header(TzBuf *out, TzSlice name, char type, unsigned mode, const TzTarOwner *owner, size_t size)
{
	unsigned char head[TZ_TAR_BLOCK] = {0};
	TzStatus status = TZ_OK;

	if (name.len > LEN_NAME)
		status = add_long_name(out, name, owner);
	if (status != TZ_OK)
		return status;
	memcpy(head + AT_NAME, name.data, name.len < LEN_NAME ? name.len : LEN_NAME);
	snprintf((char *) head + AT_MODE, 8, "%07o", mode & 07777);
	snprintf((char *) head + AT_UID, 8, "%07o", owner->uid & 07777777);
	snprintf((char *) head + AT_GID, 8, "%07o", owner->gid & 07777777);
	snprintf((char *) head + AT_SIZE, 12, "%011llo", (unsigned long long) size & 077777777777ULL);
	snprintf((char *) head + AT_MTIME, 12, "%011llo",
	         (unsigned long long) (owner->mtime > 0 ? owner->mtime : 0) & 077777777777ULL);
	head[AT_TYPE] = (unsigned char) type;
	memcpy(head + AT_MAGIC, "ustar\00000", 8);
	snprintf((char *) head + AT_SUM, 7, "%06o", sum_of(head) & 0777777);
	head[AT_SUM + 7] = ' ';
	return tz_buf_append(out, head, sizeof(head));
}

/* One pax record: its own length in decimal, a blank, path=, the name, a line feed. */
static TzStatus
add_long_name(TzBuf *out, TzSlice name, const TzTarOwner *owner)
{
	size_t body = strlen(" path=\n") + name.len;
	size_t total = body + 1;
	char digits[24];
	TzStatus status;

	while (total != body + (size_t) snprintf(digits, sizeof(digits), "%zu", total))
		total = body + strlen(digits);
	status = add_header(out, tz_slice_cstr("pax"), 'x', 0644, owner, total);
	if (status == TZ_OK)
		status = tz_buf_printf(out, "%zu path=", total);
	if (status == TZ_OK)
		status = tz_buf_append(out, name.data, name.len);
	if (status == TZ_OK)
		status = tz_buf_append_byte(out, '\n');
	return status == TZ_OK ? add_padding(out, total) : status;
}

static TzStatus
add_padding(TzBuf *out, size_t size)
{
	static const char zero[TZ_TAR_BLOCK];
	size_t over = size % TZ_TAR_BLOCK;

	return over == 0 ? TZ_OK : tz_buf_append(out, zero, TZ_TAR_BLOCK - over);
}

/* Of all bytes, with the field of the sum itself as blanks. */
static unsigned
sum_of(const unsigned char *head)
{
	unsigned sum = 0;

	for (int i = 0; i < TZ_TAR_BLOCK; i++)
		sum += i >= AT_SUM && i < AT_SUM + LEN_SUM ? ' ' : head[i];
	return sum;
}

/* ---------------------------------------------------------------- reading */

void
tz_tar_read(TzTarReader *reader, TzSlice archive, int64_t max_size)
{
	memset(reader, 0, sizeof(*reader));
	reader->left = archive;
	reader->max_size = max_size;
	reader->size = -1;
}

/* The bytes of an entry, as many as are there; the reader goes on behind them. */
static TzSlice
take_data(TzTarReader *reader, int64_t size)
{
	uint64_t whole = ((uint64_t) size + TZ_TAR_BLOCK - 1) / TZ_TAR_BLOCK * TZ_TAR_BLOCK;
	size_t have = reader->left.len;
	TzSlice data = {reader->left.data, (uint64_t) size < have ? (size_t) size : have};

	if (whole > have)
		whole = have;
	reader->left.data += whole;
	reader->left.len -= (size_t) whole;
	return data;
}

TzStatus
tz_tar_next(TzTarReader *reader, TzTarEntry *entry, TzErr *err)
{
	for (;;)
	{
		const char *head = reader->left.data;
		int64_t value = 0;
		bool sized;

		if (reader->left.len < TZ_TAR_BLOCK || all_zero(head, TZ_TAR_BLOCK))
			return TZ_NOT_FOUND;
		memset(entry, 0, sizeof(*entry));
		if (!number_at((const unsigned char *) head + AT_SUM, LEN_SUM, &value) ||
		    value != sum_of((const unsigned char *) head))
			return tz_err_set(err, TZ_BAD_ANSWER, "archive has a damaged header");
		if (!number_at((const unsigned char *) head + AT_SIZE, 12, &entry->size))
			return tz_err_set(err, TZ_BAD_ANSWER, "archive has an entry without a size");
		if (number_at((const unsigned char *) head + AT_MODE, 8, &value))
			entry->mode = (unsigned) value & 07777;
		(void) number_at((const unsigned char *) head + AT_MTIME, 12, &entry->mtime);
		entry->type = head[AT_TYPE] == '\0' || head[AT_TYPE] == '7' ? '0' : head[AT_TYPE];
		entry->name = text_at(head + AT_NAME, LEN_NAME);
		entry->link = text_at(head + AT_LINK, LEN_LINK);
		reader->left.data += TZ_TAR_BLOCK;
		reader->left.len -= TZ_TAR_BLOCK;

		if (strchr("xgLK", entry->type) != NULL)
		{
			TzStatus status;

			if (entry->size > EXTRA_MAX || (uint64_t) entry->size > reader->left.len)
				return tz_err_set(err, TZ_TOO_LARGE, "archive has too long a header");
			status = take_extra(reader, entry->type, take_data(reader, entry->size), err);
			if (status != TZ_OK)
				return status;
			continue;
		}
		if (reader->name.data != NULL)
			entry->name = reader->name;
		else if (memcmp(head + AT_MAGIC, "ustar", 6) == 0)
			entry->prefix = text_at(head + AT_PREFIX, LEN_PREFIX);
		if (reader->link.data != NULL)
			entry->link = reader->link;
		if (reader->size >= 0)
			entry->size = reader->size;
		reader->name = reader->link = tz_slice(NULL, 0);
		reader->size = -1;
		/* links and directories may state a size and have no content */
		sized = strchr("123456", entry->type) == NULL;
		if (sized && entry->size > reader->max_size)
			return tz_err_set(err, TZ_TOO_LARGE, "entry of an archive is larger than %lld bytes",
			                  (long long) reader->max_size);
		entry->data = sized ? take_data(reader, entry->size) : tz_slice("", 0);
		return TZ_OK;
	}
}

static TzStatus
take_extra(TzTarReader *reader, char type, TzSlice data, TzErr *err)
{
	if (type == 'x')
		return take_pax(reader, data, err);
	/* GNU: the text, with or without a zero byte behind */
	while (data.len > 0 && data.data[data.len - 1] == '\0')
		data.len--;
	if (type == 'L')
		reader->name = data;
	else if (type == 'K')
		reader->link = data;
	return TZ_OK;
}

/* "LENGTH KEY=VALUE\n" one behind the other, the length counting itself. */
static TzStatus
take_pax(TzTarReader *reader, TzSlice records, TzErr *err)
{
	while (records.len > 0)
	{
		size_t len = 0;
		size_t i = 0;
		const char *equals;
		TzSlice key;
		TzSlice value;

		while (i < records.len && i < 8 && records.data[i] >= '0' && records.data[i] <= '9')
			len = len * 10 + (size_t) (records.data[i++] - '0');
		if (i == 0 || i >= records.len || records.data[i] != ' ' || len > records.len || len < i + 4 ||
		    records.data[len - 1] != '\n')
			return tz_err_set(err, TZ_BAD_ANSWER, "archive has a damaged record");
		key = tz_slice(records.data + i + 1, len - i - 2);
		equals = memchr(key.data, '=', key.len);
		if (equals == NULL)
			return tz_err_set(err, TZ_BAD_ANSWER, "archive has a damaged record");
		value = tz_slice(equals + 1, (size_t) (key.data + key.len - equals - 1));
		key.len = (size_t) (equals - key.data);
		if (tz_slice_eq_cstr(key, "path"))
			reader->name = value;
		else if (tz_slice_eq_cstr(key, "linkpath"))
			reader->link = value;
		else if (tz_slice_eq_cstr(key, "size"))
		{
			int64_t size = 0;

			if (value.len == 0 || value.len > 18)
				return tz_err_set(err, TZ_BAD_ANSWER, "archive has a damaged record");
			for (size_t d = 0; d < value.len; d++)
			{
				if (value.data[d] < '0' || value.data[d] > '9')
					return tz_err_set(err, TZ_BAD_ANSWER, "archive has a damaged record");
				size = size * 10 + (value.data[d] - '0');
			}
			reader->size = size;
		}
		records.data += len;
		records.len -= len;
	}
	return TZ_OK;
}

/* Octal digits between blanks and zeros, or, with the top bit set, a number in base 256. */
static bool
number_at(const unsigned char *field, size_t len, int64_t *value)
{
	int64_t n = 0;
	size_t i = 0;
	bool any = false;

	if ((field[0] & 0x80) != 0)
	{
		for (i = 0; i < len; i++)
		{
			if (n > (INT64_MAX >> 9))
				return false;
			n = n << 8 | (i == 0 ? field[i] & 0x3f : field[i]);
		}
		*value = n;
		return (field[0] & 0x40) == 0;
	}
	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++)
	{
		n = n << 3 | (field[i] - '0');
		any = true;
	}
	for (; i < len; i++)
		if (field[i] != ' ' && field[i] != '\0')
			return false;
	*value = n;
	return any;
}

static TzSlice
text_at(const char *field, size_t len)
{
	return tz_slice(field, strnlen(field, len));
}

static bool
all_zero(const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != '\0')
			return false;
	return true;
}
