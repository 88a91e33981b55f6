// A daemon on a free port and a browser, both ours alone, ended with the tests.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, copyFileSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const exe = process.env.UNROLLD_EXE || "build/release/unrolld";
export const artefacts = process.env.WEB_ARTEFACTS || "build/web";

export class Daemon {
	constructor() {
		this.dir = mkdtempSync(join(tmpdir(), "unrolld-web-"));
		mkdirSync(join(this.dir, "models"));
		copyFileSync("conf/models/shakespeare.safetensors", join(this.dir, "models/shakespeare.safetensors"));
	}

	// A model that has learnt nothing but this text.
	train(name, text) {
		const file = join(this.dir, `${name}.txt`);

		writeFileSync(file, text.repeat(60));
		const r = spawnSync(exe, ["train", file, "-o", join(this.dir, `models/${name}.safetensors`),
			"--tokenizer", "char", "--hidden", "64", "--layers", "1", "--batch", "4", "--seq-length", "32",
			"--max-steps", "150", "--seed", "1", "--threads", "1", "--learning-rate", "0.01"], { encoding: "utf8" });

		if (r.status !== 0)
			throw new Error(`no model ${name}: ${r.stderr}`);
	}

	async start(port = 0, ...options) {
		this.child = spawn(exe, ["serve", "--http.port", String(port), "--models.dir", join(this.dir, "models"),
			"--models.default", "shakespeare", "--sessions.path", join(this.dir, "sessions.db"), ...options],
		{ stdio: ["ignore", "pipe", "ignore"] });
		this.ended = new Promise((done) => this.child.once("exit", done));
		this.url = await new Promise((found, failed) => {
			let out = "";

			this.child.stdout.on("data", (bytes) => {
				out += bytes;
				const url = /http:\/\/[^\s]+/.exec(out);

				if (url)
					found(url[0]);
			});
			this.child.once("exit", (code) => failed(new Error(`the daemon ended with ${code}`)));
		});
		this.port = Number(new URL(this.url).port);
	}

	async stop(signal = "SIGTERM") {
		this.child.kill(signal);
		await this.ended;
	}

	async remove() {
		await this.stop();
		rmSync(this.dir, { recursive: true });
	}

	async get(path) {
		return (await fetch(this.url + path)).json();
	}

	async post(path, body) {
		return (await fetch(this.url + path, { method: "POST",
			headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) })).json();
	}

	async metric(name) {
		const text = await (await fetch(`${this.url}/metrics`)).text();
		const line = text.split("\n").find((l) => l.startsWith(`${name} `));

		return Number(line.split(" ")[1]);
	}
}

export function launch() {
	return chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
		args: [...(process.getuid() ? [] : ["--no-sandbox"]), "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync"] });
}

// A page that keeps what goes wrong in it. Failed requests are shown in its
// console by the browser itself: those count only where `quiet` is false.
export async function open(browser, url, options = {}) {
	const context = await browser.newContext({ acceptDownloads: true, viewport: { width: 1000, height: 900 }, ...options });
	const page = await context.newPage();

	page.faults = [];
	page.quiet = false;
	page.on("console", (m) => {
		if (["error", "warning"].includes(m.type()) && !(page.quiet && m.text().startsWith("Failed to load resource")))
			page.faults.push(m.text().slice(0, 300));
	});
	page.on("pageerror", (error) => page.faults.push(String(error)));
	page.on("dialog", (dialog) => {
		page.faults.push(`a dialog: ${dialog.message()}`);
		dialog.dismiss();
	});
	page.setDefaultTimeout(20000);
	await page.goto(url);
	return page;
}

// README's are two of these, copied to tests/web.
export function shoot(page, name) {
	return page.screenshot({ path: join(artefacts, `${name}.png`), clip: { x: 0, y: 0, width: 1000, height: 640 }, animations: "disabled" });
}

// Asks again until it is so.
export async function until(what, of, seconds = 20) {
	for (let i = 0; i < 10 * seconds; i++) {
		if (await of())
			return;
		await new Promise((done) => setTimeout(done, 100));
	}
	throw new Error(`not within ${seconds} s: ${what}`);
}
