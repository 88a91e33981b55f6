// The playground. Each text is a session: that is what lets one go on from
// another token at any place, or go back.

import { address, get, key, post, session, stream } from "./api.js";
import { button, el, notice, percent, tell, visible } from "./dom.js";
import { parameters } from "./parameters.js";
import { alternatives, collector, legend, textView } from "./textview.js";
import * as timeline from "./timeline.js";

const TOP = 8;

const newSeed = () => String(crypto.getRandomValues(new BigUint64Array(1))[0] >> 1n);
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(body) {
	const auth = key.get() ? " -H \"Authorization: Bearer $UNROLLD_API_KEY\"" : "";

	return `curl -sS ${address("sample")} -H 'Content-Type: application/json'${auth} \\\n  -d ${quoted(JSON.stringify(body))}`;
}

export async function play(main, query) {
	const models = (await get("v1/models")).data.filter((m) => m.kind === "text");
	const params = parameters(query);
	const model = el("select", {}, el("option", { value: "" }, "the default"), ...models.map((m) => el("option", { value: m.id }, m.id)));
	const prompt = el("textarea", { rows: 3 });
	const add = el("textarea", { rows: 1 });
	const status = el("p.quiet", { role: "status" });
	const details = el("div", { "aria-live": "polite" });
	const copied = el("textarea.mono", { rows: 3, readonly: true, "aria-label": "Copied text", hidden: true });
	let t = null;
	let last = null; // the body that gives this text again, or null
	let running = null;

	const view = textView("Text", (r, i) => showToken(r, i));
	const generate = button("Generate", tell(begin), { class: "main" });
	const go = button("Continue", tell(() => run(add.value)));
	const stop = button("Stop", () => running && running.abort());
	const keep = button("Keep as a session", tell(keepIt));
	const clip = [button("Copy link", () => copy(String(link()))),
		button("Copy as curl", () => copy(curl(last)))];

	model.value = query.get("model") || "";
	prompt.value = query.get("prompt") ?? "ROMEO:\n";

	function update() {
		generate.disabled = running !== null;
		go.disabled = running !== null || !t;
		stop.disabled = running === null;
		keep.disabled = running !== null || !t;
		for (const b of clip)
			b.disabled = !last;
	}

	function link() {
		const url = new URL(location.href);
		const extra = last.session ? { session: last.session }
			: { model: model.value, prompt: prompt.value, seed: last.seed };

		url.hash = `#/play?${params.link(extra)}`;
		return url;
	}

	async function copy(text) {
		copied.value = text;
		copied.hidden = false;
		copied.select();
		try {
			await navigator.clipboard.writeText(text);
			status.textContent = "Copied.";
		} catch {
			status.textContent = "Copy it from the field below.";
		}
	}

	function showToken(r, i) {
		const token = t.requests[r]?.tokens[i];

		if (!token)
			return;
		details.replaceChildren(
			el("p", {}, "Token ", el("span.mono", {}, visible(token.text)), `: ${percent(token.logprob)}. Go on from here with:`),
			alternatives(token, tell((text) => branch(r, i, text))),
			el("p", {}, button("Rewind to before it", tell(() => back(r, i)), { disabled: running !== null })));
	}

	async function begin() {
		const body = params.body();
		const seed = body.seed || newSeed();

		t = await timeline.create({ ...(model.value && { model: model.value }), seed });
		model.value = t.model;
		view.show(t);
		details.replaceChildren();
		last = { model: t.model, prompt: prompt.value, ...body, seed };
		await run(prompt.value);
		if (last)
			history.replaceState(null, "", link());
	}

	// One request on the session, its prompt being `text`.
	async function run(text) {
		const { seed, ...body } = params.body();
		const request = { at: t.position, end: t.position, prompt: text, unknown: body.unknown, tokens: [] };
		const r = t.requests.length;
		const take = collector();
		const started = performance.now();
		let first = 0;
		let final = null;

		// Without one of its own a request has the session's.
		if (seed && seed !== t.info.seed)
			body.seed = seed;
		// Going on is not what a prompt and a seed alone give again.
		if (r > 0 || t.position > 0)
			last = { session: t.id, prompt: text, ...body };
		add.value = "";
		running = new AbortController();
		update();
		t.requests.push(request);
		view.begin(text);
		status.textContent = "Generating…";
		try {
			await stream({ session: t.id, prompt: text, ...body, logprobs: TOP, expected_position: t.position },
				running.signal, (frame) => {
					const tokens = take(frame);

					first ||= performance.now();
					view.add(r, request.tokens.length, tokens);
					request.tokens.push(...tokens);
					if (frame.finish_reason)
						final = frame;
					else
						rate(started, first, request.tokens.length);
				}, () => notice("The connection was lost. Waiting for the daemon, to go on where it stopped …"));
			notice("");
			request.end = t.position = final.position;
			status.textContent = `${final.usage.completion_tokens} tokens, ${Math.round(final.timings.tokens_per_second)} tokens/s, first after ${Math.round(first - started)} ms, ${final.finish_reason}, seed ${final.seed}, session ${t.id} at ${t.position}.`;
		} catch (error) {
			await settle(r);
			if (error.name !== "AbortError")
				throw error;
			status.textContent = `Stopped after ${request.tokens.length} tokens; session ${t.id} at ${t.position}.`;
		} finally {
			running = null;
			view.flush();
			timeline.save(t);
			update();
		}
	}

	let told = 0;

	function rate(started, first, n) {
		const seconds = (performance.now() - first) / 1000;

		if (performance.now() - told < 200)
			return;
		told = performance.now();
		status.textContent = `Generating… ${n} tokens${seconds > 0.2 ? `, ${Math.round(n / seconds)} tokens/s` : ""}, first after ${Math.round(first - started)} ms.`;
	}

	// A cancelled session stands at what was sent, which may be more than what
	// has arrived here: bring it to what is shown.
	async function settle(r) {
		let info = await get(session(t.id));

		for (let i = 0; info.busy && i < 50; i++) {
			await new Promise((done) => setTimeout(done, 100));
			info = await get(session(t.id));
		}
		if (info.position === t.requests[r].at && !t.requests[r].tokens.length) {
			t.requests.pop();
			view.show(t);
		} else if (info.position !== t.requests[r].at) {
			await timeline.rewind(t, r, t.requests[r].tokens.length);
		} else {
			await timeline.refeed(t, t, r, t.requests[r].tokens.length);
		}
	}

	async function branch(r, i, text) {
		if (running)
			return;
		t = await timeline.fork(t, r, i);
		view.show(t);
		details.replaceChildren();
		await run(text);
	}

	async function back(r, i) {
		await timeline.rewind(t, r, i);
		last = null;
		view.show(t);
		details.replaceChildren();
		status.textContent = `Session ${t.id} is back at ${t.position}.`;
		update();
	}

	async function keepIt() {
		const made = await post(session(t.id, "/fork"), { ttl: 0, metadata: { made_by: "page", parent: t.id, at: t.position } });
		const info = (made.data || [made])[0];

		timeline.save({ ...t, id: info.id, created: info.created });
		location.hash = `#/sessions/${encodeURIComponent(info.id)}`;
	}

	main.append(
		el("h1", {}, "Playground"),
		el("div.split", {},
			el("div", {},
				el("label", {}, "Prompt", prompt),
				el("div.row", {}, generate, stop, el("label", {}, "Model ", model)),
				status,
				view.node,
				legend(),
				el("section", { "aria-label": "Token" }, details),
				el("label", {}, "Text to add (may be empty)", add),
				el("div.row", {}, go, keep, ...clip),
				copied),
			el("section.panel", { "aria-label": "Parameters" }, params.node)));
	if (query.get("session")) {
		t = await timeline.open(query.get("session"));
		model.value = t.model;
		view.show(t);
		status.textContent = `Session ${t.id} at ${t.position}, seed ${t.info.seed}.`;
	}
	update();
	return () => running && running.abort();
}
