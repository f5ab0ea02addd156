/*-------------------------------------------------------------------------
 *
 * sse_page.c
 *	  Pages of rows that one stream has just looked at, for those who come after.
 *
 * Streams that follow the same thing drift apart when there is much to tell, as
 * their clients take it at different speeds. What is behind a place, if more
 * follows it, does not change: the next one is given the same bytes. Kept for a
 * moment and in a few places only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "gateway/sse.h"

#define PAGES 64
#define KEPT_MS 5000

typedef struct Page
{
	TzPushPage page;
	TzSseKind kind;
	uint32 hash;
	char *what;
	char *at;
	TzIdentity who;
	TimestampTz made;
} Page;

static Page pages[PAGES];
static int next_page = 0;
static int npages = 0;

static void page_free(Page *p);

bool
tz_push_same(const TzStream *s, TzSseKind kind, const char *what, const TzIdentity *who)
{
	const TzIdentity *mine = &s->r->identity;

	return s->kind == kind && strcmp(s->what, what) == 0 && strcmp(mine->platform, who->platform) == 0 &&
	       strcmp(mine->environment, who->environment) == 0 && strcmp(mine->session, who->session) == 0 &&
	       strcmp(mine->user_id, who->user_id) == 0 && strcmp(mine->actor_kind, who->actor_kind) == 0 &&
	       mine->nscopes == who->nscopes && memcmp(mine->scopes, who->scopes, sizeof(mine->scopes)) == 0;
}

const TzPushPage *
tz_push_page_find(const TzStream *s, TimestampTz now)
{
	for (int i = 0; i < PAGES; i++)
	{
		Page *p = &pages[i];

		if (p->page.piece == NULL || p->hash != s->hash || strcmp(p->at, s->at) != 0 ||
		    !tz_push_same(s, p->kind, p->what, &p->who))
			continue;
		if (now - p->made < (int64) KEPT_MS * 1000)
			return &p->page;
		page_free(p);
	}
	return NULL;
}

/* What does not fit into memory is looked at again. */
void
tz_push_page_keep(const TzStream *s, const TzPushPage *page, TimestampTz now)
{
	Page *p = &pages[next_page];

	next_page = (next_page + 1) % PAGES;
	page_free(p);
	p->kind = s->kind;
	p->hash = s->hash;
	p->who = s->r->identity;
	p->made = now;
	p->what = strdup(s->what);
	p->at = strdup(s->at);
	p->page.next = strdup(page->next);
	p->page.bell = strdup(page->bell);
	p->page.piece = page->piece;
	p->page.piece->refs++;
	npages++;
	if (p->what == NULL || p->at == NULL || p->page.next == NULL || p->page.bell == NULL)
		page_free(p);
}

void
tz_push_pages_forget(TimestampTz now)
{
	for (int i = 0; npages > 0 && i < PAGES; i++)
		if (pages[i].page.piece != NULL && now - pages[i].made >= (int64) KEPT_MS * 1000)
			page_free(&pages[i]);
}

static void
page_free(Page *p)
{
	if (p->page.piece != NULL)
		npages--;
	tz_push_release(p->page.piece);
	free(p->what);
	free(p->at);
	free(p->page.next);
	free(p->page.bell);
	memset(p, 0, sizeof(*p));
}
