// Training in the page, from a dropped file to a published model.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { HTML, check, click, drop, fine, hold, launch, notice, open, set, shoot, status, tab, unless, until } from "./page.mjs";
import { Daemon } from "./world.mjs";

// 春风 in GBK, as a file of another age has it.
const GBK = Buffer.concat(Array(400).fill(Buffer.from([0xb4, 0xba, 0xb7, 0xe7, 0x0a])));
const FILE = "<img src=x onerror=alert(1)>.txt";
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

const jobOf = (page) => page.locator("h1").textContent();
const info = async (page) => daemon.get(`/v1/fine_tuning/jobs/${await jobOf(page)}`);
const is = (page, state, seconds = 100) => unless(page, `a job that is ${state}`, (said) => said.startsWith(state), seconds);

async function prepare(page, settings) {
	await page.getByLabel("Base model").selectOption("markup");
	await page.locator("summary").click();
	for (const [name, value] of Object.entries(settings))
		await set(page, name, value);
}

test("a text's encoding is detected, shown, and may be chosen", async () => {
	const page = await open(browser, `${daemon.url}/#/training`);
	const preview = page.locator(".preview");
	const start = page.getByRole("button", { name: "Start" });
	const choose = async (charset) => {
		await page.getByLabel("Encoding").selectOption(charset);
		await unless(page, "the choice", (said) => said.includes(`${charset} (chosen)`));
	};

	await page.getByText("There are none yet").waitFor();
	assert.equal(await start.isDisabled(), true);
	await drop(page, "old.txt", GBK);
	await unless(page, "a guess", (said) => said.includes("Encoding: gb18030 (detected"));
	assert.match(await preview.textContent(), /^春风\n春风/);
	await page.getByLabel("Encoding").selectOption("big5");
	await until("another reading", async () => !(await preview.textContent()).includes("春"));
	await drop(page, "latin.txt", Buffer.from("caf\xe9 \xe0 la carte\n".repeat(9), "latin1"));
	await unless(page, "a guess", (said) => said.includes("Encoding: windows-1252"));
	assert.match(await preview.textContent(), /^café à la carte/);
	await drop(page, "marked.txt", Buffer.from("\ufeffwide", "utf16le"));
	await unless(page, "a guess", (said) => said.includes("Encoding: utf-16le (detected: by its byte-order mark"));
	// Two at once, and the later is read sooner: it alone is shown, and what is
	// told of it belongs together.
	await page.evaluate(() => {
		window.waiting = [];
		window.plain = Blob.prototype.arrayBuffer;
		Blob.prototype.arrayBuffer = async function () {
			await new Promise((done) => window.waiting.push(done));
			return window.plain.call(this);
		};
	});
	const waits = (n) => page.waitForFunction((i) => window.waiting.length > i, n);
	const read = async (n) => {
		await waits(n);
		await page.evaluate((i) => window.waiting[i](), n);
	};

	await drop(page, "slow.txt", Buffer.from("slow"));
	await drop(page, FILE, Buffer.from(HTML.repeat(60)));
	await read(1);
	await waits(2);
	assert.equal(await status(page).textContent(), `Reading ${FILE}…`);
	assert.equal(await start.isDisabled(), true);
	assert.equal(await preview.isHidden(), true);
	await read(2);
	await unless(page, "a guess", (said) => said.startsWith(FILE) && said.includes("Encoding: utf-8 (detected"));
	assert.ok((await preview.textContent()).startsWith(HTML));
	assert.equal(await start.isDisabled(), false);
	await read(0);
	await read(3);
	await page.evaluate(async () => {
		Blob.prototype.arrayBuffer = window.plain;
		await new Promise((done) => setTimeout(done, 100));
	});
	assert.ok((await status(page).textContent()).startsWith(FILE));
	assert.ok((await preview.textContent()).startsWith(HTML));
	await shoot(page, "training");
	await check(page);
	// What the daemon has against it is told, as text.
	page.quiet = true;
	await set(page, "suffix", "<b>x</b>");
	// What is chosen while it is sent is for the next time.
	const sent = await hold(page, "**/v1/files");

	await click(page, "Start");
	await choose("koi8-r");
	assert.equal(await start.isDisabled(), true);
	await choose("utf-8");
	await sent();
	await until("the fault", async () => (await notice(page)).includes("suffix is '<b>x</b>'"));
	// It is uploaded once as what it was taken for, and again as another.
	const uploads = async () => (await daemon.get("/v1/files")).data.filter((f) => f.filename === FILE).map((f) => f.encoding);
	const again = async () => {
		await page.evaluate(() => { document.querySelector("#notice").textContent = ""; });
		await click(page, "Start");
		await until("the fault again", async () => (await notice(page)).includes("suffix is"));
	};

	assert.deepEqual(await uploads(), ["utf-8"]);
	await again();
	assert.deepEqual(await uploads(), ["utf-8"]);
	await choose("koi8-r");
	await again();
	assert.deepEqual((await uploads()).sort(), ["koi8-r", "utf-8"]);
	await fine(page);
});

test("a job: curve, samples, pause, resume, cancel, in two tabs and over a restart", async () => {
	const page = await open(browser, `${daemon.url}/#/training`);

	await drop(page, FILE, Buffer.from(HTML.repeat(60)));
	await prepare(page, { suffix: "long", n_epochs: 1000000, max_steps: 200000, checkpoint_every: 201 });
	await click(page, "Start");
	await is(page, "running");
	const sample = page.getByLabel("What the model writes by now");

	await sample.waitFor();
	await unless(page, "what is left", (said) => /step \d+ of 200000, epoch .* tokens\/s, .* left\.$/.test(said));
	await until("what it has learnt", async () => (await sample.textContent()).includes("<script>"));
	await page.locator("figure canvas").first().waitFor();
	await until("its losses", async () =>
		/training \d\.\d+, .*held out: before \d\.\d+, best, at step \d+/.test(await page.locator("figure p").textContent()));
	await shoot(page, "job");
	await check(page);

	const other = await tab(page, page.url());

	await is(other, "running");
	await click(other, "Pause");
	await is(page, "paused");
	assert.equal((await info(page)).status, "paused");
	await click(page, "Resume");
	await is(other, "running");
	await fine(other);

	// It goes on with the daemon, and the page with it.
	const { step } = (await info(page)).progress;

	page.quiet = true;
	await daemon.stop("SIGKILL");
	await until("the message", async () => (await notice(page)).includes("can't be reached"));
	await daemon.start(daemon.port);
	await until("the job again", async () => await notice(page) === "" && (await status(page).textContent()).startsWith("running"), 60);
	const before = await page.locator("ol.log li").count();

	await until("what it tells", async () => await page.locator("ol.log li").count() > before && (await info(page)).progress.step >= step, 60);
	page.quiet = false;
	await click(page, "Cancel");
	await is(page, "cancelled");
	assert.equal((await info(page)).status, "cancelled");
	await fine(page);
});

test("a job's end: before and after, and an alias for what it made", async () => {
	const page = await open(browser, `${daemon.url}/#/training`);

	// What is there already need not be uploaded again.
	await page.getByLabel("Or one that was uploaded before").selectOption({ index: 1 });
	await prepare(page, { suffix: "short", max_steps: 60, checkpoint_every: 20 });
	await click(page, "Start");
	await is(page, "succeeded");
	const { fine_tuned_model: made } = await info(page);
	const side = page.locator(".pair").last().locator("pre");

	assert.match(made, /^ft:markup:short:/);
	await page.getByLabel("Prompt").fill("<img");
	await page.getByLabel("Seed").fill("5");
	await page.getByLabel("Length").fill("80");
	await click(page, "Compare");
	await until("both texts", async () => (await side.allTextContents()).every((t) => t.length > 80));
	for (const [i, model] of ["markup", made].entries()) {
		const { text } = await daemon.post("/sample", { model, prompt: "<img", seed: "5", length: 80, temperature: 0.8 });

		assert.equal(await side.nth(i).textContent(), `<img${text}`);
	}
	await page.getByLabel("Alias").fill("best");
	await click(page, "Publish");
	await page.getByText("Published as best.").waitFor();
	assert.equal((await daemon.get("/v1/aliases/best")).model, made);
	await check(page);
	await page.getByRole("link", { name: "Try it in the playground" }).click();
	await page.getByRole("button", { name: "Generate", exact: true }).waitFor();
	assert.equal(await page.getByLabel("Model").inputValue(), made);

	// It has a parent and a loss in the overview, which tells of jobs, too.
	await page.goto(`${daemon.url}/#/overview`);
	await page.locator("tbody tr", { hasText: made }).last().waitFor();
	// Its checkpoints are models, too.
	const row = page.getByLabel("Models").locator("tr", { hasText: made, hasNotText: ":ckpt-" });
	assert.match(await row.textContent(), /lstm.*\d\.\d{4}markup/);
	assert.match(await page.getByLabel("Jobs").textContent(), /succeeded/);
	await fine(page);
});

test("a job from random weights shows its rate and its losses in the overview", async () => {
	const page = await open(browser, `${daemon.url}/#/training`);
	const figure = (title) => page.locator("figure", { hasText: title });

	await drop(page, "old.txt", GBK);
	await unless(page, "a guess", (said) => said.includes("gb18030"));
	await page.getByLabel("Base model").selectOption({ label: "none: random weights" });
	await set(page, "hidden", 32);
	await page.locator("summary").click();
	await set(page, "n_epochs", 1000000);
	await set(page, "max_steps", 200000);
	await click(page, "Start");
	await is(page, "running");
	assert.equal((await info(page)).architecture.hidden, 32);
	const id = await jobOf(page);

	// The page is left while it asks for the job: what comes has no place.
	const told = await hold(page, `**/v1/fine_tuning/jobs/${id}`);

	await page.waitForRequest((request) => request.url().endsWith(id));
	await page.goto(`${daemon.url}/#/overview`);
	await told();
	await until("a job that runs", async () => /running 1/.test(await figure(/^Jobs/).locator("p").textContent()));
	await until("its rate", async () => /all jobs [1-9]/.test(await figure("Tokens trained on").locator("p").textContent()));
	await until("its loss", async () => /training \d/.test(await figure("Loss of the job").locator("p").textContent()));
	await check(page);
	await shoot(page, "overview-job");
	await daemon.post(`/v1/fine_tuning/jobs/${id}/cancel`, {});
	await fine(page);
});
