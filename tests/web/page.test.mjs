import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { HTML, artefacts, check, click, drop, fine, hold, launch, notice, open, set, shoot, status, tab, unless, until } from "./page.mjs";
import { Daemon } from "./world.mjs";

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

const generated = async (page) => (await page.locator(".text [data-t]").allTextContents()).join("");
const ended = (page) => unless(page, "the end of a text", (said) => / tokens\/s, .* seed /.test(said));

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
	await check(page);
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

	// Two tabs at once: neither disturbs the other.
	const other = await tab(page, `${daemon.url}/#/play?seed=8&length=60`);

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

test("several choices, the best of more, and what else a request may say", async () => {
	const page = await open(browser, `${daemon.url}/#/play?seed=11&length=50&n=3&top_k=20`);
	const texts = () => page.locator(".choices-grid .text").evaluateAll((all) => all.map((t) =>
		[...t.querySelectorAll("[data-t]")].map((s) => s.textContent).join("")));
	const drawn = () => unless(page, "the choices", (said) => /^\d+ choices, /.test(said));
	const curl = async () => {
		await click(page, "Copy as curl");
		const [, path, body] = /127\.0\.0\.1:\d+(\S+) .*-d '(.*)'$/s.exec(await page.locator("textarea[readonly]").inputValue());

		return (await daemon.post(path, JSON.parse(body))).choices.map((c) => c.text);
	};

	await click(page, "Generate");
	await drawn();
	const three = await texts();

	assert.equal(new Set(three).size, 3);
	assert.deepEqual(await curl(), three);
	await shoot(page, "choices");
	await check(page);
	// The rest of what /sample takes goes along.
	await page.locator("summary").click();
	await page.locator("[name=priority]").selectOption("bulk");
	await page.locator("[name=echo]").check();
	await set(page, "deadline_ms", 60000);
	await set(page, "n", 2);
	await set(page, "best_of", 4);
	await click(page, "Generate");
	await drawn();
	const best = await texts();

	assert.deepEqual(await curl(), best.map((text) => `ROMEO:\n${text}`));
	await page.getByRole("button", { name: "Go on with this one, choice 2" }).click();
	await unless(page, "a session", (said) => said.startsWith("Session "));
	await click(page, "Continue");
	await ended(page);
	const [, id, position] = /session (\S+) at (\d+)/.exec(await status(page).textContent());

	assert.equal((await page.locator(".text").first().textContent()).startsWith(`ROMEO:\n${best[1]}`), true);
	assert.equal(Number(position), 7 + 50 + 50);
	assert.equal((await daemon.get(`/v1/sessions/${id}`)).position, 107);
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
	await until("the message", async () => (await notice(page)).includes("connection was lost"));
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
	await check(page);
	await page.locator("a", { hasText: /^play$/ }).click();
	await page.getByLabel("Name ").fill("before");
	await click(page, "Take a snapshot");
	await page.getByRole("button", { name: "Rewind to before" }).waitFor();
	await daemon.post("/sample", { session: "play", length: 30 });
	await page.getByRole("button", { name: "Rewind to before" }).click();
	await until("the rewind", async () => (await daemon.get("/v1/sessions/play")).position === 6);
	await check(page);

	const [saved] = await Promise.all([page.waitForEvent("download"), click(page, "Export")]);
	const blob = readFileSync(await saved.path());

	await click(page, "Delete");
	await until("its end", async () => (await fetch(`${daemon.url}/v1/sessions/play`)).status === 404);
	await drop(page, "play.session", blob);
	await page.getByRole("heading", { level: 1, name: /^(play|sess_)/ }).waitFor();
	const id = await page.locator("h1").textContent();

	assert.equal((await daemon.get(`/v1/sessions/${id}`)).position, 6);
	// Nothing can be done with a session that has not been opened yet.
	const opened = await hold(page, "**/v1/sessions/*");

	await page.getByRole("link", { name: "Continue in the playground" }).click();
	await page.getByRole("button", { name: "Generate", exact: true }).waitFor();
	for (const name of ["Generate", "Continue", "Keep as a session"])
		assert.equal(await page.getByRole("button", { name, exact: true }).isDisabled(), true);
	await opened();
	await set(page, "length", "25");
	await click(page, "Continue");
	await ended(page);
	assert.equal((await daemon.get(`/v1/sessions/${id}`)).position, 31);
	// What this browser wrote can be gone back in by a click.
	await page.goto(`${daemon.url}/#/sessions/${id}`);
	await page.locator(".text [data-t]").nth(9).click();
	await click(page, "Rewind to before it");
	await until("the rewind", async () => (await daemon.get(`/v1/sessions/${id}`)).position === 6 + 9);
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
	await check(page);
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
		const other = await tab(page, keyed.url);

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
	await page.screenshot({ path: join(artefacts, "phone.png") });
	await check(page);
	await fine(page);
});
