// The text of a session. The daemon keeps its state, a few KiB however long
// the text; the text itself is kept by this browser, request by request:
//
//   {id, model, created, requests: [{at, end, prompt, unknown, tokens}]}
//
// at and end are positions of the session, tokens are {text, logprob, top},
// top being [[text, logprob], ...]. A request's `at` is a boundary that the
// session can go back to; any place within the request is reached from there
// by feeding the text up to it again, which gives the same state.

import { get, post, session } from "./api.js";

const name = (id) => `unrolld.text.${id}`;
const MAX_STORED = 1 << 20;

// Of a long text the alternatives are not kept, of one that is longer still
// nothing.
export function save(t) {
	const kept = { id: t.id, model: t.model, created: t.created, requests: t.requests };
	const bare = (token) => ({ text: token.text, logprob: Math.round(1000 * token.logprob) / 1000, top: [] });
	let text = JSON.stringify(kept);

	if (text.length > MAX_STORED)
		text = JSON.stringify({ ...kept, requests: t.requests.map((r) => ({ ...r, tokens: r.tokens.map(bare) })) });
	try {
		if (text.length <= MAX_STORED)
			localStorage.setItem(name(t.id), text);
		else
			localStorage.removeItem(name(t.id));
	} catch {
		// The browser keeps nothing for us: the text lives as long as the page.
	}
}

export function forget(id) {
	localStorage.removeItem(name(id));
}

function stored(info) {
	try {
		const t = JSON.parse(localStorage.getItem(name(info.id)));

		return t && t.created === info.created ? t : null;
	} catch {
		return null;
	}
}

// What of it this browser has seen; `gap` tokens at its end it has not.
export async function open(id) {
	const info = await get(session(id));
	const t = stored(info) || { id, model: info.model, created: info.created, requests: [] };

	t.requests = t.requests.filter((r) => r.end <= info.position);
	t.info = info;
	t.position = info.position;
	t.gap = info.position - (t.requests.length ? t.requests.at(-1).end : 0);
	return t;
}

export async function create(options, parent = null) {
	const metadata = parent ? { made_by: "page", parent: parent.id, at: parent.at }
		: { made_by: "page" };
	const info = await post("v1/sessions", { ttl: 3600, ...options, metadata });

	return { id: info.id, model: info.model, created: info.created, info,
		position: info.position, gap: 0, requests: [] };
}

export const generated = (r, n = r.tokens.length) =>
	r.tokens.slice(0, n).map((k) => k.text).join("");

// The text before token i of request r.
export function textBefore(t, r, i) {
	return t.requests.slice(0, r).map((q) => q.prompt + generated(q)).join("")
		+ t.requests[r].prompt + generated(t.requests[r], i);
}

export const whole = (t) => t.requests.map((q) => q.prompt + generated(q)).join("");

async function canReturn(t, at) {
	t.info = await get(session(t.id));
	return t.info.boundaries.includes(at);
}

// The session feeds what request r came to before its token i. It is at r.at.
export async function refeed(t, source, r, i) {
	const q = source.requests[r];
	const text = q.prompt + generated(q, i);

	t.requests = source.requests.slice(0, r);
	t.position = q.at;
	if (!text)
		return;
	const answer = await post("sample", { session: t.id, prompt: text, length: 0,
		expected_position: q.at, unknown: q.unknown });

	t.position = answer.position;
	t.requests.push({ ...q, tokens: q.tokens.slice(0, i), end: answer.position });
}

// Back to before token i of request r.
export async function rewind(t, r, i) {
	const at = t.requests[r].at;

	if (!await canReturn(t, at))
		throw new Error(`The session can't go back to position ${at} any more; fork it there instead`);
	await post(session(t.id, "/rewind"), { position: at });
	await refeed(t, t, r, i);
	t.gap = 0;
	save(t);
}

// A new session that stands before token i of request r of this one.
export async function fork(t, r, i) {
	const q = t.requests[r];
	const metadata = { made_by: "page", parent: t.id, at: q.at };
	let child;

	if (await canReturn(t, q.at)) {
		const made = await post(session(t.id, "/fork"), { position: q.at, metadata });
		const info = (made.data || [made])[0];

		child = { id: info.id, model: info.model, created: info.created, info, gap: 0 };
		await refeed(child, t, r, i);
	} else {
		// It keeps no state of so long ago: all of the text is fed again.
		if (t.requests[0].at !== 0)
			throw new Error("This browser does not know the session's text from its beginning");
		child = await create({ model: t.model, seed: t.info.seed,
			prompt: textBefore(t, r, i), ttl: t.info.ttl }, { id: t.id, at: q.at });
		child.requests = t.requests.slice(0, r);
		child.requests.push({ ...q, tokens: q.tokens.slice(0, i), end: child.position });
	}
	save(child);
	return child;
}
