/*-------------------------------------------------------------------------
 *
 * keyring.c
 *	  The master keys this server holds.
 *
 * The postmaster reads them once, before it has children; the children inherit
 * the page. It is locked in memory, left out of core dumps, and read-only once
 * filled, so all processes share the one physical page that the postmaster
 * keeps locked (locks are not inherited over fork, the page is).
 *
 * A server whose key cannot be read starts all the same: what needs no vault
 * works, and what needs it says what is wrong.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"

#include "pg/guc.h"
#include "vault/keycommand.h"
#include "vault/keyring.h"

#define KEY_COMMAND_TIMEOUT_MS 10000

typedef struct Keyring
{
	int nkeys;
	const char *source;
	uint8_t key[TZ_KEYFILE_KEYS_MAX][TZ_KEY_LEN];
	char fingerprint[TZ_KEYFILE_KEYS_MAX][TZ_FINGERPRINT_LEN + 1];
} Keyring;

static Keyring *keyring = NULL;
static TzErr keyring_err; /* why there is none */

static TzStatus keyring_read(const char **source, TzBuf *content, TzErr *err);
static TzStatus keyring_read_file(const char *path, TzBuf *content, TzErr *err);
static TzStatus keyring_check_file(int fd, const char *path, TzErr *err);
static TzStatus keyring_fill(TzSlice content, const char *source, TzErr *err);

void
tz_keyring_load(void)
{
	TzBuf content;
	const char *source = NULL;
	TzErr err;
	TzStatus status;

	tz_err_clear(&err);
	tz_buf_init_secret(&content, TZ_KEYFILE_MAX);
	status = keyring_read(&source, &content, &err);
	if (status == TZ_OK && source != NULL)
		status = keyring_fill(tz_buf_slice(&content), source, &err);
	tz_buf_wipe(&content);
	keyring_err = err;

	if (status != TZ_OK)
		ereport(
			WARNING, errcode(ERRCODE_CONFIG_FILE_ERROR), errmsg("theazo has no master key: %s", err.message),
			err.detail[0] != '\0' ? errdetail("%s", err.detail) : 0,
			errhint("%s The server starts; whatever needs a secret fails until it is restarted with a key.",
		            err.hint));
	else if (keyring != NULL)
		ereport(LOG, errmsg("theazo holds master keys: %d; the current one: \"%s\"", keyring->nkeys,
		                    keyring->fingerprint[0]));
}

int
tz_keyring_count(void)
{
	return keyring == NULL ? 0 : keyring->nkeys;
}

const uint8_t *
tz_keyring_key(int i, const char **fingerprint)
{
	Assert(i >= 0 && i < tz_keyring_count());
	*fingerprint = keyring->fingerprint[i];
	return keyring->key[i];
}

const uint8_t *
tz_keyring_find(TzSlice fingerprint)
{
	for (int i = 0; i < tz_keyring_count(); i++)
	{
		if (tz_slice_eq_cstr(fingerprint, keyring->fingerprint[i]))
			return keyring->key[i];
	}
	return NULL;
}

const char *
tz_keyring_source(void)
{
	return keyring == NULL ? "" : keyring->source;
}

void
tz_keyring_fault(TzErr *err)
{
	tz_err_set(err, TZ_UNAVAILABLE, "no master key is configured");
	if (keyring_err.message[0] != '\0')
		tz_err_detail(err, "%s%s%s", keyring_err.message, keyring_err.detail[0] != '\0' ? ": " : "",
		              keyring_err.detail);
	tz_err_hint(
		err, "%s",
		keyring_err.hint[0] != '\0'
			? keyring_err.hint
			: "Set theazo.master_key_file or theazo.master_key_command and restart the server with theazo in shared_preload_libraries.");
}

void *
tz_locked_memory(size_t size)
{
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
#ifdef MADV_DONTDUMP
	(void) madvise(page, size, MADV_DONTDUMP);
#endif
	if (mlock(page, size) != 0)
		ereport(LOG, errmsg("could not lock keys in memory: %m"),
		        errhint("Raise the limit of locked memory of the server process (LimitMEMLOCK, ulimit -l)."));
	return page;
}

/* *source stays NULL when nothing is configured, which is no fault. */
static TzStatus
keyring_read(const char **source, TzBuf *content, TzErr *err)
{
	const char *file = tz_guc_master_key_file;
	const char *command = tz_guc_master_key_command;
	bool has_file = file != NULL && file[0] != '\0';
	bool has_command = command != NULL && command[0] != '\0';
	TzStatus status;

	if (has_file && has_command)
	{
		tz_err_set(err, TZ_BAD_INPUT, "theazo.master_key_file and theazo.master_key_command are both set");
		tz_err_hint(
			err,
			"Set theazo.master_key_file or theazo.master_key_command, not both, and restart the server.");
		return TZ_BAD_INPUT;
	}
	if (has_file)
	{
		*source = "file";
		return keyring_read_file(file, content, err);
	}
	if (has_command)
	{
		*source = "command";
		status = tz_keycommand_run(command, KEY_COMMAND_TIMEOUT_MS, content, err);
		if (status != TZ_OK)
			tz_err_hint(
				err,
				"Correct theazo.master_key_command, which must print the key and exit with 0, and restart the server.");
		return status;
	}
	return TZ_OK;
}

static TzStatus
keyring_read_file(const char *path, TzBuf *content, TzErr *err)
{
	int fd;
	TzStatus status;

	/* not blocking, so that a named pipe cannot stop the start of the server */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
	{
		if (errno == ELOOP)
			status = tz_err_set(err, TZ_REFUSED, "master key file \"%s\" is a link", path);
		else
			status = tz_err_set(err, TZ_UNAVAILABLE, "could not open master key file \"%s\": %s", path,
			                    strerror(errno));
	}
	else
	{
		status = keyring_check_file(fd, path, err);
		if (status == TZ_OK && tz_buf_reserve(content, TZ_KEYFILE_MAX) != TZ_OK)
			status = tz_err_set(err, TZ_NOMEM, "out of memory");
		while (status == TZ_OK)
		{
			ssize_t n = read(fd, content->data + content->len, TZ_KEYFILE_MAX - content->len);

			if (n > 0)
				content->len += (size_t) n;
			else if (n == 0)
				break;
			else if (errno != EINTR)
				status = tz_err_set(err, TZ_UNAVAILABLE, "could not read master key file \"%s\": %s", path,
				                    strerror(errno));
		}
		close(fd);
	}
	if (status != TZ_OK)
		tz_err_hint(
			err,
			"Let theazo.master_key_file name a regular file of the server's user with mode 0600 or 0400 and restart the server.");
	return status;
}

/* On the open descriptor: a check by name could be of another file. */
static TzStatus
keyring_check_file(int fd, const char *path, TzErr *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return tz_err_set(err, TZ_UNAVAILABLE, "could not read master key file \"%s\": %s", path,
		                  strerror(errno));
	if (!S_ISREG(st.st_mode))
		return tz_err_set(err, TZ_REFUSED, "master key file \"%s\" is not a regular file", path);
	if ((st.st_mode & 077) != 0)
	{
		tz_err_set(err, TZ_REFUSED, "master key file \"%s\" is open to group or others", path);
		tz_err_detail(err, "Its mode is %04o.", (unsigned int) (st.st_mode & 07777));
		return TZ_REFUSED;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return tz_err_set(err, TZ_REFUSED, "master key file \"%s\" belongs to another user", path);
	if (st.st_size == 0)
		return tz_err_set(err, TZ_REFUSED, "master key file \"%s\" is empty", path);
	if (st.st_size > TZ_KEYFILE_MAX)
		return tz_err_set(err, TZ_TOO_LARGE, "master key file \"%s\" is longer than %d bytes", path,
		                  TZ_KEYFILE_MAX);
	if (path[0] != '/' || path_is_prefix_of_path(DataDir, path))
		ereport(WARNING, errmsg("master key file \"%s\" lies in the data directory", path),
		        errhint("Keep it elsewhere: a base backup would carry the key along with what it locks."));
	return TZ_OK;
}

static TzStatus
keyring_fill(TzSlice content, const char *source, TzErr *err)
{
	Keyring *ring = tz_locked_memory(sizeof(*ring));
	TzEnvelope *env = NULL;
	TzErr why;
	TzStatus status;

	if (ring == NULL)
		return tz_err_set(err, TZ_NOMEM, "out of memory");
	tz_err_clear(&why);
	status = tz_keyfile_parse(content, ring->key, &ring->nkeys, &why);
	if (status == TZ_OK)
		status = tz_envelope_new(&env, &why);
	for (int i = 0; status == TZ_OK && i < ring->nkeys; i++)
		status = tz_envelope_fingerprint(env, ring->key[i], ring->fingerprint[i], &why);
	tz_envelope_free(env);

	if (status != TZ_OK)
	{
		explicit_bzero(ring, sizeof(*ring));
		munmap(ring, sizeof(*ring));
		tz_err_set(err, status, "theazo.master_key_%s: %s", source, why.message);
		tz_err_detail(err, "%s", why.detail);
		tz_err_hint(
			err,
			"Let theazo.master_key_%s give one key of 256 bit a line in hex or base64, or 32 raw bytes, as `openssl rand -hex 32` makes, and restart the server.",
			source);
		return status;
	}
	ring->source = source;
	(void) mprotect(ring, sizeof(*ring), PROT_READ);
	keyring = ring;
	return TZ_OK;
}
