// The playground. Each text is a session: that is what lets one go on from
// another token at any place, or go back.

import { address, get, key, pause, post, session, stream, textModels } from "./api.js";
import { draw, wire } from "./choices.js";
import { button, el, notice, percent, tell, visible } from "./dom.js";
import { parameters, sampling } from "./parameters.js";
import { alternatives, collector, legend, textView } from "./textview.js";
import * as timeline from "./timeline.js";

const newSeed = () => String(crypto.getRandomValues(new BigUint64Array(1))[0] >> 1n);
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(body) {
	const [path, wanted] = wire(body);
	const auth = key.get() ? " -H \"Authorization: Bearer $UNROLLD_API_KEY\"" : "";

	return `curl -sS ${address(path)} -H 'Content-Type: application/json'${auth} \\\n  -d ${quoted(JSON.stringify(wanted))}`;
}

export async function play(main, query) {
	const models = await textModels();
	const params = parameters(sampling, query);
	const model = el("select", {}, el("option", { value: "" }, "the default"), ...models.map((m) => el("option", { value: m.id }, m.id)));
	const prompt = el("textarea", { rows: 3 });
	const add = el("textarea", { rows: 1 });
	const status = el("p.quiet", { role: "status" });
	const details = el("div", { "aria-live": "polite" });
	const drawn = el("div", {});
	const copied = el("textarea.mono", { rows: 3, readonly: true, "aria-label": "Copied text", hidden: true });
	let t = null;
	let last = null; // the body that gives this text again, or null
	let running = null;
	let opening = query.get("session") || null;

	const view = textView("Text", (r, i) => showToken(r, i));
	const generate = button("Generate", tell(begin), { class: "main" });
	const go = button("Continue", tell(() => run(add.value)));
	const stop = button("Stop", () => running && running.abort());
	const keep = button("Keep as a session", tell(keepIt));
	const look = button("Look at its cells", () => { location.hash = `#/cells?${new URLSearchParams({ model: t.model, text: timeline.whole(t) })}`; });
	const clip = [button("Copy link", () => copy(String(link()))),
		button("Copy as curl", () => copy(curl(last)))];

	model.value = query.get("model") || "";
	prompt.value = query.get("prompt") ?? "ROMEO:\n";

	function update() {
		generate.disabled = running !== null || opening !== null;
		go.disabled = running !== null || !t;
		stop.disabled = running === null;
		for (const b of [keep, look])
			b.disabled = running !== null || !t;
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
		const { n = 1, best_of = 0, ...body } = params.body();
		const seed = body.seed || newSeed();

		drawn.replaceChildren();
		if (n > 1 || best_of > 1) {
			await several({ model: model.value || undefined, prompt: prompt.value, ...body, n, ...(best_of > 1 && { best_of }), seed });
			return;
		}
		t = await timeline.create({ ...(model.value && { model: model.value }), seed });
		model.value = t.model;
		view.show(t);
		details.replaceChildren();
		last = { model: t.model, prompt: prompt.value, ...body, seed };
		await run(prompt.value);
		if (last)
			history.replaceState(null, "", link());
	}

	// Several texts, of which one may go on as a session.
	async function several(body) {
		t = null;
		view.node.hidden = true;
		details.replaceChildren();
		last = body;
		running = new AbortController();
		update();
		status.textContent = "Generating…";
		try {
			const answer = await draw(drawn, body, params.get("logprobs"), running.signal,
				() => notice("The connection was lost. Waiting for the daemon, to go on where it stopped …"),
				tell((text) => goOn(body, text)));

			notice("");
			status.textContent = `${body.n} choices, ${answer.usage.completion_tokens} tokens, seed ${body.seed}.`;
			history.replaceState(null, "", link());
		} catch (error) {
			if (error.name !== "AbortError") {
				drawn.replaceChildren();
				view.node.hidden = false;
				status.textContent = "";
				throw error;
			}
			status.textContent = "Stopped.";
		} finally {
			running = null;
			update();
		}
	}

	async function goOn(body, text) {
		if (running)
			return;
		t = await timeline.create({ ...(model.value && { model: model.value }), seed: body.seed });
		model.value = t.model;
		t.requests.push({ at: 0, end: 0, prompt: body.prompt + text, unknown: "skip", tokens: [] });
		await timeline.refeed(t, t, 0, 0);
		timeline.save(t);
		last = null;
		drawn.replaceChildren();
		view.node.hidden = false;
		view.show(t);
		status.textContent = `Session ${t.id} at ${t.position}.`;
		update();
	}

	// One request on the session, its prompt being `text`, which is shown as it
	// is: it need not come back.
	async function run(text) {
		const { seed, n, best_of, echo, ...body } = params.body();
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
		view.node.hidden = false;
		t.requests.push(request);
		view.begin(text);
		status.textContent = "Generating…";
		try {
			await stream({ session: t.id, prompt: text, ...body, logprobs: params.get("logprobs"), expected_position: t.position },
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
			await pause(100);
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
				view.node, drawn,
				legend(),
				el("section", { "aria-label": "Token" }, details),
				el("label", {}, "Text to add (may be empty)", add),
				el("div.row", {}, go, keep, look, ...clip),
				copied),
			el("section.panel", { "aria-label": "Parameters" }, params.node)));
	update();
	if (opening !== null) {
		try {
			t = await timeline.open(opening);
			model.value = t.model;
			view.show(t);
			status.textContent = `Session ${t.id} at ${t.position}, seed ${t.info.seed}.`;
		} finally {
			opening = null;
			update();
		}
	}
	return () => running && running.abort();
}
