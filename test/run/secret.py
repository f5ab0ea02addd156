#!/usr/bin/env python3
"""Stores a secret of a platform as a bound parameter: it is part of no statement, no command line and no log.

	THEAZO_DEMO_SECRET=... THEAZO_DEMO_API_KEY=... secret.py NAME		(connects as the PG* variables say)

psql 15 cannot bind; libpq can, and whoever has psql has libpq.
"""

import ctypes
import os
import sys


def main():
    name, value, key = sys.argv[1], os.environ.pop("THEAZO_DEMO_SECRET"), os.environ.pop("THEAZO_DEMO_API_KEY")
    pq = ctypes.CDLL("libpq.so.5")
    pq.PQconnectdb.restype = pq.PQexecParams.restype = ctypes.c_void_p
    pq.PQerrorMessage.restype = pq.PQresultErrorMessage.restype = ctypes.c_char_p
    for function in (pq.PQstatus, pq.PQerrorMessage, pq.PQresultStatus, pq.PQresultErrorMessage, pq.PQfinish):
        function.argtypes = [ctypes.c_void_p]
    pq.PQexecParams.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p,
                                ctypes.POINTER(ctypes.c_char_p), ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int]
    conn = pq.PQconnectdb(b"")
    if pq.PQstatus(conn) != 0:
        sys.exit(pq.PQerrorMessage(conn).decode())
    given = (ctypes.c_char_p * 3)(name.encode(), value.encode(), key.encode())
    result = pq.PQexecParams(conn, b"SELECT name FROM theazo.secret_set($1, $2, api_key => $3)", 3, None, given, None, None, 0)
    if pq.PQresultStatus(result) != 2:
        sys.exit(pq.PQresultErrorMessage(result).decode())
    pq.PQfinish(conn)


if __name__ == "__main__":
    main()
