// What a layer did while it read a text, page by page into one array for each
// series, and what its cells have to do with the text.

import { post } from "./api.js";

const VALUES = 1 << 21; // of one page
const TOKENS = 20000; // the API's own limit

function decode(data) {
	const binary = atob(data);
	const values = new Int8Array(binary.length);

	for (let i = 0; i < binary.length; i++)
		values[i] = binary.charCodeAt(i) << 24 >> 24;
	return values;
}

// {tokens, cells, hidden, layers, cell, top, series: {h: Float32Array of
// [cells][tokens], ...}}: a cell's values lie side by side. Where it begins with
// options.from, the tokens and top of those before it are not there, and their
// values are 0.
export async function read(options, hidden, told = () => {}) {
	const n = options.cells ? options.cells.length : hidden;
	const limit = Math.max(1, Math.min(TOKENS, Math.floor(VALUES / (n * options.series.length))));
	let all = null;
	let from = options.from || 0;

	do {
		const page = await post("v1/activations", { ...options, from, limit });
		const count = page.tokens.length;

		all ||= { ...page, tokens: [], top: [], series: Object.fromEntries(Object.keys(page.series).map(
			(name) => [name, new Float32Array(page.total * n)])) };
		for (const [name, { scale, data }] of Object.entries(page.series)) {
			const values = decode(data);

			for (let t = 0, i = 0; t < count; t++)
				for (let j = 0; j < n; j++, i++)
					all.series[name][j * page.total + from + t] = values[i] * scale[j];
		}
		all.tokens.push(...page.tokens);
		all.top.push(...(page.top || []));
		told(all.tokens.length, page.total);
		from = page.next;
	} while (from);
	return all;
}

// Each says, for every token, a number that a cell may keep track of.
export const features = {
	"column": (tokens) => {
		let at = 0;

		return tokens.map((t) => {
			const line = t.lastIndexOf("\n");

			at = line < 0 ? at + t.length : t.length - line - 1;
			return at;
		});
	},
	"inside quotes": (tokens) => {
		let inside = 0;

		return tokens.map((t) => {
			if ((t.match(/["“”]/g) || []).length % 2)
				inside = 1 - inside;
			return inside;
		});
	},
	"bracket depth": (tokens) => {
		let depth = 0;

		return tokens.map((t) => {
			for (const c of t)
				depth = Math.max(0, depth + ("([{<".includes(c) ? 1 : 0) - (")]}>".includes(c) ? 1 : 0));
			return depth;
		});
	},
	"indent depth": (tokens) => {
		let depth = 0;
		let counting = true;

		return tokens.map((t) => {
			for (const c of t) {
				if (c === "\n")
					[depth, counting] = [0, true];
				else if (counting && (c === " " || c === "\t"))
					depth += c === "\t" ? 8 : 1;
				else
					counting = false;
			}
			return depth;
		});
	},
	"position in word": (tokens) => {
		let at = 0;

		return tokens.map((t) => {
			at = /[\p{L}\p{N}']$/u.test(t) ? at + 1 : 0;
			return at;
		});
	},
};

function correlation(values, offset, x, mean, deviation) {
	const n = x.length;
	let sum = 0;
	let squares = 0;
	let both = 0;

	for (let t = 0; t < n; t++) {
		const v = values[offset + t];

		sum += v;
		squares += v * v;
		both += v * (x[t] - mean);
	}
	const variance = squares - sum * sum / n;

	return variance > 1e-9 && deviation > 0 ? both / Math.sqrt(variance) / deviation : 0;
}

// Cells by how much their series has to do with x, most first.
export function rank(values, n, x) {
	const mean = x.reduce((a, b) => a + b, 0) / x.length;
	const deviation = Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0));

	return Array.from({ length: n }, (_, j) => ({ j, score: correlation(values, j * x.length, x, mean, deviation) }))
		.sort((a, b) => Math.abs(b.score) - Math.abs(a.score));
}

// Cells that hold through the tokens from..to-1: far from 0, of one sign, there
// more than elsewhere.
export function holding(values, n, total, from, to) {
	return Array.from({ length: n }, (_, j) => {
		const row = values.subarray(j * total, (j + 1) * total);
		const inside = row.subarray(from, to);
		const least = Math.max(Math.min(...inside), -Math.max(...inside));
		const mean = inside.reduce((a, b) => a + b, 0) / inside.length;
		const rest = (row.reduce((a, b) => a + b, 0) - mean * inside.length) / Math.max(1, total - inside.length);

		return { j, score: Math.min(least, Math.abs(mean - rest)) };
	}).filter((c) => c.score > 0).sort((a, b) => b.score - a.score);
}

// Of a gate: for each cell the share of tokens at which it is nearly shut, and
// nearly open.
export function saturation(values, n, total) {
	return Array.from({ length: n }, (_, j) => {
		const row = values.subarray(j * total, (j + 1) * total);

		return [row.filter((v) => v < 0.1).length / total, row.filter((v) => v > 0.9).length / total];
	});
}
