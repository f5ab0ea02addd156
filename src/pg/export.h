/*-------------------------------------------------------------------------
 *
 * export.h
 *	  What the server may call in this library.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_EXPORT_H
#define TZ_EXPORT_H

#include "fmgr.h"

/* Must equal default_version in theazo.control. */
#ifndef THEAZO_VERSION
#define THEAZO_VERSION "0.1.0"
#endif

/*
 * A function callable from SQL: prototype, info record and head.
 *
 *		THEAZO_FUNCTION(theazo_wake)
 *		{
 *			PG_RETURN_VOID();
 *		}
 */
#define THEAZO_FUNCTION(name)                        \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name);                       \
	Datum name(PG_FUNCTION_ARGS)

#endif /* TZ_EXPORT_H */
