// Several texts for one prompt, side by side: of no session, since a session has
// one past only.

import { post, stream } from "./api.js";
import { button, el } from "./dom.js";
import { collector, textView } from "./textview.js";

// Where a body goes, and as what: /sample streams n texts, but the best of more
// are known only when all are there.
export function wire(body) {
	const { length, ...rest } = body;

	return body.best_of ? ["v1/completions", { ...rest, max_tokens: length }] : ["sample", body];
}

function panel(index, echo, go) {
	const view = textView(`Choice ${index + 1}`, () => {});
	const about = el("span.quiet", {}, "");
	const on = button("Go on with this one", () => go(text), { "aria-label": `Go on with this one, choice ${index + 1}`, disabled: true });
	const take = collector();
	let echoed = !echo;
	let n = 0;
	let text = "";
	let sum = 0;

	view.begin(echo);
	return {
		node: el("section", { "aria-label": `Choice ${index + 1}` },
			el("h2", {}, `Choice ${index + 1}`), view.node, el("div.row", {}, on, about)),
		// The echo, of which there are no tokens, comes first.
		add(frame) {
			const tokens = echoed ? take(frame) : [];

			echoed = true;
			view.add(0, n, tokens);
			n += tokens.length;
			text += tokens.map((t) => t.text).join("");
			sum += tokens.reduce((s, t) => s + t.logprob, 0);
		},
		end(reason) {
			view.flush();
			on.disabled = false;
			about.textContent = `${n} tokens, ${reason}, ${(n ? sum / n : 0).toFixed(3)} nats of log-probability a token`;
		},
	};
}

// Shows them in `place` as they come; go(text) goes on with one. The answer's
// end.
export async function draw(place, body, top, signal, lost, go) {
	const panels = Array.from({ length: body.n }, (_, i) => panel(i, body.echo ? body.prompt : "", go));
	let final = null;

	place.className = "choices-grid";
	place.replaceChildren(...panels.map((p) => p.node));
	if (!body.best_of) {
		await stream({ ...body, logprobs: top }, signal, (frame) => {
			if (frame.choices || frame.finish_reason)
				final = frame;
			else
				panels[frame.index].add(frame);
		}, lost);
	} else {
		// It would tell of the echo's tokens, too.
		const [path, wanted] = wire({ ...body, echo: false });

		final = await post(path, { ...wanted, logprobs: top }, signal);
		for (const c of final.choices) {
			if (body.echo)
				panels[c.index].add({});
			panels[c.index].add(c);
		}
	}
	final.choices.forEach((c) => panels[c.index].end(c.finish_reason));
	return final;
}
