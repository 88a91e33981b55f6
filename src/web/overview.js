// What the daemon does now: its metrics as live charts, and its models.

import { get, metrics } from "./api.js";
import { chart } from "./charts.js";
import { bytes, el, notice, short } from "./dom.js";

const EVERY_MS = 1000;
const KEPT = 300;

const rate = (name) => (now, before, seconds) => ((now[name] || 0) - (before[name] || 0)) / seconds;
const value = (name) => (now) => now[name] || 0;

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

function training(m) {
	const t = m.training || {};
	const loss = t.validation?.nats_per_token;

	return [typeof loss === "number" ? loss.toFixed(4) : "", t.parent || ""];
}

function models(list) {
	const head = ["Model", "Cell", "Layers", "Hidden", "Vocabulary", "Weights", "State", "Loss (nats)", "Parent", "System fingerprint"];

	return el("div.scroll", { tabindex: 0, role: "region", "aria-label": "Models" }, el("table", {},
		el("thead", {}, el("tr", {}, ...head.map((h) => el("th", { scope: "col" }, h)))),
		el("tbody", {}, ...list.map((m) => el("tr", {},
			...[m.id, m.cell, m.layers, m.hidden, `${m.vocab} (${m.tokenizer})`, bytes(m.bytes), bytes(m.state_bytes),
				...training(m), m.system_fingerprint].map((x) => el("td", {}, String(x))))))));
}

export async function overview(main) {
	const charts = rows.map((row) => chart(row.title, { labels: ["time", ...row.series.map(([name]) => name)] }));
	const state = el("p", { role: "status" });
	let timer = null;
	let closed = false;

	function draw() {
		rows.forEach((row, i) => {
			const latest = history[i].at(-1);

			charts[i].show(history[i], latest ? row.series.map(([name], k) => `${name} ${row.write(latest[k + 1])}`) : []);
		});
	}

	async function tick() {
		try {
			if (!document.hidden) {
				await look();
				if (closed)
					return;
				draw();
			}
			state.textContent = before?.unrolld_ready ? "The daemon is ready." : "The daemon is not ready.";
			notice("");
		} catch (error) {
			notice(error.message);
			// The dialog asks for a key; with one the page begins anew.
			closed ||= error.status === 401;
		}
		if (!closed)
			timer = setTimeout(tick, EVERY_MS);
	}

	main.append(el("h1", {}, "Overview"), state, el("div.charts", {}, ...charts.map((c) => c.node)),
		el("h2", {}, "Models"), models((await get("v1/models")).data));
	tick();
	return () => {
		closed = true;
		clearTimeout(timer);
		for (const c of charts)
			c.close();
	};
}
