// The daemon, as the page talks to it. The key stays in this tab.

const base = new URL("./", document.baseURI);

export const key = {
	get: () => sessionStorage.getItem("unrolld.key") || "",
	set: (value) => value ? sessionStorage.setItem("unrolld.key", value)
		: sessionStorage.removeItem("unrolld.key"),
};

export class ApiError extends Error {
	constructor(message, status, code) {
		super(message);
		this.status = status;
		this.code = code;
	}
}

export const address = (path) => new URL(path, base);

function headers(more = {}) {
	return key.get() ? { Authorization: `Bearer ${key.get()}`, ...more } : more;
}

async function failure(response) {
	let error = {};

	try {
		error = (await response.json()).error || {};
	} catch {
		// It said nothing that can be read; the status remains.
	}
	if (response.status === 401)
		document.dispatchEvent(new Event("unrolld-key"));
	return new ApiError(error.message || `the daemon answered ${response.status}`,
		response.status, error.code);
}

// The Response to a request; ApiError when it failed.
export async function request(method, path, options = {}) {
	let response;

	try {
		response = await fetch(address(path), {
			method, cache: "no-store", ...options, headers: headers(options.headers),
		});
	} catch (error) {
		if (error.name === "AbortError")
			throw error;
		throw new ApiError("The daemon can't be reached; is it running?", 0, "unreachable");
	}
	if (!response.ok)
		throw await failure(response);
	return response;
}

const json = (body) => ({
	headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
});

export const get = async (path) => (await request("GET", path)).json();
export const post = async (path, body, signal) => (await request("POST", path, { ...json(body), signal })).json();
export const put = async (path, body) => (await request("PUT", path, json(body))).json();
export const remove = async (path) => (await request("DELETE", path)).json();
export const session = (id, rest = "") => `v1/sessions/${encodeURIComponent(id)}${rest}`;

// Captioners are models, too, but write no text of their own.
export const isCaptioner = (m) => m.kind === "captioner";
export const textModels = async () => (await get("v1/models")).data.filter((m) => !isCaptioner(m));

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

// Frames of an event stream, from a Response: {id, data}, data being JSON or
// "[DONE]".
async function* frames(response) {
	const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";

	for (;;) {
		const { value, done } = await reader.read();

		if (done)
			return;
		const parts = (rest + value).split("\n\n");

		rest = parts.pop();
		// However fast they come, the page stays able to hear its user; what
		// is not read meanwhile, the daemon does not go on to write.
		await pause(0);
		for (const part of parts) {
			const lines = part.split("\n");
			const data = lines.find((l) => l.startsWith("data: "));
			const id = lines.find((l) => l.startsWith("id: "));

			if (data)
				yield {
					id: id ? id.slice(4) : null,
					data: data === "data: [DONE]" ? "[DONE]" : JSON.parse(data.slice(6)),
				};
		}
	}
}

async function untilReady(seconds, signal) {
	for (let i = 0; i < 2 * seconds; i++) {
		try {
			return await request("GET", "readyz", { signal });
		} catch (error) {
			if (error.name === "AbortError" || (error.status && error.status !== 503))
				throw error;
		}
		await pause(500);
	}
	throw new ApiError("The daemon did not come back", 0, "unreachable");
}

// One stream to its end: take(frame) gets each frame; when the connection is
// lost, lost() is told, and again(last) gives the Response that has what came
// after the frame of that id, or after none.
async function follow(response, again, signal, take, lost) {
	let last = null;

	for (;;) {
		try {
			for await (const frame of frames(response)) {
				if (frame.data === "[DONE]")
					return;
				last = frame.id ?? last;
				if (frame.data.error && frame.data.error.code !== "unavailable")
					throw new ApiError(frame.data.error.message, 0, frame.data.error.code);
				if (!frame.data.error)
					take(frame.data);
			}
		} catch (error) {
			if (error.name === "AbortError" || error instanceof ApiError)
				throw error;
		}
		lost();
		await untilReady(60, signal);
		response = await again(last);
	}
}

// A generation, from its first token to its last.
export async function stream(body, signal, take, lost) {
	const response = await request("POST", "sample", { ...json({ ...body, stream: true }), signal });
	const id = response.headers.get("X-Stream-Id");

	await follow(response, (last) => {
		if (!id)
			throw new ApiError("The connection was lost", 0, "unreachable");
		return request("GET", `v1/streams/${id}${last === null ? "" : `?from=${last}`}`, { signal });
	}, signal, take, lost);
}

export const job = (id, rest = "") => `v1/fine_tuning/jobs/${encodeURIComponent(id)}${rest}`;

// What a job tells of itself, from its first event until it is over.
export async function jobEvents(id, signal, take, lost) {
	const open = (last) => request("GET",
		job(id, `/events?stream=true${last === null ? "" : `&after=event-${last}`}`), { signal });

	await follow(await open(null), open, signal, take, lost);
}

// Prometheus's text as {name: sum over its series, 'name{label="…"}': value}.
export async function metrics() {
	const text = await (await request("GET", "metrics")).text();
	const sums = {};

	for (const line of text.split("\n")) {
		const match = /^([a-z_]+)(\{.*\})? ([^ ]+)$/.exec(line);

		if (!match)
			continue;
		sums[match[1]] = (sums[match[1]] || 0) + Number(match[3]);
		if (match[2])
			sums[match[1] + match[2]] = Number(match[3]);
	}
	return sums;
}
