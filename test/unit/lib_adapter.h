/* What tests of adapters share: an effect to carry out, headers of what is sent, recorded cases. */
#ifndef TZ_LIB_ADAPTER_H
#define TZ_LIB_ADAPTER_H

#include "adapter/adapter.h"

/* An effect whose request is this text. *doc holds the document; the one before it is let go. */
extern TzEffect adapter_effect(const char *kind, const char *op, const char *text, json_t **doc);

/* The value of a header, named in the case in which it is sent, or in any. NULL: none. */
extern const char *adapter_header(const TzHttpRequest *req, const char *name);
extern const char *adapter_header_any_case(const TzHttpRequest *req, const char *name);

/* Each test of a file of recorded answers. */
extern void adapter_run_file(const char *path, void (*run_case)(json_t *test));

#endif /* TZ_LIB_ADAPTER_H */
