/* The body of POST /sample, of any bytes, is read or refused with a message. */
#include "http/sample.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool held)
{
	if (!held)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = { 0 };
	struct sample_params p;
	json_t *json = NULL;

	if (request_parse((const char *)data, size, false, &json, &err) < 0) {
		expect(err.code && err.message[0] && !json);
		return 0;
	}
	if (sample_read(json, 1000000, &p, &err) < 0) {
		expect(err.code && err.message[0]);
	} else {
		expect(p.length >= 0 && p.length <= 1000000);
		expect(p.length > 0 || p.session);
		expect(p.n >= 1 && p.n <= GENERATE_MAX_CHOICES);
		expect(p.temperature >= 0 && p.temperature <= 10);
		expect(p.prompt.bytes && !p.prompt.bytes[p.prompt.len]);
	}
	json_decref(json);
	return 0;
}
