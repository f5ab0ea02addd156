# routes.awk: from routes.tsv the SQL of the routes (want=sql), or the page about them (want=docs).

function quoted(s) { gsub(/'/, "''", s); return "'" s "'" }
function cell(s) { gsub(/\|/, "\\|", s); return s }

# One parameter into the arrays of this route; place: path, query or body.
function add(name, type, place, required) {
	n_par++
	p_name[n_par] = name
	p_type[n_par] = type
	p_place[n_par] = place
	p_req[n_par] = required
}

function parameters(method, path, text,    part, i, k, name, type, required) {
	n_par = 0
	k = split(path, part, "/")
	for (i = 1; i <= k; i++)
		if (part[i] ~ /^[:*]/)
			add(substr(part[i], 2), "text", "path", 1)
	if (text == "-")
		return
	k = split(text, part, " ")
	for (i = 1; i <= k; i++) {
		name = type = part[i]
		sub(/:.*/, "", name)
		sub(/.*:/, "", type)
		required = sub(/!$/, "", name)
		add(name, type, method == "GET" || method == "DELETE" ? "query" : "body", required)
	}
}

# A name of SQL: contract names are spelt in mixed case.
function ident(name) { return "\"" name "\"" }

function sql_row(operation, built, flags,    doc, i, list, k, part) {
	doc = ""
	for (i = 1; i <= n_par; i++)
		doc = doc (i > 1 ? ", " : "") "{\"name\": \"" p_name[i] "\", \"in\": \"" p_place[i] "\", \"type\": \"" p_type[i] \
			"\", \"required\": " (p_req[i] ? "true" : "false") "}"
	list = ""
	if (flags != "-") {
		k = split(flags, part, " ")
		for (i = 1; i <= k; i++)
			list = list (i > 1 ? "," : "") part[i]
	}
	values = values (values == "" ? "" : ",\n") "\t(" quoted($1) ", " quoted($2) ", " quoted(built ? operation : "not_built") ", " $4 \
		", '{" list "}'::text[], " quoted("[" doc "]") "::jsonb, " quoted($7) ")"
}

# The function of theazo_api. Arguments have the contract's names; what is not given is left out of the document.
function sql_function(operation, method, flags,    args, types, doc, i, type) {
	args = types = doc = ""
	for (i = 1; i <= n_par; i++) {
		type = method == "GET" || p_type[i] == "text" || p_place[i] == "path" ? "text" : "jsonb"
		args = args ident(p_name[i]) " " type (p_place[i] == "path" ? "" : " DEFAULT NULL") ", "
		types = types type ", "
		doc = doc (i > 1 ? ", " : "") quoted(p_name[i]) ", " ident(p_name[i])
	}
	if (flags ~ /body/) {
		args = args "body jsonb DEFAULT NULL, "
		types = types "jsonb, "
		doc = doc (doc == "" ? "" : ", ") "'$body', coalesce(body, '{}')"
	}
	printf "\nCREATE OR REPLACE FUNCTION theazo_api.%s(%sapi_key text DEFAULT NULL)\n", operation, args
	printf "RETURNS jsonb LANGUAGE sql %s\n", method == "GET" && flags !~ /write|wait/ ? "STABLE" : "VOLATILE"
	printf "RETURN theazo_internal.rest_call('%s', theazo_internal.rest_given(pg_catalog.jsonb_build_object(%s)), api_key);\n", operation, doc
	printf "COMMENT ON FUNCTION theazo_api.%s(%stext) IS\n%s;\n", operation, types, quoted($7 "\n" $1 " " $2)
}

function docs_row(operation, built, flags,    text, i) {
	text = ""
	for (i = 1; i <= n_par; i++)
		if (p_place[i] != "path")
			text = text (text == "" ? "" : ", ") "`" p_name[i] "` " p_type[i] (p_req[i] ? " (required)" : "")
	if (flags ~ /body/)
		text = "the body itself"
	printf "| `%s %s` | %s | %s | %s | %s |\n", $1, $2, cell(text), built ? $4 : 501, \
		built && flags !~ /stream/ ? "`theazo_api." operation "`" : "", cell($7 (built ? "" : " (not served by this version)"))
}

BEGIN { FS = "\t" }
/^#$/ || /^$/ { next }
/^## / {
	if (want == "docs")
		printf "\n## %s\n\n| route | parameters | OK | SQL | what it does |\n|---|---|---|---|---|\n", substr($0, 4)
	next
}
/^#/ { next }
{
	if (NF != 7) {
		print FILENAME ":" FNR ": " NF " fields instead of 7" > "/dev/stderr"
		failed = 1
		exit 1
	}
	built = $3 !~ /^-/
	operation = $3
	sub(/^-/, "", operation)
	parameters($1, $2, $6)
	if (want == "docs")
		docs_row(operation, built, $5)
	else {
		sql_row(operation, built, $5)
		if (built && $5 !~ /stream/ && !(operation in seen)) {
			seen[operation] = 1
			sql_function(operation, $1, $5)
		}
	}
}
END {
	if (want == "docs" || failed)
		exit failed
	printf "\nCREATE OR REPLACE FUNCTION theazo_internal.rest_routes()\n"
	printf "RETURNS TABLE (method text, path text, operation text, status integer, flags text[], parameters jsonb, summary text)\n"
	printf "LANGUAGE sql IMMUTABLE AS $$\nVALUES\n%s\n$$;\n", values
	printf "COMMENT ON FUNCTION theazo_internal.rest_routes() IS\n'every route of the REST face, with the operation that serves it and its parameters';\n"
}
