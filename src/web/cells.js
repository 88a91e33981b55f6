// What single cells do (Karpathy, Johnson, Li: "Visualizing and Understanding
// Recurrent Networks"): a text, each token coloured by a cell's activation.

import { features, holding, rank, read, saturation } from "./activations.js";
import { get } from "./api.js";
import { chart } from "./charts.js";
import { button, el, percent, tell, visible } from "./dom.js";

const STEPS = 10;
const SHOWN = 12;
const GATE_TOKENS = 1000; // of which saturation is told
const names = { h: "h, the hidden state", c: "c, the memory", i: "input gate", f: "forget gate", g: "cell gate", o: "output gate",
	r: "reset gate", z: "update gate", n: "new gate" };
const series = { lstm: "hcifgo", gru: "hrzn", rnn: "h" };
const gates = { lstm: "ifo", gru: "rz", rnn: "" };

const example = `ROMEO:
But, soft! what light through yonder window breaks?
It is the east, and Juliet is the sun.

JULIET:
O Romeo, Romeo! wherefore art thou Romeo?
Deny thy father and refuse thy name.
`;

// Classes of a heat map's colours: c10 … c1, none, h1 … h10.
function shade(value, most) {
	const step = Math.round(STEPS * Math.max(-1, Math.min(1, value / most)));

	return step < 0 ? `c${-step}` : step > 0 ? `h${step}` : "";
}

export async function cells(main, query) {
	const models = (await get("v1/models")).data.filter((m) => m.kind === "text");
	const model = el("select", {}, ...models.map((m) => el("option", { value: m.id }, m.id)));
	const layer = el("select", {});
	const text = el("textarea", { rows: 6 });
	const by = el("select", {}, ...Object.keys(features).map((f) => el("option", {}, f)));
	const what = el("select", {});
	const status = el("p.quiet", { role: "status" });
	const list = el("div.cell-list", { role: "group", "aria-label": "Cells" });
	const heat = el("div.text.panel.heat", { tabindex: 0, role: "group", "aria-label": "Text, coloured by a cell" });
	const details = el("p", { "aria-live": "polite" });
	const plot = el("div", {});
	const number = el("input", { type: "number", min: 0, step: 1, value: 0 });
	let graph = null;
	let all = null; // h of all cells
	let one = null; // all series of the chosen cell
	let asked = null;
	let spans = [];

	const chosen = () => models.find((m) => m.id === model.value);

	function layers() {
		layer.replaceChildren(...Array.from({ length: chosen().layers }, (_, i) => el("option", { value: i }, String(i))));
		layer.value = String(chosen().layers - 1);
	}

	// Spans are made once for a text; another cell only changes their class.
	function draw() {
		const begun = performance.now();
		const lines = [el("div")];

		spans = all.tokens.map((token, i) => {
			const span = document.createElement("span");

			span.dataset.t = i;
			span.textContent = token;
			lines.at(-1).append(span);
			if (token.endsWith("\n"))
				lines.push(el("div"));
			return span;
		});
		colour();
		heat.replaceChildren(...lines);
		heat.getBoundingClientRect();
		heat.dataset.ms = (performance.now() - begun).toFixed(1);
	}

	function colour() {
		const name = what.value || "h";
		const row = one ? one.series[name] : all.series.h.subarray(0, all.tokens.length);
		const most = name === "c" ? Math.max(1e-6, ...row.map(Math.abs)) : 1;
		const gate = "iforz".includes(name);

		spans.forEach((span, i) => {
			const end = all.tokens[i].endsWith("\n") ? "end " : "";

			// A gate lies between 0 and 1: half open is white.
			span.className = end + shade(gate ? 2 * row[i] - 1 : row[i], most);
		});
	}

	async function choose(j) {
		const cell = all.cells[j];

		if (cell === undefined)
			throw new Error(`There is no cell ${j}: the layer has ${all.hidden}`);
		one = await read({ ...asked, cells: [cell], series: series[all.cell] }, 1);
		number.value = cell;
		for (const b of list.querySelectorAll("button"))
			b.setAttribute("aria-pressed", String(b.dataset.cell === String(cell)));
		colour();
		status.textContent = `Cell ${cell} of layer ${all.layer}.`;
	}

	function offer(ranked) {
		list.replaceChildren(...ranked.slice(0, SHOWN).map(({ j, score }) =>
			button(`${all.cells[j]} (${score.toFixed(2)})`, tell(() => choose(j)), { "data-cell": all.cells[j], "aria-pressed": "false" })));
		if (!ranked.length)
			list.append(el("span.quiet", {}, "None does."));
	}

	async function rankBy() {
		const ranked = rank(all.series.h, all.cells.length, features[by.value](all.tokens));

		offer(ranked);
		await choose(ranked[0].j);
	}

	function brushed() {
		const selection = getSelection();
		const at = (node) => node && Number((node.nodeType === 3 ? node.parentElement : node).closest("[data-t]")?.dataset.t);
		const ends = [at(selection.anchorNode), at(selection.focusNode)].sort((a, b) => a - b);

		if (!ends.every(Number.isInteger) || !heat.contains(selection.anchorNode))
			throw new Error("Select a part of the text first");
		const ranked = holding(all.series.h, all.cells.length, all.tokens.length, ends[0], ends[1] + 1);

		offer(ranked);
		return ranked.length ? choose(ranked[0].j) : null;
	}

	async function showGates() {
		const letters = gates[all.cell];

		if (graph)
			graph.close();
		graph = null;
		plot.replaceChildren();
		if (!letters)
			return;
		const part = all.tokens.slice(0, GATE_TOKENS);
		const told = await read({ ...asked, text: part.join(""), unknown: "skip", series: letters }, all.hidden);
		const rows = [...letters].flatMap((letter, k) => saturation(told.series[letter], all.cells.length, told.tokens.length)
			.map(([shut, open]) => [shut, ...[...letters].map((_, i) => i === k ? open : null)]));
		const mean = (letter) => {
			const all = saturation(told.series[letter], told.cells.length, told.tokens.length);

			return `${names[letter]}: shut ${Math.round(100 * all.reduce((s, [a]) => s + a, 0) / all.length)}%, open ${Math.round(100 * all.reduce((s, [, b]) => s + b, 0) / all.length)}% of the time`;
		};

		graph = chart("Gates: how often each cell's is shut (< 0.1, across) and open (> 0.9, up)", {
			labels: ["shut", ...[...letters].map((l) => names[l])], drawPoints: true, strokeWidth: 0, pointSize: 2, dateWindow: [-0.02, 1.02], valueRange: [-0.02, 1.05] });
		plot.append(graph.node);
		graph.show(rows.sort((a, b) => a[0] - b[0]), [...letters].map(mean));
	}

	async function look() {
		asked = { model: model.value, text: text.value, layer: Number(layer.value) };
		one = null;
		status.textContent = "Reading…";
		all = await read({ ...asked, series: "h", top: 5 }, chosen().hidden, (n, of) => { status.textContent = `Read ${n} of ${of} tokens…`; });
		what.replaceChildren(...[...series[all.cell]].map((s) => el("option", { value: s }, names[s])));
		draw();
		await rankBy();
		await showGates();
	}

	heat.addEventListener("mouseover", (event) => {
		const i = event.target.closest("[data-t]")?.dataset.t;

		if (i === undefined)
			return;
		const told = (one || all).series;
		const values = one ? Object.entries(told).map(([name, row]) => `${name} ${row[i].toFixed(2)}`).join(", ") : "";

		details.textContent = `“${visible(all.tokens[i])}”: ${values}. Next: ${all.top[i].map((t) => `${visible(t.text)} ${percent(t.logprob)}`).join(", ")}`;
	});
	model.addEventListener("change", layers);
	by.addEventListener("change", tell(async () => all && rankBy()));
	what.addEventListener("change", () => all && colour());
	model.value = query.get("model") || models.find((m) => m.id === "shakespeare")?.id || models[0]?.id || "";
	text.value = query.get("text") || example;
	if (!models.length)
		throw new Error("No model is loaded");
	layers();
	main.append(el("h1", {}, "Cells"),
		el("p.quiet", {}, "A layer's cells while the model reads a text: blue is negative or shut, red positive or open."),
		el("label", {}, "Text to read", text),
		el("div.row", {}, el("label", {}, "Model ", model), el("label", {}, "Layer ", layer), button("Read it", tell(look), { class: "main" })),
		status,
		el("div.row", {}, el("label", {}, "Cells that follow ", by), button("Cells that hold through the selection", tell(async () => all && brushed())),
			el("label", {}, "Cell ", number), button("Show it", tell(async () => all && choose(all.cells.indexOf(Number(number.value))))),
			el("label", {}, "Of it ", what)),
		list, heat, details, plot);
	return () => graph && graph.close();
}
