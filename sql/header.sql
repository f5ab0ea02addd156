\echo Use "CREATE EXTENSION theazo CASCADE" to load this file. \quit
