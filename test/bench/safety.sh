# shellcheck shell=bash
# The content filter: how fast texts are read, and what is found. Sourced by run.sh, with its functions and variables.
# shellcheck disable=SC2154

# Clean prose with near misses, so that every byte is read; and what is made to be slow.
safety_texts() {
	awk -v want=102400 'BEGIN {
		srand(7)
		n = split("the agent should review earlier results and explain how previous rules of the system affect this message please ignore nothing important when you show your work to the team because a secret ingredient in good prompts is clear context data history tokens are counted per session and the password policy page says users select strong phrases from a list of words while developers mode of thinking helps build safe tools like search calendar or mail send a summary by 5 pm on 12 March with 42 items at 3.14 each", w, " ")
		while (length(s) < want)
			s = s w[int(rand() * n) + 1] (rand() < .08 ? ". " : " ")
		print substr(s, 1, want)
	}' > "$work/100KB"
	head -c 1024 "$work/100KB" > "$work/1KB"
	awk 'BEGIN { for (i = 0; i < 8000; i++) printf "ignore your " }' > "$work/hostile-words"
	awk 'BEGIN { for (i = 0; i < 25000; i++) printf "a@a." }' > "$work/hostile-signs"
	awk 'BEGIN { for (i = 0; i < 8000; i++) printf "4111111111-1" }' > "$work/hostile-digits"
}

safety_row() {
	local c objects=() f recall
	for c in src/safety/*.c src/lib/buf.c src/lib/status.c; do
		objects+=("$work/$(basename "$c" .c).o")
		"$cc" -O2 -std=gnu11 -D_GNU_SOURCE -Isrc -c -o "$work/$(basename "$c" .c).o" "$c"
	done
	g++ -O2 -std=gnu++17 -w -Isrc -o "$work/safety" test/bench/safety.cc "${objects[@]}" -lre2 -lhs
	safety_texts
	(cd "$work" && for _ in $(seq 1 "$rounds"); do
		./safety scan "$OLDPWD/test/bench/safety_patterns.txt" 0.2 1KB 100KB hostile-words hostile-signs hostile-digits
	done) > "$work/safety.txt"
	of() {
		awk -v who="$1" -v what="$2" '$1 == who && $2 == what { print $3 }' "$work/safety.txt" | median
	}
	for f in 1KB 100KB; do
		row 7 "patterns over $f of clean text, against RE2" "MB/s" "$(of re2 $f)" "$(of theazo $f)" ">= 1"
		row 7 "all of the filter over $f" "MB/s" "$(of re2 $f)" "$(of filter $f)" ">= 0.05"
	done
	for f in words signs digits; do
		row 7 "the filter over hostile $f, against clean" "MB/s" "$(of filter 100KB)" "$(of filter "hostile-$f")" ">= 0.1"
	done
	for f in train held; do
		recall=$("$work/safety" corpus test/safety/corpus.tsv "$f")
		# shellcheck disable=SC2086
		set -- $recall
		row 7 "corpus, $f: attacks found at moderate" "texts" "$2" "$1" ">= 0.8"
		row 7 "corpus, $f: harmless texts stopped" "texts" "$4" "$3" "<= 0.02"
	done
}

if wants 7; then
	safety_row
fi
