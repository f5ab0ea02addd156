/*
 * What a job's script is said to have printed. What is read fits what was asked for, and the
 * result of it is text within its bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "adapter/job.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	TzJobReport report;
	json_t *result;

	tz_job_report_init(&report);
	if (tz_job_read(tz_slice((const char *) data, size), "eff_1", &report))
	{
		if (report.state < TZ_JOB_RUNNING || report.state > TZ_JOB_LOST || report.exit_code < 0 ||
		    report.out_size < 0 || report.err_size < 0)
			abort();
		result = tz_job_result(&report, 1000, 5);
		if (result == NULL || json_string_length(json_object_get(result, "stdout")) > 15 ||
		    !json_is_boolean(json_object_get(result, "timed_out")))
			abort();
		json_decref(result);
	}
	else if (report.state != TZ_JOB_UNREADABLE)
		abort();
	tz_job_report_free(&report);
	(void) tz_job_stopped(tz_slice((const char *) data, size));
	return 0;
}
