/*-------------------------------------------------------------------------
 *
 * multi.c
 *	  The reference for outgoing HTTP: a bare libcurl multi handle.
 *
 * Sends TOTAL requests to URL with at most PARALLEL in flight, connections kept,
 * with BODY as a JSON document where it is given, and prints calls per second, CPU microseconds per call and elapsed seconds.
 *
 *	  multi URL TOTAL PARALLEL [BODY]
 *
 *-------------------------------------------------------------------------
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

static double
seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double) ts.tv_sec + (double) ts.tv_nsec / 1e9;
}

static size_t
discard(char *data, size_t size, size_t n, void *arg)
{
	(void) data;
	(void) arg;
	return size * n;
}

int
main(int argc, char **argv)
{
	long total, parallel, started = 0, ended = 0, failed = 0;
	int running = 0, moved, left;
	double begin, elapsed, cpu;
	struct rusage ru;
	CURLM *multi;
	CURLMsg *msg;

	struct curl_slist *json = curl_slist_append(NULL, "Content-Type: application/json");

	if (argc != 4 && argc != 5)
		return 2;
	total = strtol(argv[2], NULL, 10);
	parallel = strtol(argv[3], NULL, 10);
	curl_global_init(CURL_GLOBAL_ALL);
	multi = curl_multi_init();
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, parallel);
	begin = seconds();
	while (ended < total)
	{
		while (started < total && started - ended < parallel)
		{
			CURL *easy = curl_easy_init();

			curl_easy_setopt(easy, CURLOPT_URL, argv[1]);
			curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, discard);
			curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
			curl_easy_setopt(easy, CURLOPT_PROXY, "");
			if (argc == 5)
			{
				curl_easy_setopt(easy, CURLOPT_HTTPHEADER, json);
				curl_easy_setopt(easy, CURLOPT_POSTFIELDS, argv[4]);
			}
			curl_multi_add_handle(multi, easy);
			started++;
		}
		curl_multi_perform(multi, &running);
		moved = 0;
		while ((msg = curl_multi_info_read(multi, &left)) != NULL)
		{
			if (msg->msg != CURLMSG_DONE)
				continue;
			if (msg->data.result != CURLE_OK)
				failed++;
			ended++;
			moved = 1;
			curl_multi_remove_handle(multi, msg->easy_handle);
			curl_easy_cleanup(msg->easy_handle);
		}
		/* Waiting with freed slots would measure the poll's timeout. */
		if (!moved)
			curl_multi_poll(multi, NULL, 0, 100, NULL);
	}
	elapsed = seconds() - begin;
	getrusage(RUSAGE_SELF, &ru);
	cpu = (double) (ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	      (double) (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
	printf("%.1f %.2f %.3f\n", (double) total / elapsed, cpu * 1e6 / (double) total, elapsed);
	curl_multi_cleanup(multi);
	return failed ? 1 : 0;
}
