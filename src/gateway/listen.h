/*-------------------------------------------------------------------------
 *
 * listen.h
 *	  The sockets that gateway workers accept from.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_LISTEN_H
#define TZ_LISTEN_H

/* Opens them; called once, while the postmaster loads libraries, after the settings. */
extern void tz_listen_init(void);

/* Which address is this database's: the one that names it, else the first that names none; -1 for none. */
extern int tz_listen_entry(const char *dbname);

/* Why nobody can accept from it (a literal, or one that lives as long as the server), or NULL. */
extern const char *tz_listen_trouble(int entry);

extern int tz_listen_fd(int entry);
extern int tz_listen_port(int entry);

#endif /* TZ_LISTEN_H */
