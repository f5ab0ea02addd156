/*-------------------------------------------------------------------------
 *
 * jansson.h
 *	  The JSON library, without the one name it shares with the server.
 *
 * PostgreSQL exports a function json_object() of its own, and the symbols of
 * the program win over those of a library: inside the server a plain call would
 * land there and crash. So the name is replaced before the library's header is
 * read. Include this and never <jansson.h>; after postgres.h and the server's
 * headers, where there are any.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_JANSSON_H
#define TZ_JANSSON_H

#define json_object tz_jansson_object
#include <jansson.h>

#endif /* TZ_JANSSON_H */
