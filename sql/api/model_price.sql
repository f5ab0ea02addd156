-- model_price.sql: what model calls cost.
--
-- Shipped list prices are a function, so an update can change them; what the operator sets are rows laid over it, each
-- valid from a moment on. A call is priced once, by what held when it was sent, and never again.

-- List prices as shipped, in US dollars per million tokens: input, read from a cache, written to a cache for 5 minutes and for an
-- hour, output; over so many prompt tokens the second five hold for the whole call. Where writing to a cache costs nothing extra,
-- what is written is prompt like any other. A tier is another way of serving the model at a price of its own.
CREATE OR REPLACE FUNCTION theazo_internal.model_price_book()
RETURNS TABLE (model text, valid_from timestamptz, input numeric, cache_read numeric, cache_write_5m numeric, cache_write_1h numeric, output numeric,
			   threshold_tokens integer, over_input numeric, over_cache_read numeric, over_cache_write_5m numeric, over_cache_write_1h numeric, over_output numeric,
			   tier text)
LANGUAGE sql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
	VALUES ('anthropic/claude-fable-5-1', '-infinity'::timestamptz, 10.0, 0.25, 12.5, 20.0, 50.0, NULL::integer, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, ''),
		   ('anthropic/claude-mythos-5-1', '-infinity', 10, 0.25, 12.5, 20, 50, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('anthropic/claude-opus-5-5', '-infinity', 4, 0.20, 5, 8, 20, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('anthropic/claude-opus-5-5', '-infinity', 8, 0.40, 10, 16, 40, NULL, NULL, NULL, NULL, NULL, NULL, 'fast'),
		   ('anthropic/claude-opus-5', '-infinity', 5, 0.50, 6.25, 10, 25, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('anthropic/claude-opus-4-8', '-infinity', 5, 0.50, 6.25, 10, 25, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('anthropic/claude-sonnet-5-5', '-infinity', 2, 0.20, 2.5, 4, 10, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('anthropic/claude-sonnet-5-5', '2026-10-07 00:00+00', 2, 0.10, 2.5, 4, 10, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('anthropic/claude-sonnet-4-6', '-infinity', 3, 0.30, 3.75, 6, 15, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('anthropic/claude-sonnet-4', '-infinity', 3, 0.30, 3.75, 6, 15, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('anthropic/claude-haiku-5-5', '-infinity', 0.10, 0.01, 0.125, 0.20, 0.50, 100000, 0.50, 0.05, 0.625, 1.00, 2.50, ''),
		   ('anthropic/claude-haiku-4-5', '-infinity', 1, 0.10, 1.25, 2, 5, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('openai/gpt-6-astra', '-infinity', 10, 1, 12.5, 12.5, 50, 272000, 20, 2, 25, 25, 75, ''),
		   ('openai/gpt-6.1-sol', '-infinity', 2, 0.10, 2.5, 2.5, 10, 272000, 4, 0.20, 5, 5, 15, ''),
		   ('openai/gpt-6-sol', '-infinity', 2, 0.20, 2.5, 2.5, 10, 272000, 4, 0.40, 5, 5, 15, ''),
		   ('openai/gpt-6-luna', '-infinity', 0.10, 0.01, 0.125, 0.125, 0.50, 272000, 0.20, 0.02, 0.25, 0.25, 0.75, ''),
		   ('openai/gpt-5.6-sol', '-infinity', 4, 0.40, 5, 5, 20, 272000, 8, 0.80, 10, 10, 30, ''),
		   ('openai/gpt-5.6-terra', '2026-07-30 00:00+00', 2, 0.20, 2.5, 2.5, 12, 272000, 4, 0.40, 5, 5, 18, ''),
		   ('openai/gpt-5.6-luna', '2026-07-30 00:00+00', 0.20, 0.02, 0.25, 0.25, 1.20, 272000, 0.40, 0.04, 0.50, 0.50, 1.80, ''),
		   ('openai/gpt-5.5', '-infinity', 5, 0.50, 5, 5, 30, 272000, 10, 1, 10, 10, 45, ''),
		   ('openai/gpt-5.4', '-infinity', 2.5, 0.25, 2.5, 2.5, 15, 272000, 5, 0.50, 5, 5, 22.5, ''),
		   ('openai/gpt-5.4-mini', '-infinity', 0.75, 0.075, 0.75, 0.75, 4.5, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('openai/gpt-5.4-nano', '-infinity', 0.20, 0.02, 0.20, 0.20, 1.25, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('openai/gpt-4.1', '-infinity', 2, 0.50, 2, 2, 8, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('openai/gpt-4o-mini', '-infinity', 0.15, 0.075, 0.15, 0.15, 0.60, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('google/gemini-3.5-flash', '-infinity', 1.5, 0.15, 1.5, 1.5, 9, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('google/gemini-2.5-flash', '-infinity', 0.30, 0.03, 0.30, 0.30, 2.5, NULL, NULL, NULL, NULL, NULL, NULL, ''),
		   ('google/gemini-2.5-pro', '-infinity', 1.25, 0.125, 1.25, 1.25, 10, 200000, 2.5, 0.25, 2.5, 2.5, 15, ''),
		   ('openai/text-embedding-3-small', '-infinity', 0.02, 0.02, 0.02, 0.02, 0, NULL, NULL, NULL, NULL, NULL, NULL, '')
$$;
COMMENT ON FUNCTION theazo_internal.model_price_book() IS 'list prices of models as shipped, US dollars per million tokens';

-- The prices that hold for a platform at a moment, in millionths of a cent per million tokens; null when there are none. Where
-- a tier has none the usual ones come back, and with them the tier they are for. p_provider: the operator's entry it goes through.
CREATE OR REPLACE FUNCTION theazo_internal.model_price_at(
	p_platform text, p_model text, p_at timestamptz, p_provider text DEFAULT '', p_tier text DEFAULT '')
RETURNS theazo_data.model_price
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v		theazo_data.model_price;
	v_tier	text := coalesce(p_tier, '');
BEGIN
	LOOP
		SELECT * INTO v FROM theazo_data.model_price p
		 WHERE p.platform_id IN (p_platform, theazo_internal.operator_platform()) AND p.model = p_model AND p.valid_from <= p_at
		   AND p.provider IN ('', p_provider) AND p.tier = v_tier
		 ORDER BY p.platform_id = p_platform DESC, p.provider = '', p.valid_from DESC LIMIT 1;
		IF NOT FOUND THEN
			SELECT NULL, b.model, b.valid_from, b.input * 1e8, b.cache_read * 1e8, b.cache_write_5m * 1e8, b.cache_write_1h * 1e8, b.output * 1e8,
				   b.threshold_tokens, b.over_input * 1e8, b.over_cache_read * 1e8, b.over_cache_write_5m * 1e8, b.over_cache_write_1h * 1e8,
				   b.over_output * 1e8, 'usd', '', b.tier, NULL::numeric INTO v
			  FROM theazo_internal.model_price_book() b
			 WHERE b.model = p_model AND b.valid_from <= p_at AND b.tier = v_tier ORDER BY b.valid_from DESC LIMIT 1;
		END IF;
		EXIT WHEN v.model IS NOT NULL OR v_tier = '';
		v_tier := '';
	END LOOP;
	RETURN v;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_price_at(text, text, timestamptz, text, text) IS
'list prices of a model at a moment: the platform''s own, else the operator''s, else as shipped';

-- List price of one call in millionths of a cent, not rounded.
CREATE OR REPLACE FUNCTION theazo_internal.model_cost(p_price theazo_data.model_price, p_usage jsonb)
RETURNS numeric
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	i	numeric := coalesce((p_usage ->> 'input')::numeric, 0);
	cr	numeric := coalesce((p_usage ->> 'cache_read')::numeric, 0);
	w5	numeric := coalesce((p_usage ->> 'cache_write_5m')::numeric, 0);
	w1	numeric := coalesce((p_usage ->> 'cache_write_1h')::numeric, 0);
	o	numeric := coalesce((p_usage ->> 'output')::numeric, 0);
	s	numeric := coalesce((p_usage ->> 'searches')::numeric * p_price.web_search, 0);
BEGIN
	-- The prompt counts with what came from a cache, and its length reprices the whole call.
	IF i + cr + w5 + w1 > p_price.threshold_tokens THEN
		RETURN (i * p_price.over_input + cr * p_price.over_cache_read + w5 * p_price.over_cache_write_5m
				+ w1 * p_price.over_cache_write_1h + o * p_price.over_output) / 1000000 + s;
	END IF;
	RETURN (i * p_price.input + cr * p_price.cache_read + w5 * p_price.cache_write_5m + w1 * p_price.cache_write_1h + o * p_price.output) / 1000000 + s;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_cost(theazo_data.model_price, jsonb) IS 'list price of one call, in millionths of a cent';

-- What a managed call costs at list price. Where it was several calls of several models inside one, each at its own. What is priced
-- by another row than its own (a tier or a model that has none, searches without a price) is an estimate.
CREATE OR REPLACE FUNCTION theazo_internal.model_list_price(
	p_platform text, p_entry jsonb, p_usage jsonb, p_at timestamptz, OUT amount numeric, OUT estimated boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
	v_tier	text := coalesce(p_usage ->> 'tier', '');
	v_entry	theazo_data.model_price := theazo_internal.model_price_at(p_platform, p_entry ->> 'model', p_at, p_entry ->> 'provider', v_tier);
	v		theazo_data.model_price;
	u		jsonb;
BEGIN
	estimated := coalesce(v_entry.tier <> v_tier OR (p_usage ->> 'searches')::bigint > 0 AND v_entry.web_search IS NULL, false);
	IF NOT p_usage ? 'iterations' THEN
		amount := theazo_internal.model_cost(v_entry, p_usage);
		RETURN;
	END IF;
	amount := theazo_internal.model_cost(v_entry, jsonb_build_object('searches', p_usage -> 'searches'));
	FOR u IN SELECT x FROM jsonb_array_elements(p_usage -> 'iterations') x
	LOOP
		v := v_entry;
		IF u ? 'model' THEN
			v := theazo_internal.model_price_at(p_platform, theazo_internal.model_id(u ->> 'model'), p_at, p_entry ->> 'provider', v_tier);
			IF v.model IS NULL THEN
				v := v_entry;
				estimated := true;
			END IF;
		END IF;
		amount := amount + theazo_internal.model_cost(v, u);
	END LOOP;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_list_price(text, jsonb, jsonb, timestamptz) IS
'list price of a managed call in millionths of a cent, and whether it is an estimate';

-- Books one model call: managed at list price and the operator's markup, else nothing but the counts. Its price is the one that
-- held when it was sent. Returns the amount.
CREATE OR REPLACE FUNCTION theazo_internal.model_charge(
	e theazo_data.effect, r theazo_data.run, p_entry jsonb, p_usage jsonb, p_finished timestamptz)
RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
	v_managed	boolean := (p_entry ->> 'managed')::boolean;
	v_at		timestamptz := coalesce(e.claimed_at, now());
	v_amount	bigint := 0;
	v_list		numeric;
	v_estimated	boolean := coalesce((p_usage ->> 'estimated')::boolean, false);
	v_guessed	boolean;
	v_told		numeric;
	v_input		bigint := coalesce((p_usage ->> 'input')::bigint, 0) + coalesce((p_usage ->> 'cache_write_5m')::bigint, 0)
					+ coalesce((p_usage ->> 'cache_write_1h')::bigint, 0);
	v_cached	bigint := coalesce((p_usage ->> 'cache_read')::bigint, 0);
	v_output	bigint := coalesce((p_usage ->> 'output')::bigint, 0);
BEGIN
	IF v_managed THEN
		SELECT p.amount, p.estimated INTO v_list, v_guessed FROM theazo_internal.model_list_price(e.platform_id, p_entry, p_usage, v_at) p;
		v_amount := theazo_internal.amount_round(v_list * (1 + theazo_internal.price_at(e.platform_id, 'model.markup', v_at) / 100000000));
		v_estimated := v_estimated OR v_guessed;
	END IF;
	-- Text from outside: a number of a size to believe, or nothing.
	IF p_usage ->> 'provider_cost_usd' ~ '^[0-9]{1,6}(\.[0-9]{1,20})?([eE]-?[0-9]{1,2})?$' THEN
		v_told := round((p_usage ->> 'provider_cost_usd')::numeric * 100, 6);
	END IF;
	PERFORM theazo_internal.charge_append(e.platform_id, e.root_id,
		theazo_internal.id_derive('chg', e.id, e.id || '|' || e.attempt || '|model.call'), r.environment, r.session_id,
		r.agent_id, r.id, r.user_id, e.id, 'model.call', v_input + v_cached + v_output, v_amount,
		CASE WHEN v_managed THEN 'theazo' ELSE 'provider' END, p_entry ->> 'shown', p_entry ->> 'model', v_input, v_cached, v_output,
		v_estimated, e.claimed_at, p_finished, p_finished, CASE WHEN NOT v_managed THEN v_told END);
	RETURN v_amount;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_charge(theazo_data.effect, theazo_data.run, jsonb, jsonb, timestamptz) IS
'books the tokens of one model call and returns the amount';

-- A call whose answer never came: the prompt by its length, four characters a token, and no output.
CREATE OR REPLACE FUNCTION theazo_internal.usage_estimate(e theazo_data.effect)
RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
	SELECT jsonb_build_object('input', ceil((coalesce(max(length(l.system) + CASE WHEN l.tools = '[]' THEN 0 ELSE length(l.tools::text) END), 0)
				+ coalesce(sum(length(m.wire)), 0)) / 4.0)::bigint, 'output', 0, 'estimated', true)
	  FROM theazo_data.run_loop l
	  LEFT JOIN theazo_data.message m ON m.platform_id = l.platform_id AND m.root_id = ANY (l.prior || l.root_id::text)
	 WHERE l.platform_id = e.platform_id AND l.root_id = e.root_id
$$;
COMMENT ON FUNCTION theazo_internal.usage_estimate(theazo_data.effect) IS 'tokens of a call whose answer never came, estimated and flagged';

-- ----------------------------------------------------------------------------
-- The operator's prices
-- ----------------------------------------------------------------------------
CREATE OR REPLACE VIEW theazo.model_prices WITH (security_barrier) AS
	SELECT NULL::text AS platform_id, b.model, (b.input * 100)::numeric(30,6) AS input, (b.cache_read * 100)::numeric(30,6) AS cache_read,
		   (b.cache_write_5m * 100)::numeric(30,6) AS cache_write_5m, (b.cache_write_1h * 100)::numeric(30,6) AS cache_write_1h,
		   (b.output * 100)::numeric(30,6) AS output, b.threshold_tokens, (b.over_input * 100)::numeric(30,6) AS over_input,
		   (b.over_cache_read * 100)::numeric(30,6) AS over_cache_read, (b.over_cache_write_5m * 100)::numeric(30,6) AS over_cache_write_5m,
		   (b.over_cache_write_1h * 100)::numeric(30,6) AS over_cache_write_1h, (b.over_output * 100)::numeric(30,6) AS over_output,
		   'usd'::text AS currency, nullif(b.valid_from, '-infinity') AS valid_from, 'shipped'::text AS source,
		   NULL::text AS provider, nullif(b.tier, '') AS tier, NULL::numeric(30,6) AS web_search
	  FROM theazo_internal.model_price_book() b
	UNION ALL
	SELECT p.platform_id::text, p.model, (p.input / 1000000)::numeric(30,6), (p.cache_read / 1000000)::numeric(30,6),
		   (p.cache_write_5m / 1000000)::numeric(30,6), (p.cache_write_1h / 1000000)::numeric(30,6), (p.output / 1000000)::numeric(30,6),
		   p.threshold_tokens, (p.over_input / 1000000)::numeric(30,6), (p.over_cache_read / 1000000)::numeric(30,6),
		   (p.over_cache_write_5m / 1000000)::numeric(30,6), (p.over_cache_write_1h / 1000000)::numeric(30,6),
		   (p.over_output / 1000000)::numeric(30,6), p.currency, p.valid_from,
		   CASE WHEN p.platform_id = theazo_internal.operator_platform() THEN 'operator' ELSE 'platform' END,
		   nullif(p.provider, ''), nullif(p.tier, ''), (p.web_search / 1000000)::numeric(30,6)
	  FROM theazo_data.model_price p;
COMMENT ON VIEW theazo.model_prices IS
'operator: list prices of models in cents per million tokens, and per web search: shipped, set by the operator, and set for one platform, one provider or one tier; managed calls cost these plus model.markup';

CREATE OR REPLACE FUNCTION theazo_internal.model_price_check(p_field text, p_cents numeric)
RETURNS numeric
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
	IF p_cents IS NULL OR p_cents = 'NaN' OR p_cents < 0 OR p_cents > 100000000 THEN
		PERFORM theazo_internal.raise_value(p_field, 'must be from 0 to 100000000 cents', 'The amount is in cents per million tokens; fractions are allowed.');
	END IF;
	RETURN p_cents * 1000000;
END
$$;
COMMENT ON FUNCTION theazo_internal.model_price_check(text, numeric) IS 'cents per million tokens as millionths of a cent';

CREATE OR REPLACE FUNCTION theazo.model_price_set(
	model text, input numeric, output numeric, cache_read numeric DEFAULT NULL, cache_write_5m numeric DEFAULT NULL,
	cache_write_1h numeric DEFAULT NULL, threshold_tokens integer DEFAULT NULL, over_input numeric DEFAULT NULL,
	over_output numeric DEFAULT NULL, over_cache_read numeric DEFAULT NULL, over_cache_write_5m numeric DEFAULT NULL,
	over_cache_write_1h numeric DEFAULT NULL, valid_from timestamptz DEFAULT NULL, platform text DEFAULT NULL,
	provider text DEFAULT NULL, tier text DEFAULT NULL, web_search numeric DEFAULT NULL)
RETURNS theazo.model_prices
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
	v_id		text := theazo_internal.model_id(theazo_internal.name_check('model', model, 200));
	v_from		timestamptz := coalesce(valid_from, now());
	v_platform	text := coalesce(platform, theazo_internal.operator_platform());
	v			theazo_data.model_price;
	v_out		theazo.model_prices;
BEGIN
	IF v_from < now() - '1 minute'::interval THEN
		PERFORM theazo_internal.raise_value('valid_from', 'cannot be in the past', 'What is booked stays booked; leave it out to begin now.');
	ELSIF NOT isfinite(v_from) THEN
		PERFORM theazo_internal.raise_value('valid_from', 'must be a moment', 'Leave it out to begin now.');
	ELSIF threshold_tokens < 1 OR threshold_tokens > 1000000000 THEN
		PERFORM theazo_internal.raise_value('threshold_tokens', 'must be from 1 to 1000000000');
	ELSIF threshold_tokens IS NULL AND num_nonnulls(over_input, over_output, over_cache_read, over_cache_write_5m, over_cache_write_1h) > 0 THEN
		PERFORM theazo_internal.raise_value('threshold_tokens', 'is needed for prices over it');
	ELSIF platform IS NOT NULL AND NOT EXISTS (SELECT FROM theazo_data.platform p WHERE p.platform_id = platform AND p.state <> 'reserved') THEN
		RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('platform "%s" does not exist', platform),
			HINT = 'theazo.operator_platforms lists them.';
	ELSIF provider IS NOT NULL AND NOT EXISTS (SELECT FROM theazo_data.provider p
		WHERE p.platform_id = theazo_internal.operator_platform() AND p.kind = 'model' AND p.name = provider) THEN
		RAISE EXCEPTION USING ERRCODE = '42704', MESSAGE = format('provider "%s" does not exist', provider),
			HINT = 'theazo.operator_providers lists them.';
	ELSIF tier IS NOT NULL AND tier !~ '^[a-z0-9_-]{1,31}$' THEN
		PERFORM theazo_internal.raise_value('tier', 'must be a name as the vendor gives it', 'Such as fast, priority or flex.');
	END IF;
	v := ROW(v_platform, v_id, v_from, theazo_internal.model_price_check('input', input),
		-- What is read from or written to a cache is prompt like any other where nothing else is said.
		theazo_internal.model_price_check('cache_read', coalesce(cache_read, input)),
		theazo_internal.model_price_check('cache_write_5m', coalesce(cache_write_5m, input)),
		theazo_internal.model_price_check('cache_write_1h', coalesce(cache_write_1h, cache_write_5m, input)),
		theazo_internal.model_price_check('output', output), threshold_tokens, NULL, NULL, NULL, NULL, NULL, 'usd',
		coalesce(provider, ''), coalesce(tier, ''), CASE WHEN web_search IS NOT NULL THEN theazo_internal.model_price_check('web_search', web_search) END);
	IF threshold_tokens IS NOT NULL THEN
		v.over_input := theazo_internal.model_price_check('over_input', over_input);
		v.over_output := theazo_internal.model_price_check('over_output', over_output);
		v.over_cache_read := theazo_internal.model_price_check('over_cache_read', coalesce(over_cache_read, over_input));
		v.over_cache_write_5m := theazo_internal.model_price_check('over_cache_write_5m', coalesce(over_cache_write_5m, over_input));
		v.over_cache_write_1h := theazo_internal.model_price_check('over_cache_write_1h', coalesce(over_cache_write_1h, over_cache_write_5m, over_input));
	END IF;
	-- The same moment again is a correction before it began.
	DELETE FROM theazo_data.model_price p
	 WHERE p.platform_id = v.platform_id AND p.model = v.model AND p.provider = v.provider AND p.tier = v.tier AND p.valid_from = v.valid_from;
	INSERT INTO theazo_data.model_price SELECT v.*;
	PERFORM theazo_internal.event_write(v_platform, 'control', 'model_price_set', jsonb_strip_nulls(jsonb_build_object(
		'model', v_id, 'input', input, 'output', output, 'cacheRead', cache_read, 'cacheWrite5m', cache_write_5m, 'cacheWrite1h', cache_write_1h,
		'thresholdTokens', threshold_tokens, 'overInput', over_input, 'overOutput', over_output, 'valid_from', v_from, 'provider', provider, 'tier', tier, 'webSearch', web_search)),
		NULL, NULL, NULL, 'live');
	SELECT * INTO v_out FROM theazo.model_prices x
	 WHERE x.platform_id = v_platform AND x.model = v_id AND x.valid_from = v_from AND x.provider IS NOT DISTINCT FROM provider
	   AND x.tier IS NOT DISTINCT FROM tier;
	RETURN v_out;
END
$$;
COMMENT ON FUNCTION theazo.model_price_set(text, numeric, numeric, numeric, numeric, numeric, integer, numeric, numeric, numeric, numeric, numeric, timestamptz, text, text, text, numeric) IS
'operator: sets the list price of a model in cents per million tokens from a moment on, for everyone or for one platform, through one of the operator''s providers or in one tier of service; over threshold_tokens of prompt the over_ prices hold for the whole call; web_search is per search';
