// Training: a text is dropped, a job begins; and the jobs that there are.

import { get, job, post, request, textModels } from "./api.js";
import { charsets, detect, preview } from "./encoding.js";
import { ago, bytes, choice, dropZone, el, every, notice, table, tell } from "./dom.js";
import { one } from "./job.js";
import { parameters } from "./parameters.js";

const EVERY_MS = 2000;
const JOBS = 50;

const settings = [
	{ name: "suffix", label: "A part of the new model's name", type: "text", preset: "" },
	{ name: "n_epochs", label: "Epochs", type: "optional", preset: "" },
	{ name: "learning_rate_multiplier", label: "Learning rate, times", type: "optional", preset: "" },
	{ name: "dropout", label: "Dropout", type: "optional", preset: "" },
	{ name: "time_limit_s", label: "Time limit, s", type: "optional", preset: "" },
	{ name: "max_steps", label: "Steps at most", type: "optional", preset: "", more: true },
	{ name: "batch_size", label: "Rows side by side", type: "optional", preset: "", more: true },
	{ name: "seq_length", label: "Tokens back in time", type: "optional", preset: "", more: true },
	{ name: "checkpoint_every", label: "Steps between checkpoints", type: "optional", preset: "", more: true },
	{ name: "validation_fraction", label: "Held out", type: "number", min: 0, max: 0.5, step: 0.01, preset: 0.1, more: true },
	{ name: "schedule", label: "Schedule", type: "choice", choices: ["cosine", "constant", "epoch-decay"], preset: "cosine", more: true },
	{ name: "unknown", label: "Characters that the base lacks", type: "choice", choices: ["extend", "skip", "error"], preset: "extend", more: true },
	{ name: "seed", label: "Seed (empty: a new one)", type: "text", preset: "", more: true },
	{ name: "require_improvement", label: "Make no model unless the held-out loss falls", type: "check", preset: "", more: true },
];

const shape = [
	{ name: "cell", label: "Cell", type: "choice", choices: ["lstm", "gru", "rnn"], preset: "lstm" },
	{ name: "layers", label: "Layers", type: "number", min: 1, max: 4, step: 1, preset: 2, always: true },
	{ name: "hidden", label: "Hidden", type: "number", min: 16, max: 1024, step: 16, preset: 128, always: true },
	{ name: "tokenizer", label: "Tokens", type: "choice", choices: ["char", "word", "bpe", "byte"], preset: "char" },
];
const SCRATCH = "";

// What of a body is no hyperparameter.
const apart = ["suffix", "seed", "require_improvement"];

function split(all) {
	const body = { hyperparameters: {} };

	for (const [name, value] of Object.entries(all))
		(apart.includes(name) ? body : body.hyperparameters)[name] = value;
	return body;
}

// The text: a file of this machine, or one that was uploaded before.
function source(files, changed) {
	const about = el("p", { role: "status" });
	const shown = el("pre.text.panel.preview", { hidden: true, tabindex: 0, "aria-label": "How the text begins" });
	const charset = choice(charsets);
	const known = el("select", {}, el("option", { value: "" }, "none"), ...files.map((f) =>
		el("option", { value: f.id }, `${f.filename} (${bytes(f.bytes)}, ${f.encoding}, ${ago(f.created_at)})`)));
	const asIs = el("label", { hidden: true }, "Encoding ", charset);
	let file = null;
	let sent = null; // {file, charset, id}
	let turn = 0;

	// All that is told of a file appears at once, and only of what was given
	// last: to read a long one takes a while.
	async function show(given, reading) {
		const mine = ++turn;

		try {
			const { charset: name, why } = await reading;
			const text = await preview(given, name);

			if (mine !== turn)
				return;
			file = given;
			charset.value = name;
			about.textContent = `${file.name}, ${bytes(file.size)}. Encoding: ${name} (${why}).`;
			shown.textContent = text;
			asIs.hidden = shown.hidden = false;
			changed();
		} catch (error) {
			if (mine !== turn)
				return;
			forget("");
			throw error;
		}
	}

	function forget(said) {
		turn++;
		file = null;
		about.textContent = said;
		asIs.hidden = shown.hidden = true;
		changed();
	}

	// Nothing may be started with what was given before, meanwhile.
	function take(given) {
		known.value = "";
		forget(`Reading ${given.name}…`);
		return show(given, detect(given));
	}

	charset.addEventListener("change", tell(() => show(file, { charset: charset.value, why: "chosen" })));
	known.addEventListener("change", () => forget(""));
	return {
		node: el("div", {},
			dropZone("Drop a text here, or choose a file:", ".txt,.jsonl,.ndjson,text/*", tell(take)),
			about, asIs, shown,
			files.length ? el("label", {}, "Or one that was uploaded before ", known) : null),
		ready: () => Boolean(file || known.value),
		// Its id; it is uploaded once as what it was taken for.
		async id() {
			if (!file)
				return known.value;
			const given = { file, charset: charset.value };

			if (sent?.file !== given.file || sent.charset !== given.charset) {
				const form = new FormData();

				form.append("purpose", "fine-tune");
				form.append("encoding", given.charset);
				form.append("file", given.file, given.file.name);
				const { id } = await (await request("POST", "v1/files", { body: form })).json();

				sent = { ...given, id };
			}
			return sent.id;
		},
	};
}

const loss = (v) => typeof v === "number" ? v.toFixed(3) : "–";

// A table of them.
export function jobs(list) {
	const head = ["Job", "Status", "Base", "Progress", "Held-out loss", "Model", "Begun"];

	return table("Jobs", head, list.map((j) => {
		const p = j.progress;
		const share = p.total_steps ? Math.round(100 * p.step / p.total_steps) : 0;

		// As it stands at the end of its model's name.
		return [el("a.mono", { href: `#/training/${encodeURIComponent(j.id)}` }, j.id.replace(/^ftjob-/, "").slice(0, 8)),
			el(`span.state.${j.status}`, {}, j.status.replace("_", " ")), j.model, `${share}%`,
			`${loss(j.losses.before)} → ${loss(j.losses.best)}`, el("span.mono", {}, j.fine_tuned_model || ""), ago(j.created_at)];
	}));
}

async function begin(main) {
	main.append(el("h1", {}, "Training"));
	const [models, files] = await Promise.all([textModels(), get("v1/files?limit=50")]);
	const base = el("select", {}, ...models.map((m) => el("option", { value: m.id }, m.id)),
		el("option", { value: SCRATCH }, "none: random weights"));
	const how = parameters(settings);
	const what = parameters(shape);
	const kind = el("div", { hidden: true }, el("h2", {}, "The new model"), what.node);
	const start = el("button.main", {}, "Start");
	const status = el("span.quiet", { role: "status" });
	const list = el("div", {});
	const text = source(files.data, update);
	let busy = false;

	function update() {
		start.disabled = busy || !text.ready();
	}

	async function go(event) {
		event.preventDefault();
		const body = split(how.body());

		if (base.value === SCRATCH)
			Object.assign(body, { from: "scratch", architecture: what.body() });
		else
			body.model = base.value;
		busy = true;
		update();
		try {
			status.textContent = "Uploading…";
			body.training_file = await text.id();
			status.textContent = "Starting…";
			location.hash = `#/training/${encodeURIComponent((await post("v1/fine_tuning/jobs", body)).id)}`;
		} finally {
			status.textContent = "";
			busy = false;
			update();
		}
	}

	base.addEventListener("change", () => { kind.hidden = base.value !== SCRATCH; });
	base.value = models.find((m) => m.id === "shakespeare")?.id ?? models[0]?.id ?? SCRATCH;
	base.dispatchEvent(new Event("change"));
	update();
	main.append(
		el("form", { onsubmit: tell(go) }, el("div.split", {},
			el("div", {}, el("h2", {}, "Text"), text.node),
			el("section.panel", { "aria-label": "Settings" },
				el("div.fields", {}, el("label.wide", {}, "Base model", base)), kind, how.node,
				el("div.row", {}, start, status)))),
		el("h2", {}, "Jobs"), list);
	return every(EVERY_MS, async () => {
		const all = (await get(`v1/fine_tuning/jobs?limit=${JOBS}`)).data;

		list.replaceChildren(all.length ? jobs(all) : el("p.quiet", {}, "There are none yet."));
	});
}

export function training(main, query, rest) {
	return rest[0] ? one(main, rest[0]) : begin(main);
}
