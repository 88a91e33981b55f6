// What the daemon does now: its metrics as live charts, its jobs and its models.

import { ApiError, get, metrics } from "./api.js";
import { chart } from "./charts.js";
import { bytes, el, every, short, table } from "./dom.js";
import { jobs } from "./training.js";

const EVERY_MS = 1000;
const KEPT = 300;
const LISTS = 5; // looks, of which one also asks for jobs and models

const rate = (name) => (now, before, seconds) => ((now[name] || 0) - (before[name] || 0)) / seconds;
const value = (name) => (now) => now[name] || 0;
const loss = (kind) => (now) => now[`unrolld_job_loss{kind="${kind}"}`] || null;
const state = (name) => value(`unrolld_jobs{state="${name}"}`);
const nats = (v) => v ? v.toFixed(3) : "–";

// A chart each: its series, and how what they are now is written.
const rows = [
	{ title: "Tokens a second", write: short, series: [
		["generated", rate("unrolld_generated_tokens_total")],
		["prompts", rate("unrolld_prompt_tokens_total")]] },
	{ title: "Requests", write: short, series: [
		["running", value("unrolld_generations_active")],
		["queued", value("unrolld_generations_queued")],
		["waiting", value("unrolld_generations_waiting")]] },
	{ title: "HTTP requests a second", write: short, series: [
		["requests", rate("unrolld_http_requests_total")]] },
	{ title: "Sessions", write: short, series: [
		["stored", value("unrolld_sessions")],
		["in memory", value("unrolld_sessions_resident")]] },
	{ title: "Memory", write: bytes, series: [
		["resident", value("unrolld_resident_memory_bytes")],
		["of it sessions", value("unrolld_sessions_resident_bytes")]] },
	{ title: "Jobs", write: short, series: [
		["running", state("running")],
		["queued", state("queued")],
		["paused", state("paused")]] },
	{ title: "Tokens trained on, a second", write: short, series: [
		["all jobs", value("unrolld_job_tokens_per_second")]] },
	{ title: "Loss of the job that began last, nats a token", write: nats, zero: false, series: [
		["training", loss("train")],
		["held out", loss("validation")]] },
];

// Outlives the page's visits.
const history = rows.map(() => []);
let before = null;
let at = 0;

async function look() {
	const now = await metrics();
	const time = performance.now();
	const seconds = (time - at) / 1000;

	if (before && seconds > 0)
		rows.forEach((row, i) => {
			history[i].push([new Date(), ...row.series.map(([, of]) => of(now, before, seconds))]);
			if (history[i].length > KEPT)
				history[i].shift();
		});
	before = now;
	at = time;
}

function models(list) {
	const head = ["Model", "Cell", "Layers", "Hidden", "Vocabulary", "Weights", "State", "Held-out loss", "Parent", "System fingerprint"];

	return table("Models", head, list.map((m) => {
		const about = m.training || {};
		// Of a fine-tuned one, on what its job held out.
		const nats = about.validation?.nats_per_token ?? about.losses?.after;

		return [m.id, m.cell, m.layers, m.hidden, `${m.vocab} (${m.tokenizer})`, bytes(m.bytes), bytes(m.state_bytes),
			typeof nats === "number" ? nats.toFixed(4) : "", about.parent, m.system_fingerprint].map((x) => String(x ?? ""));
	}));
}

// Of who may not train, or where no jobs can be, the rest is shown.
async function recent() {
	try {
		const list = (await get("v1/fine_tuning/jobs?limit=10")).data;

		return list.length ? jobs(list) : el("p.quiet", {}, "There are none yet. ", el("a", { href: "#/training" }, "Train one"));
	} catch (error) {
		if (!(error instanceof ApiError) || ![403, 503].includes(error.status))
			throw error;
		return el("p.quiet", {}, error.message);
	}
}

export async function overview(main) {
	const charts = rows.map((row) => chart(row.title, { labels: ["time", ...row.series.map(([name]) => name)], includeZero: row.zero !== false }));
	const said = el("p", { role: "status" });
	const tables = { jobs: el("div", {}), models: el("div", {}) };
	let ticks = 0;
	let closed = false;

	function draw() {
		rows.forEach((row, i) => {
			const latest = history[i].at(-1);

			charts[i].show(history[i], latest ? row.series.map(([name], k) => `${name} ${row.write(latest[k + 1])}`) : []);
		});
	}

	async function lists() {
		const [all, begun] = await Promise.all([get("v1/models"), recent()]);

		tables.models.replaceChildren(models(all.data));
		tables.jobs.replaceChildren(begun);
	}

	main.append(el("h1", {}, "Overview"), said, el("div.charts", {}, ...charts.map((c) => c.node)),
		el("h2", {}, "Jobs"), tables.jobs, el("h2", {}, "Models"), tables.models);
	const stop = every(EVERY_MS, async () => {
		await look();
		if (ticks++ % LISTS === 0)
			await lists();
		if (closed)
			return;
		draw();
		said.textContent = before?.unrolld_ready ? "The daemon is ready." : "The daemon is not ready.";
	});

	return () => {
		closed = true;
		stop();
		for (const c of charts)
			c.close();
	};
}
