/*
 * safety.cc: the content filter against an RE2 set, in megabytes of CPU time's second, and what it finds in the corpus.
 *
 *	safety scan PATTERNS SECONDS TEXT...	lines "who file MB/s"
 *	safety corpus FILE SPLIT				"found of wrong of": attacks found, of how many, harmless stopped, of how many
 */
#include <re2/re2.h>
#include <re2/set.h>

#include <ctime>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

extern "C" {
#include "safety/guard.h"
#include "safety/pii.h"
}

static double
now()
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static std::string
slurp(const char *name)
{
	std::ifstream in(name, std::ios::binary);
	std::stringstream all;

	all << in.rdbuf();
	return all.str();
}

template <typename Scan>
static void
time_it(const char *who, const char *file, const std::string &text, double seconds, Scan scan)
{
	double from = now();
	long n = 0;

	do
	{
		scan(text);
		n++;
	} while (now() - from < seconds);
	std::cout << who << " " << file << " " << n * (double) text.size() / (now() - from) / 1e6 << "\n";
}

static bool
on_match(void *arg, uint32_t, size_t)
{
	*static_cast<bool *>(arg) = true;
	return true;
}

static int
scan(int argc, char **argv)
{
	std::ifstream in(argv[2]);
	std::string line;
	std::vector<std::string> all, rest;
	std::vector<TzPattern> patterns;
	bool personal = false;
	RE2::Options options;
	TzMatcher *matcher;
	TzScorer *scorer;
	TzErr err;

	/* what is personal data has scanners of its own; everything else is one set */
	while (std::getline(in, line))
	{
		if (line[0] == '#')
			personal = line == "# PII";
		else
		{
			all.push_back(line);
			if (!personal)
				rest.push_back(line);
		}
	}
	options.set_case_sensitive(false);
	options.set_never_capture(true);
	options.set_max_mem(64 << 20);
	RE2::Set set(options, RE2::UNANCHORED);
	for (auto &p : all)
		set.Add(p, nullptr);
	set.Compile();
	for (size_t i = 0; i < rest.size(); i++)
		patterns.push_back({(uint32_t) i, rest[i].c_str()});
	if (tz_matcher_expressions(patterns.data(), patterns.size(), &matcher, &err) != TZ_OK || tz_scorer_create(&scorer, &err) != TZ_OK)
	{
		std::cerr << err.message << "\n";
		return 1;
	}
	for (int i = 4; i < argc; i++)
	{
		std::string text = slurp(argv[i]);
		double seconds = atof(argv[3]);

		time_it("re2", argv[i], text, seconds, [&](const std::string &t) {
			std::vector<int> hits;

			set.Match(t, &hits);
		});
		time_it("theazo", argv[i], text, seconds, [&](const std::string &t) {
			bool hit = false;
			TzPii find;

			tz_matcher_scan(matcher, {t.data(), t.size()}, on_match, &hit);
			tz_pii_next({t.data(), t.size()}, 0, &find);
		});
		time_it("filter", argv[i], text, seconds, [&](const std::string &t) {
			TzFinding finding = {};
			TzPii find;

			tz_scorer_scan(scorer, {t.data(), t.size()}, &finding);
			for (size_t at = 0; tz_pii_next({t.data(), t.size()}, at, &find);)
				at = find.end;
		});
	}
	return 0;
}

static int
corpus(const char *file, const char *split)
{
	std::ifstream in(file);
	std::string line, column[5];
	TzScorer *scorer;
	TzErr err;
	long found = 0, attacks = 0, wrong = 0, harmless = 0;

	if (tz_scorer_create(&scorer, &err) != TZ_OK)
		return 1;
	while (std::getline(in, line))
	{
		std::stringstream row(line);
		TzFinding finding = {};
		TzScores scores;
		bool stopped;

		for (auto &c : column)
			std::getline(row, c, '\t');
		if (column[1] != split || tz_scorer_scan(scorer, {column[4].data(), column[4].size()}, &finding) != TZ_OK)
			continue;
		tz_scores(&finding, TZ_LEVEL_MODERATE, &scores);
		stopped = scores.toxicity >= TZ_TOXICITY_MAX || scores.injection >= TZ_INJECTION_MAX;
		(column[3] == "harmless" ? harmless : attacks)++;
		(column[3] == "harmless" ? wrong : found) += stopped;
	}
	std::cout << found << " " << attacks << " " << wrong << " " << harmless << "\n";
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc >= 5 && std::string(argv[1]) == "scan")
		return scan(argc, argv);
	if (argc == 4 && std::string(argv[1]) == "corpus")
		return corpus(argv[2], argv[3]);
	return 2;
}
