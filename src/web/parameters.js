// The fields of /sample, as rows: what the page asks, sends, and puts in links.

import { el } from "./dom.js";

const rows = [
	{ name: "length", label: "Length", type: "number", min: 1, max: 2000, step: 1, preset: 300 },
	{ name: "temperature", label: "Temperature", type: "number", min: 0, max: 2, step: 0.05, preset: 1 },
	{ name: "top_k", label: "Top k (0: off)", type: "number", min: 0, max: 100, step: 1, preset: 0 },
	{ name: "top_p", label: "Top p (1: off)", type: "number", min: 0.01, max: 1, step: 0.01, preset: 1 },
	{ name: "min_p", label: "Min p (0: off)", type: "number", min: 0, max: 0.5, step: 0.01, preset: 0 },
	{ name: "repetition_penalty", label: "Repetition penalty (1: off)", type: "number", min: 0.5, max: 2, step: 0.05, preset: 1 },
	{ name: "presence_penalty", label: "Presence penalty", type: "number", min: -2, max: 2, step: 0.1, preset: 0 },
	{ name: "frequency_penalty", label: "Frequency penalty", type: "number", min: -2, max: 2, step: 0.1, preset: 0 },
	{ name: "seed", label: "Seed (empty: a new one each time)", type: "text", preset: "" },
	{ name: "stop", label: "Stop before (one per line; \\n is a newline)", type: "lines", preset: "" },
	{ name: "logit_bias", label: "Logit bias, as {\"token id\": number}", type: "json", preset: "" },
	{ name: "unknown", label: "Unknown characters", type: "choice", choices: ["error", "skip"], preset: "error" },
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
	lines: (text) => text.split("\n").filter((l) => l).map(unescape),
	json: (text, row) => {
		try {
			return JSON.parse(text);
		} catch (error) {
			throw new Error(`${row.label}: ${error.message}`);
		}
	},
};

// Beside each number lies a slider; the number may go beyond it.
function numberField(row) {
	const number = el("input", { type: "number", name: row.name, step: "any", value: row.preset });
	const slider = el("input", { type: "range", min: row.min, max: row.max, step: row.step,
		value: row.preset, "aria-label": `${row.label}, slider`,
		oninput: () => { number.value = slider.value; } });

	number.addEventListener("input", () => { slider.value = number.value; });
	return { node: el("label", {}, row.label, number, slider), input: number };
}

function field(row) {
	if (row.type === "number")
		return numberField(row);
	const input = row.type === "choice"
		? el("select", { name: row.name }, ...row.choices.map((c) => el("option", {}, c)))
		: el(row.type === "text" ? "input" : "textarea", { name: row.name, rows: row.type === "text" ? null : 2 });

	return { node: el("label.wide", {}, row.label, input), input };
}

export function parameters(query) {
	const fields = rows.map((row) => ({ row, ...field(row) }));
	const value = (f) => f.input.value;

	for (const f of fields)
		if (query.has(f.row.name)) {
			f.input.value = query.get(f.row.name);
			f.input.dispatchEvent(new Event("input"));
		}
	return {
		node: el("div.fields", {}, ...fields.map((f) => f.node)),
		// As /sample wants them: what is not as usual, and the length.
		body() {
			const body = {};

			for (const f of fields)
				if (value(f) !== String(f.row.preset) || f.row.name === "length")
					body[f.row.name] = read[f.row.type](value(f), f.row);
			return body;
		},
		link(extra) {
			const q = new URLSearchParams();

			for (const f of fields)
				if (value(f) !== String(f.row.preset))
					q.set(f.row.name, value(f));
			for (const [name, text] of Object.entries(extra))
				q.set(name, text);
			return q;
		},
	};
}
