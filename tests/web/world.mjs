// A daemon on a free port, ours alone, ended with the tests.

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync, copyFileSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const exe = process.env.UNROLLD_EXE || "build/release/unrolld";

function run(...args) {
	const r = spawnSync(exe, args, { encoding: "utf8" });

	if (r.status !== 0)
		throw new Error(`unrolld ${args[0]}: ${r.stderr}`);
}

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
		run("train", file, "-o", join(this.dir, `models/${name}.safetensors`),
			"--tokenizer", "char", "--hidden", "64", "--layers", "1", "--batch", "4", "--seq-length", "32",
			"--max-steps", "150", "--seed", "1", "--threads", "1", "--learning-rate", "0.01");
	}

	// A captioner that has learnt these images, {file: caption}; its path.
	trainCaptions(name, images, captions) {
		const lines = join(this.dir, `${name}.jsonl`);
		const model = join(this.dir, `${name}.safetensors`);

		writeFileSync(lines, Object.entries(captions).map(([image, caption]) => `${JSON.stringify({ image, caption })}\n`).join(""));
		run("train-caption", lines, "--images", images, "-o", model, "--hidden", "64", "--embedding", "16", "--threads", "1",
			"--epochs", "300", "--max-steps", "200", "--learning-rate", "0.005", "--warmup", "5");
		return model;
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
