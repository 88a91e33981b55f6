import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Daemon, artefacts, launch, open, shoot, until } from "./world.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const HTML = "<img src=x onerror=alert(1)><script>alert(2)</script>\n";
const daemon = new Daemon();
let browser;

before(async () => {
	daemon.train("markup", HTML);
	await daemon.start();
	browser = await launch();
});

after(async () => {
	await browser?.close();
	await daemon.remove();
});

const status = (page) => page.locator("main p[role=status]");
const generated = async (page) => (await page.locator(".text [data-t]").allTextContents()).join("");
const click = (page, name) => page.getByRole("button", { name, exact: true }).click();
const set = (page, name, value) => page.locator(`[name=${name}]`).fill(value);

// Gives up as soon as the page says that something went wrong.
const unless = (page, what, of, seconds = 60) => until(what, async () => {
	const fault = await page.locator("#notice").textContent();

	if (fault && !fault.includes("connection was lost"))
		throw new Error(fault);
	return of(await status(page).textContent());
}, seconds);
const ended = (page) => unless(page, "the end of a text", (said) => / tokens\/s, .* seed /.test(said));

// Scripts of ours are let past the policy; the page's own still aren't.
async function checkAccess(page) {
	const result = await page.evaluate(`(() => { const module = undefined; ${axe}; })(); axe.run()`);
	const bad = result.violations.filter((v) => ["serious", "critical"].includes(v.impact));

	assert.deepEqual(bad.map((v) => [v.id, v.nodes.map((n) => n.html)]), []);
}

async function fine(page) {
	assert.deepEqual([...new Set(page.faults)], []);
	assert.equal(await page.locator("main img, main script").count(), 0);
	await page.context().close();
}

test("a text streams in, and its link and its curl give it again", async () => {
	const page = await open(browser, daemon.url);

	await page.locator("main textarea").first().fill("JULIET:\n");
	await set(page, "length", "120");
	await set(page, "temperature", "0.8");
	await click(page, "Generate");
	await ended(page);
	const text = await generated(page);

	assert.equal([...text].length, 120);
	await page.locator(".text [data-t]").nth(3).click();
	await page.locator(".choices button").first().waitFor();
	await shoot(page, "playground");
	await checkAccess(page);
	await click(page, "Copy as curl");
	const curl = await page.locator("textarea[readonly]").inputValue();
	const body = JSON.parse(/-d '(.*)'$/s.exec(curl)[1]);

	assert.equal((await daemon.post("/sample", body)).text, text);
	await click(page, "Copy link");
	const again = await open(browser, await page.locator("textarea[readonly]").inputValue());

	await click(again, "Generate");
	await ended(again);
	assert.equal(await generated(again), text);
	await fine(again);
	await fine(page);
});

test("from a token one goes on with another, in a fork, or goes back", async () => {
	const page = await open(browser, `${daemon.url}/#/play?seed=7&length=60`);

	await click(page, "Generate");
	await ended(page);
	const text = await generated(page);
	const parent = /session (\S+) at/.exec(await status(page).textContent())[1];

	// Two tabs at once: this one knows nothing of the other's doings.
	const other = await open(browser, `${daemon.url}/#/play?seed=8&length=60`);

	await click(other, "Generate");
	await page.locator(".text [data-t]").nth(20).click();
	await page.locator(".choices button").nth(2).click();
	await until("the fork's text", async () => {
		const now = await status(page).textContent();

		return / seed 7, session /.test(now) && !now.includes(parent);
	});
	const forked = await generated(page);
	const child = /session (\S+) at (\d+)/.exec(await status(page).textContent());
	const prefix = text.slice(0, 20);

	assert.ok(forked.startsWith(prefix));
	assert.equal(forked.length, 20 + 60);
	assert.notEqual(forked.slice(20, 40), text.slice(20, 40));
	assert.equal((await daemon.get(`/v1/sessions/${child[1]}`)).metadata.parent, parent);
	// The prompt, 20 tokens, the one chosen, and 60 more.
	assert.equal(Number(child[2]), 7 + 20 + 1 + 60);

	await page.locator(".text [data-t]").nth(10).click();
	await click(page, "Rewind to before it");
	await until("the rewind", async () => / is back at 17\.$/.test(await status(page).textContent()));
	assert.equal((await daemon.get(`/v1/sessions/${child[1]}`)).position, 17);
	// From there it is the first text again, of the same seed.
	await set(page, "length", "50");
	await click(page, "Continue");
	await ended(page);
	assert.equal(await generated(page), text);
	await ended(other);
	await fine(other);
	await fine(page);
});

test("stop cancels, and the session is where the text is", async () => {
	const page = await open(browser, `${daemon.url}/#/play?seed=3&length=2000`);

	await set(page, "length", "200000");
	await click(page, "Generate");
	await until("the first tokens", async () => await page.locator(".text [data-t]").count() > 20);
	await click(page, "Stop");
	await until("the stop", async () => (await status(page).textContent()).startsWith("Stopped"));
	assert.equal(await daemon.metric("unrolld_generations_active"), 0);
	const n = [...await generated(page)].length;
	const [, id, position] = /session (\S+) at (\d+)/.exec(await status(page).textContent());

	assert.equal(Number(position), 7 + n);
	assert.equal((await daemon.get(`/v1/sessions/${id}`)).position, 7 + n);
	// And it goes on as if it had not been stopped.
	await set(page, "length", "40");
	await click(page, "Continue");
	await ended(page);
	const whole = await daemon.post("/sample", { prompt: "ROMEO:\n", seed: "3", length: n + 40 });

	assert.equal(await generated(page), whole.text);
	await fine(page);
});

test("a daemon that is restarted in the midst of a stream goes on with it", async () => {
	const page = await open(browser, `${daemon.url}/#/play?seed=4`);

	page.quiet = true;
	await set(page, "length", "6000");
	await click(page, "Generate");
	await until("the first tokens", async () => await page.locator(".text [data-t]").count() > 20);
	await daemon.stop("SIGKILL");
	await until("the message", async () => (await page.locator("#notice").textContent()).includes("connection was lost"));
	await daemon.start(daemon.port);
	await ended(page);
	assert.equal(await page.locator("#notice").isHidden(), true);
	const whole = await daemon.post("/sample", { prompt: "ROMEO:\n", seed: "4", length: 6000 });

	assert.equal(await generated(page), whole.text);
	await fine(page);
});

test("what a model writes, and what a session is called, stays text", async () => {
	const page = await open(browser, `${daemon.url}/#/play?model=markup&seed=1&length=200&temperature=0.2&prompt=${encodeURIComponent("<img ")}`);

	await click(page, "Generate");
	await ended(page);
	assert.match(await generated(page), /<script>alert/);
	await daemon.post("/v1/sessions", { id: "markup", model: "markup", metadata: { parent: HTML, note: HTML } });
	await page.goto(`${daemon.url}/#/sessions`);
	await page.locator("a", { hasText: /^markup$/ }).click();
	await until("its metadata", async () => (await page.locator("td", { hasText: "alert(2)" }).count()) === 1);
	await fine(page);
});

test("sessions: a tree, snapshots, rewinds, export and import", async () => {
	await daemon.post("/v1/sessions", { id: "play", seed: 5, prompt: "ROMEO:" });
	await daemon.post("/v1/sessions/play/fork", { ids: ["play-2"], metadata: { parent: "play" } });
	const page = await open(browser, `${daemon.url}/#/sessions`);

	await page.locator("ul.tree ul a", { hasText: /^play-2$/ }).waitFor();
	await shoot(page, "sessions");
	await checkAccess(page);
	await page.locator("a", { hasText: /^play$/ }).click();
	await page.getByLabel("Name ").fill("before");
	await click(page, "Take a snapshot");
	await page.getByRole("button", { name: "Rewind to before" }).waitFor();
	await daemon.post("/sample", { session: "play", length: 30 });
	await page.getByRole("button", { name: "Rewind to before" }).click();
	await until("the rewind", async () => (await daemon.get("/v1/sessions/play")).position === 6);
	await checkAccess(page);

	const [saved] = await Promise.all([page.waitForEvent("download"), click(page, "Export")]);
	const blob = readFileSync(await saved.path());

	await click(page, "Delete");
	await until("its end", async () => (await fetch(`${daemon.url}/v1/sessions/play`)).status === 404);
	// Dropped as a hand would drop it.
	const drop = await page.evaluateHandle((bytes) => {
		const data = new DataTransfer();

		data.items.add(new File([new Uint8Array(bytes)], "play.session"));
		return data;
	}, [...blob]);

	await page.locator(".drop").dispatchEvent("drop", { dataTransfer: drop });
	await page.getByRole("heading", { level: 1, name: /^(play|sess_)/ }).waitFor();
	const id = await page.locator("h1").textContent();

	assert.equal((await daemon.get(`/v1/sessions/${id}`)).position, 6);
	await page.getByRole("link", { name: "Continue in the playground" }).click();
	await set(page, "length", "25");
	await click(page, "Continue");
	await ended(page);
	assert.equal((await daemon.get(`/v1/sessions/${id}`)).position, 31);
	await fine(page);
});

test("cells: a heat map, cells that follow a feature or hold through a span, gates", async () => {
	const page = await open(browser, `${daemon.url}/#/cells?model=shakespeare`);
	const heat = page.locator(".heat");
	const text = `${(await daemon.post("/sample", { prompt: "ROMEO:\n", seed: 6, length: 4990, echo: true })).text}\nEnd`.slice(0, 5000);

	await page.getByLabel("Text to read").fill(text);
	await click(page, "Read it");
	await unless(page, "a chosen cell", (said) => /^Cell \d+ of layer 1/.test(said));
	assert.equal((await heat.locator("[data-t]").allTextContents()).join(""), text);
	const ms = Number(await heat.getAttribute("data-ms"));

	console.log(`# the view of ${text.length} tokens took ${ms} ms`);
	// It is one of the colours, and cells differ.
	const colours = () => heat.locator("[data-t]").evaluateAll((all) => all.map((s) => s.className).join(" "));
	const before = await colours();

	assert.match(before, /\bh\d/);
	assert.match(before, /\bc\d/);
	// The one that follows best is of the API's own values.
	const cell = Number(await page.getByLabel("Cell ", { exact: true }).inputValue());
	const told = await daemon.post("/v1/activations", { model: "shakespeare", text: text.slice(0, 200), cells: [cell] });
	const first = Buffer.from(told.series.h.data, "base64").readInt8(0) * told.series.h.scale[0];
	const step = Math.round(10 * first);
	const shade = await heat.locator("[data-t]").first().getAttribute("class");

	assert.equal(shade.trim(), step < 0 ? `c${-step}` : step > 0 ? `h${step}` : "");
	await page.getByLabel("Cells that follow").selectOption("position in word");
	await until("other cells", async () => await colours() !== before);
	await page.getByLabel("Of it").selectOption("f");
	await heat.locator("[data-t]").nth(30).evaluate((span) => {
		const range = document.createRange();

		range.setStart(span.firstChild, 0);
		range.setEnd(span.parentElement.lastChild.firstChild, 1);
		getSelection().removeAllRanges();
		getSelection().addRange(range);
	});
	await click(page, "Cells that hold through the selection");
	await until("cells that hold", async () => await page.locator(".cell-list button[aria-pressed=true]").count() === 1);
	await page.locator("figure canvas").first().waitFor();
	assert.match(await page.locator("figure p").textContent(), /forget gate: shut \d+%, open \d+%/);
	await checkAccess(page);
	await page.getByLabel("Of it").selectOption("h");
	await shoot(page, "cells");
	await fine(page);
});

test("the overview shows what the daemon does", async () => {
	const page = await open(browser, `${daemon.url}/#/overview`);
	const tokens = page.locator("figure", { hasText: "Tokens a second" });

	await until("a first rate", async () => (await tokens.locator("p").textContent()).startsWith("generated "));
	const work = daemon.post("/sample", { length: 20000 });

	await until("tokens a second", async () => !(await tokens.locator("p").textContent()).startsWith("generated 0,"));
	await work;
	assert.equal(await tokens.locator("canvas").count() > 0, true);
	assert.match(await page.locator("tbody tr", { hasText: "shakespeare" }).textContent(), /lstm.*1\.4911/);
	await checkAccess(page);
	await shoot(page, "overview");
	await fine(page);
});

test("a key is asked for, and stays in its tab", async () => {
	const keyed = new Daemon();
	const keys = join(keyed.dir, "keys");

	writeFileSync(keys, "alice sample key-of-alice-0123456789abcdef\n", { mode: 0o600 });
	await keyed.start(0, "--auth.keys_file", keys);
	try {
		const page = await open(browser, keyed.url);

		page.quiet = true;
		await page.getByRole("dialog").waitFor();
		await page.getByLabel("Key", { exact: true }).fill("key-of-alice-0123456789abcdef");
		await click(page, "Use it");
		await click(page, "Generate");
		await ended(page);
		assert.equal(await page.evaluate("JSON.stringify({...localStorage})").then((all) => all.includes("key-of-alice")), false);
		// Another tab has none.
		const other = await page.context().newPage();

		await other.goto(keyed.url);
		await other.getByRole("dialog").waitFor();
		await fine(page);
	} finally {
		await keyed.remove();
	}
});

test("on a phone, in the dark, and by the keyboard alone", async () => {
	const page = await open(browser, daemon.url, { viewport: { width: 360, height: 740 }, colorScheme: "dark" });

	await set(page, "length", "40");
	await page.getByRole("button", { name: "Generate", exact: true }).focus();
	await page.keyboard.press("Enter");
	await ended(page);
	await page.locator(".text").focus();
	await page.keyboard.press("Home");
	await page.keyboard.press("ArrowRight");
	assert.equal(await page.locator(".text .at").getAttribute("data-t"), "0.1");
	assert.ok(await page.locator(".choices button").count() > 1);
	await checkAccess(page);
	const wide = await page.evaluate(() => document.documentElement.scrollWidth);

	assert.ok(wide <= 360, `the page is ${wide} pixels wide`);
	await page.screenshot({ path: join(artefacts, "phone.png") });
	await fine(page);
});
