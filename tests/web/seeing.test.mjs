// Looking into models: their cells, and what they see in pictures.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { check, click, drop, fine, launch, notice, open, set, shoot, unless, until } from "./page.mjs";
import { Daemon } from "./world.mjs";

const IMAGES = "tests/golden/images";
const daemon = new Daemon();
let browser;

before(async () => {
	const pictures = daemon.trainCaptions("pictures", IMAGES, { "colour.png": "a broad picture",
		"tall.jpg": "a tall picture", "grey.jpg": "nothing <b>but</b> grey" });

	await daemon.start(0, "--captions.model", pictures);
	browser = await launch();
});

after(async () => {
	await browser?.close();
	await daemon.remove();
});

test("cells: a heat map, cells that follow a feature or hold through a span, gates", async () => {
	const page = await open(browser, `${daemon.url}/#/cells?model=shakespeare`);
	const heat = page.locator(".heat");
	const text = `${(await daemon.post("/sample", { prompt: "ROMEO:\n", seed: 6, length: 4990, echo: true })).text}\nEnd`.slice(0, 5000);

	await page.getByLabel("Text to read").fill(text);
	await click(page, "Read it");
	await unless(page, "a chosen cell", (said) => /^Cell \d+ of layer 1/.test(said));
	assert.equal((await heat.locator("[data-t]").allTextContents()).join(""), text);
	// From data to pixels: 200 ms is the aim, and the bound below for machines
	// that others use.
	const took = [];

	for (let i = 0; i < 4; i++) {
		took.push(Number(await heat.getAttribute("data-ms")));
		await heat.evaluate((node) => { node.dataset.ms = ""; });
		await click(page, "Read it");
		await unless(page, "the view again", async () => await heat.getAttribute("data-ms") !== "");
	}
	console.log(`# the view of ${text.length} tokens took ${took.join(", ")} ms`);
	assert.ok(Math.min(...took) < 1000, `${took} ms`);
	await unless(page, "a chosen cell", (said) => /^Cell \d+ of layer 1/.test(said));
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
	await page.getByRole("heading", { level: 1 }).evaluate((node) => scrollTo(0, node.offsetTop + 260));
	await shoot(page, "cells");
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
	// The same by the keyboard: a span is selected token by token.
	await heat.focus();
	await page.keyboard.press("Home");
	await page.keyboard.press("Shift+ArrowRight");
	await page.keyboard.press("Shift+ArrowRight");
	assert.equal(await page.evaluate("getSelection().toString()"), text.slice(0, 3));
	await page.getByText(`“${text[2]}”:`).waitFor();
	const held = await page.locator(".cell-list").textContent();

	await click(page, "Cells that hold through the selection");
	await until("others that hold", async () => await page.locator(".cell-list").textContent() !== held);
	await page.locator("figure canvas").first().waitFor();
	assert.match(await page.locator("figure p").textContent(), /forget gate: shut \d+%, open \d+%/);
	await fine(page);
});

test("cells: the heat map grows while the model writes, and stops with it", async () => {
	const page = await open(browser, `${daemon.url}/#/cells?model=shakespeare&text=${encodeURIComponent("ROMEO:\n")}`);
	const heat = page.locator(".heat");
	const count = () => heat.locator("[data-t]").count();
	const seen = new Set();

	await page.locator("figure canvas").first().waitFor();
	assert.equal(await count(), 7);
	await check(page);
	await page.getByLabel("Tokens").fill("100000");
	await click(page, "Write on");
	await unless(page, "a text that grows", async (said) => {
		if (said.startsWith("Writing…"))
			seen.add(await count());
		return seen.size > 3;
	});
	assert.ok(Math.min(...seen) > 7);
	// All of it is coloured by the one cell, also what has just come.
	assert.match(await heat.locator("[data-t]").evaluateAll((all) => all.slice(7).map((s) => s.className).join(" ")), /\b[ch]\d/);
	await shoot(page, "cells-live");
	await click(page, "Stop");
	await unless(page, "the end", (said) => said.startsWith("Cell "));
	await until("the daemon's rest", async () => await daemon.metric("unrolld_generations_active") === 0);
	const text = (await heat.locator("[data-t]").allTextContents()).join("");

	assert.equal(await page.getByLabel("Text to read").inputValue(), text);
	assert.ok(text.startsWith("ROMEO:\n") && text.length >= Math.max(...seen));
	await fine(page);
});

test("captions: an image is dropped, and its beam is told", async () => {
	const page = await open(browser, `${daemon.url}/#/captions`);
	const rows = () => page.locator("tbody tr").evaluateAll((all) => all.map((r) => [...r.cells].map((c) => c.textContent)));

	await set(page, "n", 3);
	await drop(page, "<img src=x onerror=alert(1)>.jpg", readFileSync(`${IMAGES}/tall.jpg`));
	await unless(page, "captions", (said) => said.includes("3 captions by pictures"));
	const told = await rows();
	const body = { image: readFileSync(`${IMAGES}/tall.jpg`).toString("base64"), n: 3, beam: 5 };
	const { choices } = await daemon.post("/v1/captions", body);

	assert.equal(told[0][1], "a tall picture");
	assert.deepEqual(told.map((r) => Number(r[2])), choices.map((c) => Number(c.logprob.toFixed(3))));
	assert.ok(await page.locator("img.picture").evaluate((i) => i.naturalWidth) > 0);
	await shoot(page, "captions");
	await check(page);
	// Words are text, too; and what is drawn follows its seed.
	await page.locator("input[type=file]").setInputFiles(`${IMAGES}/grey.jpg`);
	await unless(page, "other captions", (said) => said.startsWith("grey.jpg"));
	assert.match((await rows())[0][1], /nothing.*<.*b.*>.*but.*grey/);
	await set(page, "beam", 0);
	await set(page, "seed", 7);
	await click(page, "Describe it again");
	await unless(page, "drawn captions", (said) => said.startsWith("grey.jpg"));
	await fine(page);
});

test("captions: a daemon without a captioner says so", async () => {
	const plain = new Daemon();

	await plain.start();
	try {
		const page = await open(browser, `${plain.url}/#/captions`);

		page.quiet = true;
		await drop(page, "tall.jpg", readFileSync(`${IMAGES}/tall.jpg`));
		await until("the message", async () => (await notice(page)).includes("serves no captioner"));
		await check(page);
		await fine(page);
	} finally {
		await plain.remove();
	}
});
