// Fields as rows: what a page asks, sends, and puts in links.

import { choice, el } from "./dom.js";

// Of /sample. `always`: also sent when it is as usual; `more`: for the few;
// `apart`: about the answer, not the draws of its tokens.
export const sampling = [
	{ name: "length", label: "Length", type: "number", min: 1, max: 2000, step: 1, preset: 300, always: true },
	{ name: "temperature", label: "Temperature", type: "number", min: 0, max: 2, step: 0.05, preset: 1 },
	{ name: "top_k", label: "Top k (0: off)", type: "number", min: 0, max: 100, step: 1, preset: 0 },
	{ name: "top_p", label: "Top p (1: off)", type: "number", min: 0.01, max: 1, step: 0.01, preset: 1 },
	{ name: "min_p", label: "Min p (0: off)", type: "number", min: 0, max: 0.5, step: 0.01, preset: 0 },
	{ name: "seed", label: "Seed (empty: a new one each time)", type: "text", preset: "" },
	{ name: "n", label: "Choices (more than 1: no session)", type: "number", min: 1, max: 16, step: 1, preset: 1 },
	{ name: "best_of", label: "Best of (0: off)", type: "number", min: 0, max: 16, step: 1, preset: 0 },
	{ name: "repetition_penalty", label: "Repetition penalty (1: off)", type: "number", min: 0.5, max: 2, step: 0.05, preset: 1, more: true },
	{ name: "presence_penalty", label: "Presence penalty", type: "number", min: -2, max: 2, step: 0.1, preset: 0, more: true },
	{ name: "frequency_penalty", label: "Frequency penalty", type: "number", min: -2, max: 2, step: 0.1, preset: 0, more: true },
	{ name: "stop", label: "Stop before (one per line; \\n is a newline)", type: "lines", preset: "", more: true },
	{ name: "logit_bias", label: "Logit bias, as {\"token id\": number}", type: "json", preset: "", more: true },
	{ name: "unknown", label: "Unknown characters", type: "choice", choices: ["auto", "error", "skip"], preset: "auto", more: true },
	{ name: "logprobs", label: "Alternatives at each token", type: "number", min: 0, max: 20, step: 1, preset: 8, more: true, apart: true },
	{ name: "echo", label: "Echo the prompt (curl; choices)", type: "check", preset: "", more: true },
	{ name: "priority", label: "Priority", type: "choice", choices: ["interactive", "bulk"], preset: "interactive", more: true },
	{ name: "deadline_ms", label: "Deadline, ms (0: none)", type: "number", min: 0, max: 10000, step: 50, preset: 0, more: true },
];

const unescape = (line) => line.replace(/\\n/g, "\n").replace(/\\t/g, "\t");

const read = {
	number: (text, row) => {
		const n = Number(text);

		if (text.trim() === "" || !Number.isFinite(n))
			throw new Error(`${row.label} is '${text}', expected a number`);
		return n;
	},
	text: (text) => text.trim(),
	choice: (text) => text,
	check: (text) => text === "1",
	lines: (text) => text.split("\n").filter((l) => l).map(unescape),
	json: (text, row) => {
		try {
			return JSON.parse(text);
		} catch (error) {
			throw new Error(`${row.label}: ${error.message}`);
		}
	},
};
read.optional = read.number;

// Beside each number lies a slider; the number may go beyond it.
function numberField(row) {
	const number = el("input", { type: "number", name: row.name, step: "any", value: row.preset });
	const slider = el("input", { type: "range", min: row.min, max: row.max, step: row.step,
		value: row.preset, "aria-label": `${row.label}, slider`,
		oninput: () => { number.value = slider.value; } });

	number.addEventListener("input", () => { slider.value = number.value; });
	return { node: el("label", {}, row.label, number, slider), input: number };
}

const inputs = {
	text: (row) => el("input", { name: row.name, value: row.preset }),
	optional: (row) => el("input", { name: row.name, type: "number", step: "any", placeholder: "auto" }),
	choice: (row) => choice(row.choices, { name: row.name }),
	lines: (row) => el("textarea", { name: row.name, rows: 2 }),
	json: (row) => el("textarea", { name: row.name, rows: 2 }),
};

function field(row) {
	if (row.type === "number")
		return numberField(row);
	if (row.type === "check") {
		const input = el("input", { type: "checkbox", name: row.name });

		return { node: el("label.check", {}, input, row.label), input };
	}
	const input = inputs[row.type](row);

	return { node: el(row.type === "optional" ? "label" : "label.wide", {}, row.label, input), input };
}

// Of rows as those above, with what a link's query says of them.
export function parameters(rows, query = new URLSearchParams()) {
	const fields = rows.map((row) => ({ row, ...field(row) }));
	const value = (f) => f.row.type === "check" ? (f.input.checked ? "1" : "") : f.input.value;
	const usual = (f) => value(f) === String(f.row.preset);
	const part = (more) => fields.filter((f) => Boolean(f.row.more) === more).map((f) => f.node);
	const rest = part(true);

	for (const f of fields) {
		if (!query.has(f.row.name))
			continue;
		if (f.row.type === "check")
			f.input.checked = query.get(f.row.name) === "1";
		else
			f.input.value = query.get(f.row.name);
		f.input.dispatchEvent(new Event("input"));
	}
	return {
		node: el("div.fields", {}, ...part(false), rest.length ? el("details", { open: fields.some((f) => f.row.more && !usual(f)) },
			el("summary", {}, "More"), el("div.fields", {}, ...rest)) : null),
		// As the API wants them: what is not as usual, and what always is sent.
		body() {
			const body = {};

			for (const f of fields)
				if (!f.row.apart && (!usual(f) || f.row.always))
					body[f.row.name] = read[f.row.type](value(f), f.row);
			return body;
		},
		get: (name) => {
			const f = fields.find((one) => one.row.name === name);

			return read[f.row.type](value(f), f.row);
		},
		link(extra) {
			const q = new URLSearchParams();

			for (const f of fields)
				if (!usual(f))
					q.set(f.row.name, value(f));
			for (const [name, text] of Object.entries(extra))
				q.set(name, text);
			return q;
		},
	};
}
