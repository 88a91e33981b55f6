// A session's text, each generated token coloured by its probability. A token
// is chosen by mouse, touch or, with the text focused, the arrow keys.

import { el, percent, visible } from "./dom.js";

const DRAW_MS = 50;
const levels = [0.5, 0.2, 0.05, 0.01];

function level(logprob) {
	const p = Math.exp(logprob);
	const i = levels.findIndex((least) => p >= least);

	return i < 0 ? levels.length : i;
}

export function legend() {
	return el("p.legend.quiet", {}, "Probability of a token: ",
		...["50% and more", "20%", "5%", "1%", "less"].map((label, i) => el(`span.p${i}`, {}, label)));
}

// Calls choose(span) for the [data-t] of the node that is pointed at: by mouse
// or touch or, with the node focused, the arrow keys, with Shift selecting as
// well. Where a click pins, hovering is of no account until Escape.
export function pointing(node, pins, choose) {
	let at = null;
	let pinned = false;

	function point(span, pin) {
		at?.classList.remove("at");
		at = span;
		pinned = pin && pins;
		span.classList.add("at");
		choose(span);
	}

	function select(span, extend) {
		const selection = getSelection();

		if (extend && node.contains(selection.anchorNode))
			selection.extend(span.firstChild, span.firstChild.length);
		else
			selection.collapse(span.firstChild, 0);
	}

	node.addEventListener("mouseover", (event) => {
		const span = event.target.closest("[data-t]");

		if (span && !pinned)
			point(span, false);
	});
	node.addEventListener("click", (event) => {
		const span = event.target.closest("[data-t]");

		if (span)
			point(span, true);
	});
	node.addEventListener("keydown", (event) => {
		const all = [...node.querySelectorAll("[data-t]")];
		const i = at ? all.indexOf(at) : -1;
		const to = { ArrowRight: i + 1, ArrowLeft: i - 1, Home: 0, End: all.length - 1 }[event.key];

		if (event.key === "Escape")
			pinned = false;
		if (to === undefined || !all[to])
			return;
		event.preventDefault();
		point(all[to], true);
		select(all[to], event.shiftKey);
		all[to].scrollIntoView({ block: "nearest" });
	});
	return {
		reset() {
			at = null;
			pinned = false;
		},
	};
}

// choose(r, i): token i of request r is pointed at, or clicked.
export function textView(label, choose) {
	const node = el("div.text.panel", { tabindex: 0, role: "group", "aria-label": label });
	const pointer = pointing(node, true, (span) => choose(...span.dataset.t.split(".").map(Number)));

	// Lines are blocks, so that another token lays out only its own.
	let line = null;

	function put(span, text) {
		if (!line)
			node.append(line = el("div"));
		line.append(span);
		if (text.endsWith("\n")) {
			span.classList.add("end");
			line = null;
		}
	}

	function piece(r, i, token) {
		put(el(`span.p${level(token.logprob)}`, { "data-t": `${r}.${i}` }, token.text), token.text);
	}

	function prompt(text) {
		if (text)
			put(el("span.prompt", {}, text), text);
	}

	// Drawn at most so often: a fast model has thousands of tokens a second.
	let waiting = [];
	let timer = null;

	function draw() {
		const end = node.scrollHeight - node.scrollTop - node.clientHeight < 40;

		timer = null;
		for (const args of waiting)
			piece(...args);
		waiting = [];
		if (end)
			node.scrollTop = node.scrollHeight;
	}

	return {
		node,
		show(t) {
			pointer.reset();
			line = null;
			waiting = [];
			node.replaceChildren();
			t.requests.forEach((q, r) => {
				prompt(q.prompt);
				q.tokens.forEach((token, i) => piece(r, i, token));
			});
			if (t.gap > 0)
				put(el("em.quiet", {}, `[${t.gap} tokens that this browser has not seen]`), "");
		},
		begin: prompt,
		add(r, first, tokens) {
			waiting.push(...tokens.map((token, i) => [r, first + i, token]));
			timer ||= setTimeout(draw, DRAW_MS);
		},
		flush: draw,
	};
}

// What else could have come: buttons, go(text) for each.
export function alternatives(token, go) {
	return el("ul.choices", { "aria-label": "Alternatives" }, ...token.top.map(([text, logprob]) =>
		el("li", {}, el("button", { type: "button", onclick: () => go(text),
			disabled: text.includes("\uFFFD"),
			"aria-label": `Go on from ${visible(text)}, ${percent(logprob)}` },
		`${visible(text)} ${percent(logprob)}`))));
}

// Tokens come one by one, their text whole characters only, and held back
// where a stop string may have begun: take(frame) gives what may be shown.
export function collector() {
	let queue = [];
	let text = "";

	return function take(frame) {
		const l = frame.logprobs;
		const ready = [];

		text += frame.text;
		if (l)
			queue.push(...l.tokens.map((t, i) => ({ text: t, logprob: l.token_logprobs[i],
				top: Object.entries(l.top_logprobs[i]) })));
		if (queue.some((t) => t.text.includes("\uFFFD"))) {
			if (!text)
				return [];
			ready.push({ text, logprob: queue.reduce((sum, t) => sum + t.logprob, 0), top: [] });
			queue = [];
			text = "";
		}
		while (queue.length && queue[0].text.length <= text.length) {
			text = text.slice(queue[0].text.length);
			ready.push(queue.shift());
		}
		return ready;
	};
}
