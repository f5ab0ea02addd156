-- charge.sql: the price book and the ledger.
--
-- Money is bigint millionths of a cent. Shipped prices are a function, so an update can change
-- them; what the operator sets are rows laid over it, each valid from a moment on. A charge's id is
-- derived from its cause, so the same cause is booked once.

CREATE OR REPLACE FUNCTION theazo_internal.price_book()
RETURNS TABLE (item text, amount numeric, unit text, currency text, description text)
LANGUAGE sql IMMUTABLE
AS $$
	VALUES ('compute.hour', 10000000::numeric, 'hour', 'usd', 'managed sandbox, by started second of uptime'),
		   ('compute.hour.browser', 15000000, 'hour', 'usd', 'managed sandbox with a browser'),
		   ('agent.fee', 2000000, 'agent', 'usd', 'agent on the platform''s own compute, once at creation'),
		   ('model.markup', 10000000, 'percent', 'usd', 'on the list price of managed models'),
		   ('workflow.run', 1000000, 'run', 'usd', 'workflow run'),
		   ('fleet.dispatch', 1000000, 'dispatch', 'usd', 'fleet dispatch'),
		   ('approval.cycle', 1000000, 'approval', 'usd', 'approval cycle'),
		   ('schedule.execution', 1000000, 'execution', 'usd', 'scheduled execution'),
		   ('safety.moderation', 0, 'call', 'usd', 'text shown to the operator''s moderation endpoint'),
		   ('storage.gb_month', 10000000, 'GB and month', 'usd', 'snapshots, artifacts, files and knowledge')
$$;
COMMENT ON FUNCTION theazo_internal.price_book() IS 'prices as shipped, in millionths of a cent per unit';

-- The price of an item at a moment: the platform's own row, else the operator's, else the book's.
CREATE OR REPLACE FUNCTION theazo_internal.price_at(p_platform text, p_item text, p_at timestamptz)
RETURNS numeric
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_amount numeric;
BEGIN
	SELECT p.amount INTO v_amount FROM theazo_data.price p
	 WHERE p.platform_id = p_platform AND p.item = p_item AND p.valid_from <= p_at
	 ORDER BY p.valid_from DESC LIMIT 1;
	IF NOT FOUND THEN
		SELECT p.amount INTO v_amount FROM theazo_data.price p
		 WHERE p.platform_id = theazo_internal.operator_platform() AND p.item = p_item AND p.valid_from <= p_at
		 ORDER BY p.valid_from DESC LIMIT 1;
	END IF;
	IF NOT FOUND THEN
		SELECT b.amount INTO v_amount FROM theazo_internal.price_book() b WHERE b.item = p_item;
	END IF;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = format('there is no price for "%s"', p_item),
			HINT = 'Set one with theazo.price_set().';
	END IF;
	RETURN v_amount;
END
$$;
COMMENT ON FUNCTION theazo_internal.price_at(text, text, timestamptz) IS 'price of an item at a moment, in millionths of a cent per unit';

-- Rounded half up, once per charge; overflow is an error, never a wrong amount.
CREATE OR REPLACE FUNCTION theazo_internal.amount_round(p_amount numeric)
RETURNS bigint
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	-- round() rounds ties away from zero; half up means towards plus infinity, which differs for refunds.
	v numeric := floor(p_amount + 0.5);
BEGIN
	IF v > 9223372036854775807 OR v < -9223372036854775808 THEN
		RAISE EXCEPTION USING ERRCODE = '22003',
			MESSAGE = 'amount of a charge is out of range',
			DETAIL = format('%s millionths of a cent do not fit into 64 bits.', v),
			HINT = 'Check the price with theazo.prices.';
	END IF;
	RETURN v::bigint;
END
$$;
COMMENT ON FUNCTION theazo_internal.amount_round(numeric) IS 'rounds an amount half up to whole millionths of a cent';

-- The row of a charge that is new for certain, without a statement; only the owners may call this.
CREATE OR REPLACE FUNCTION theazo_internal.charge_append(
	p_platform text, p_root text, p_id text, p_environment text, p_session text, p_agent text, p_run text, p_user text, p_effect text,
	p_item text, p_quantity numeric, p_amount bigint, p_payer text, p_provider text, p_model text, p_input bigint, p_cached bigint,
	p_output bigint, p_estimated boolean, p_start timestamptz, p_end timestamptz, p_occurred timestamptz, p_provider_cents numeric)
RETURNS void LANGUAGE c AS 'MODULE_PATHNAME', 'theazo_charge_append';
COMMENT ON FUNCTION theazo_internal.charge_append(text, text, text, text, text, text, text, text, text, text, numeric, bigint, text, text, text,
	bigint, bigint, bigint, boolean, timestamptz, timestamptz, timestamptz, numeric) IS 'the row of a charge for tokens';

-- Books one charge. Returns its amount; a charge that exists already is left alone and its amount returned.
CREATE OR REPLACE FUNCTION theazo_internal.charge_write(
	p_platform text, p_root text, p_id text, p_environment text, p_session text, p_agent text, p_run text,
	p_user text, p_effect text, p_sandbox text, p_item text, p_quantity numeric, p_amount bigint,
	p_payer text, p_provider text, p_estimated boolean DEFAULT false,
	p_start timestamptz DEFAULT NULL, p_end timestamptz DEFAULT NULL, p_model text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_amount bigint;
BEGIN
	SELECT c.amount INTO v_amount FROM theazo_data.charge c
	 WHERE c.platform_id = p_platform AND c.root_id = p_root AND c.id = p_id;
	IF FOUND THEN
		RETURN v_amount;
	END IF;
	INSERT INTO theazo_data.charge (platform_id, root_id, id, environment, session_id, agent_id, run_id, user_id,
									effect_id, sandbox_id, item, quantity, amount, payer, provider, model,
									estimated, interval_start, interval_end, occurred_at)
	VALUES (p_platform, p_root, p_id, p_environment, p_session, p_agent, p_run, p_user,
			p_effect, p_sandbox, p_item, p_quantity, p_amount, p_payer, p_provider, p_model,
			p_estimated, p_start, p_end, coalesce(p_end, now()));
	PERFORM theazo_internal.spend_append(p_platform, p_id, p_environment, p_session, p_user, p_amount, coalesce(p_end, now()),
		coalesce(p_sandbox, p_run, p_agent), false);
	RETURN p_amount;
END
$$;
COMMENT ON FUNCTION theazo_internal.charge_write(text, text, text, text, text, text, text, text, text, text, text,
	numeric, bigint, text, text, boolean, timestamptz, timestamptz, text) IS
'books one charge unless it exists and returns its amount';

-- A fee counted in pieces (agent.fee, workflow.run ...), booked once for the object that caused it.
CREATE OR REPLACE FUNCTION theazo_internal.fee_write(
	p_platform text, p_item text, p_cause text, p_environment text, p_session text, p_agent text, p_run text,
	p_user text, p_provider text)
RETURNS bigint
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT theazo_internal.charge_write(
		p_platform, theazo_internal.id_root(coalesce(p_run, p_cause)),
		theazo_internal.id_derive('chg', p_cause, p_cause || '|' || p_item),
		p_environment, p_session, p_agent, p_run, p_user, NULL, NULL, p_item, 1,
		theazo_internal.amount_round(theazo_internal.price_at(p_platform, p_item, now())),
		'theazo', p_provider)
$$;
COMMENT ON FUNCTION theazo_internal.fee_write(text, text, text, text, text, text, text, text, text) IS
'books a fee once for the object that caused it';

CREATE OR REPLACE FUNCTION theazo_internal.cents(p_amount bigint)
RETURNS numeric
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$ SELECT (p_amount::numeric / 1000000)::numeric(30,6) $$;
COMMENT ON FUNCTION theazo_internal.cents(bigint) IS 'millionths of a cent as cents';

CREATE OR REPLACE VIEW theazo.charges WITH (security_barrier) AS
	SELECT c.id, c.environment, c.session_id, c.agent_id, c.run_id, c.user_id, c.effect_id, c.sandbox_id,
		   c.item, c.quantity, (c.amount::numeric / 1000000)::numeric(30,6) AS cents, c.amount, c.currency, c.payer,
		   c.provider, c.model, c.input_tokens, c.cached_tokens, c.output_tokens, c.estimated, c.interval_start, c.interval_end, c.occurred_at,
		   c.provider_cents
	  FROM theazo_data.charge c
	 WHERE (SELECT theazo_internal.may_read('usage:read'));
COMMENT ON VIEW theazo.charges IS
'ledger of the platform; amount is in millionths of a cent; input_tokens are those that did not come from a cache; provider_cents is what a provider of one''s own says the call costs there, for information';

-- What applies now, for the operator.
CREATE OR REPLACE VIEW theazo.prices WITH (security_barrier) AS
	SELECT NULL::text AS platform_id, b.item, (b.amount / 1000000)::numeric(30,6) AS cents, b.unit, b.currency,
		   NULL::timestamptz AS valid_from, 'shipped'::text AS source
	  FROM theazo_internal.price_book() b
	UNION ALL
	SELECT p.platform_id::text, p.item, (p.amount / 1000000)::numeric(30,6), p.unit, p.currency, p.valid_from,
		   CASE WHEN p.platform_id = theazo_internal.operator_platform() THEN 'operator' ELSE 'platform' END
	  FROM theazo_data.price p;
COMMENT ON VIEW theazo.prices IS 'prices in cents: shipped, set by the operator, and set for one platform';

CREATE OR REPLACE FUNCTION theazo.price_set(item text, cents numeric, valid_from timestamptz DEFAULT NULL, platform text DEFAULT NULL)
RETURNS theazo.prices
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	v_from		timestamptz := coalesce(valid_from, now());
	v_platform	text := coalesce(platform, theazo_internal.operator_platform());
	v_unit		text;
	v_out		theazo.prices;
BEGIN
	SELECT b.unit INTO v_unit FROM theazo_internal.price_book() b WHERE b.item = price_set.item;
	IF NOT FOUND THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = format('price item %s does not exist', theazo_internal.quoted(item)),
			HINT = format('Use one of %s.', (SELECT string_agg(b.item, ', ' ORDER BY b.item) FROM theazo_internal.price_book() b));
	END IF;
	IF cents IS NULL OR cents < 0 OR cents > 1000000000 OR cents = 'NaN' THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = format('price of "%s" must be between 0 and 1000000000 cents', item),
			HINT = 'The amount is in cents per unit; fractions are allowed.';
	END IF;
	IF v_from < now() - '1 minute'::interval THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = format('price of "%s" cannot begin in the past', item),
			HINT = 'What is booked stays booked; leave valid_from out to begin now.';
	END IF;
	IF NOT isfinite(v_from) THEN
		RAISE EXCEPTION USING ERRCODE = '22023',
			MESSAGE = format('price of "%s" must begin at a moment', item),
			HINT = 'Leave valid_from out to begin now.';
	END IF;
	IF platform IS NOT NULL AND NOT EXISTS (SELECT FROM theazo_data.platform p WHERE p.platform_id = price_set.platform) THEN
		RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('platform "%s" does not exist', platform);
	END IF;
	INSERT INTO theazo_data.price AS p (platform_id, item, valid_from, amount, unit)
	VALUES (v_platform, item, v_from, cents * 1000000, v_unit)
	ON CONFLICT ON CONSTRAINT price_pkey DO UPDATE SET amount = excluded.amount;
	PERFORM theazo_internal.event_write(v_platform, 'control', 'price_set',
		jsonb_build_object('item', item, 'cents', cents, 'valid_from', v_from), NULL, NULL, NULL, 'live');
	SELECT * INTO v_out FROM theazo.prices x
	 WHERE x.platform_id = v_platform AND x.item = price_set.item AND x.valid_from = v_from;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.price_set(text, numeric, timestamptz, text) IS
'operator: sets a price in cents per unit from a moment on, for everyone or for one platform';
