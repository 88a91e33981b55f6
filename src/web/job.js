// One job: how far it is and how it does, live; and what came of it.

import { get, job, jobEvents, post, put } from "./api.js";
import { chart } from "./charts.js";
import { button, duration, el, every, notice, short, tell } from "./dom.js";

const EVERY_MS = 1000;
const over = ["succeeded", "failed", "cancelled"];

const nats = (v) => typeof v === "number" ? v.toFixed(4) : "–";

// Its losses by step, as a chart and in words.
function curve() {
	const plot = chart("Loss, nats a token", { labels: ["step", "training", "held out"], includeZero: false,
		connectSeparatedPoints: true, drawPoints: true, pointSize: 2,
		xRangePad: 8, axes: { y: { axisLabelFormatter: (v) => v.toFixed(2), axisLabelWidth: 44 } } });
	const rows = new Map();

	function set(step, column, value) {
		if (typeof value !== "number")
			return;
		rows.set(step, rows.get(step) || [step, null, null]);
		rows.get(step)[column] = value;
	}

	plot.node.classList.add("big");
	return {
		node: plot.node,
		close: plot.close,
		add(data) {
			set(data.step, 1, data.train_loss);
			set(data.step, 2, data.valid_loss);
		},
		draw(info) {
			const l = info.losses;

			const held = [["before", l.before], [`best, at step ${info.progress.best_step},`, l.best], ["as published", l.after]]
				.filter(([, v]) => typeof v === "number").map(([what, v]) => `${what} ${nats(v)}`);

			set(0, 2, l.before);
			plot.show([...rows.values()].sort((a, b) => a[0] - b[0]), [`training ${nats(info.progress.train_loss)}`,
				`held out: ${held.join(", ") || "not yet"}`]);
		},
	};
}

// What the weights wrote at each checkpoint; the last is shown until another is
// chosen.
function samples() {
	const slider = el("input", { type: "range", min: 1, max: 1, value: 1, "aria-label": "Checkpoint" });
	const about = el("p.quiet", {}, "The first comes with the first checkpoint.");
	const text = el("pre.text.panel", { tabindex: 0, "aria-label": "What the model writes by now" });
	const all = [];
	let follow = true;

	function show() {
		const { step, sample, valid_loss } = all[slider.value - 1];

		about.textContent = `Sample ${slider.value} of ${all.length}: at step ${step}, held out ${nats(valid_loss)}.`;
		text.textContent = sample;
	}

	slider.addEventListener("input", () => {
		follow = Number(slider.value) === all.length;
		show();
	});
	slider.hidden = text.hidden = true;
	return {
		node: el("div", {}, slider, about, text),
		add(data) {
			all.push(data);
			slider.max = all.length;
			slider.hidden = text.hidden = false;
			if (follow)
				slider.value = all.length;
			show();
		},
	};
}

// Base and result, of one prompt and one seed.
function comparison(info) {
	const models = [info.from === "model" ? ["Before", info.model] : null, ["After", info.fine_tuned_model]].filter(Boolean);
	const prompt = el("textarea", { rows: 2 });
	const seed = el("input", { value: "1", size: 12 });
	const temperature = el("input", { type: "number", min: 0, max: 10, step: "any", value: 0.8 });
	const length = el("input", { type: "number", min: 1, step: 1, value: 300 });
	const texts = models.map(() => el("pre.text.panel", { tabindex: 0 }));

	async function write(model, text) {
		text.textContent = "…";
		try {
			const answer = await post("sample", { model, prompt: prompt.value, seed: seed.value.trim() || "1", unknown: "skip",
				temperature: Number(temperature.value), length: Number(length.value) });

			text.replaceChildren(el("span.prompt", {}, prompt.value), answer.text);
		} catch (error) {
			text.replaceChildren(el("span.bad", {}, error.message));
		}
	}

	const go = () => Promise.all(models.map(([, model], i) => write(model, texts[i])));

	return el("section", { "aria-label": "Before and after" }, el("h2", {}, "Before and after"),
		el("label", {}, "Prompt", prompt),
		el("div.row", {}, el("label", {}, "Seed ", seed), el("label", {}, "Temperature ", temperature),
			el("label", {}, "Length ", length), button("Compare", tell(go), { class: "main" })),
		el("div.pair", {}, ...models.map(([label, model], i) =>
			el("div", {}, el("h3", {}, `${label}: `, el("span.mono", {}, model)), texts[i]))));
}

// Names that lead to it.
function publication(info) {
	const name = el("input", { placeholder: "such as default" });
	const said = el("p", { role: "status" });

	async function show() {
		const names = (await get("v1/aliases")).data.filter((a) => a.model === info.fine_tuned_model).map((a) => a.id);

		said.textContent = names.length ? `Published as ${names.join(", ")}.` : "No alias leads to it yet.";
	}

	async function publish(event) {
		event.preventDefault();
		await put(`v1/aliases/${encodeURIComponent(name.value.trim())}`, { model: info.fine_tuned_model });
		await show();
	}

	show().catch((error) => notice(error.message));
	return el("section", { "aria-label": "Publish" }, el("h2", {}, "Publish"),
		el("p.quiet", {}, "An alias is taken wherever a model's name is; the one called default is who answers when none is named."),
		el("form.row", { onsubmit: tell(publish) }, el("label", {}, "Alias ", name), el("button", {}, "Publish")), said);
}

function progress(info) {
	const p = info.progress;

	if (info.status !== "running")
		return `${info.status.replace("_", " ")}${p.step ? ` at step ${p.step} of ${p.total_steps}` : ""}${info.error ? `: ${info.error.message}` : ""}, ${duration(p.seconds)} of training.`;
	const left = info.estimated_finish ? `, ${duration(info.estimated_finish - Date.now() / 1000)} left` : "";

	return `running: step ${p.step} of ${p.total_steps}, epoch ${p.epoch.toFixed(1)}, ${short(p.tokens_per_second)} tokens/s${left}.`;
}

export async function one(main, id) {
	const gone = new AbortController();
	const state = el("p", { role: "status" });
	const bar = el("progress", { max: 1, value: 0, "aria-label": "Progress" });
	const plot = curve();
	const texts = samples();
	const log = el("ol.log", {});
	const warnings = el("div", { "aria-live": "polite" });
	const end = el("div", {});
	const ask = (verb) => tell(async () => show(await post(job(id, `/${verb}`), {})));
	const verbs = { pause: button("Pause", ask("pause")), resume: button("Resume", ask("resume")), cancel: button("Cancel", ask("cancel")) };
	let info = await get(job(id));

	function show(now) {
		const ended = over.includes(now.status);

		state.textContent = progress(now);
		state.className = now.status === "failed" ? "bad" : "";
		bar.value = now.progress.total_steps ? now.progress.step / now.progress.total_steps : 0;
		verbs.pause.disabled = ended || now.status === "paused";
		verbs.resume.disabled = now.status !== "paused";
		verbs.cancel.disabled = ended;
		plot.draw(now);
		if (now.fine_tuned_model && !end.hasChildNodes())
			end.append(el("p", {}, "It made ", el("span.mono", {}, now.fine_tuned_model), ". ",
				el("a", { href: `#/play?${new URLSearchParams({ model: now.fine_tuned_model })}` }, "Try it in the playground")),
			comparison(now), publication(now));
		info = now;
	}

	function take({ message, level, data }) {
		log.append(el("li", {}, message));
		if (level === "warn")
			warnings.append(el("p.bad", {}, message));
		if (!data)
			return;
		plot.add(data);
		if (data.sample)
			texts.add(data);
		plot.draw(info);
	}

	const file = await get(`v1/files/${encodeURIComponent(info.training_file)}`).catch(() => null);

	main.append(el("p", {}, el("a", { href: "#/training" }, "All training")), el("h1.mono", {}, id),
		el("p.quiet", {}, `${info.from === "model" ? `From ${info.model}` : "From random weights"}, on ${file ? `${file.filename} (${file.encoding})` : "a file that is gone"}.`),
		state, bar, warnings, el("div.row", {}, ...Object.values(verbs)),
		el("div.pair", {}, plot.node, el("section", { "aria-label": "Samples" }, el("h2", {}, "As it learns"), texts.node)),
		end,
		el("details", {}, el("summary", {}, "What it told"), log));
	show(info);
	jobEvents(id, gone.signal, take, () => {}).catch((error) => {
		if (error.name !== "AbortError")
			notice(error.message);
	});
	const stop = every(EVERY_MS, async () => {
		show(await get(job(id)));
		return over.includes(info.status);
	});

	return () => {
		stop();
		gone.abort();
		plot.close();
	};
}
