/*-------------------------------------------------------------------------
 *
 * spend.h
 *	  What a charge spends of budgets.
 *
 * Include after postgres.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TZ_SPEND_H
#define TZ_SPEND_H

/* platform, charge, environment, session, user, amount, when, run or sandbox whose reservation it was */
#define TZ_SPEND_VALUES 8

/*
 * Beside a charge, in its transaction: the amount counts as spent, and that much less
 * is reserved. ends: the call it was reserved for is over, so the rest is free for the
 * run's next ones. The caller has locked the agent.
 */
extern void tz_spend_note(const Datum *values, const bool *nulls, bool ends);

#endif /* TZ_SPEND_H */
