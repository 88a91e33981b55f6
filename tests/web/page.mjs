// A browser, and what every test does with a page.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const artefacts = process.env.WEB_ARTEFACTS || "build/web";
const PHONE = { width: 360, height: 740 };

// What must stay text, wherever it is shown.
export const HTML = "<img src=x onerror=alert(1)><script>alert(2)</script>\n";

export function launch() {
	return chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
		args: [...(process.getuid() ? [] : ["--no-sandbox"]), "--disable-gpu", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync"] });
}

// A page that keeps what goes wrong in it. Failed requests are shown in its
// console by the browser itself: those count only where `quiet` is false.
export async function open(browser, url, options = {}) {
	const context = await browser.newContext({ acceptDownloads: true, viewport: { width: 1000, height: 900 }, ...options });

	return watch(await context.newPage(), url);
}

// Another tab of the same browser.
export async function tab(page, url) {
	return watch(await page.context().newPage(), url);
}

async function watch(page, url) {
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
	if (process.env.WEB_SLOW)
		await page.addInitScript(dawdle);
	await page.goto(url);
	return page;
}

// README's are two of these, copied to tests/web.
export function shoot(page, name) {
	return page.screenshot({ path: join(artefacts, `${name}.png`), clip: { x: 0, y: 0, width: 1000, height: 640 }, animations: "disabled" });
}

// Asks again until it is so.
export async function until(what, of, seconds = 20) {
	for (const end = performance.now() + 1000 * seconds; performance.now() < end;) {
		if (await of())
			return;
		await new Promise((done) => setTimeout(done, process.env.WEB_SLOW ? 5 : 100));
	}
	throw new Error(`not within ${seconds} s: ${what}`);
}

export const status = (page) => page.locator("main [role=status]").first();
export const click = (page, name) => page.getByRole("button", { name, exact: true }).click();
export const set = (page, name, value) => page.locator(`[name=${name}]`).fill(String(value));
export const notice = (page) => page.locator("#notice").textContent();

// Gives up as soon as the page says that something went wrong.
export const unless = (page, what, of, seconds = 60) => until(what, async () => {
	const fault = await notice(page);

	if (fault && !fault.includes("connection was lost"))
		throw new Error(fault);
	return of(await status(page).textContent());
}, seconds);

// What a page waits for comes late, more or less: that shows what it does in
// the wrong order.
function dawdle() {
	const pause = () => new Promise((done) => setTimeout(done, Math.random() < 0.5 ? 0 : 250 * Math.random()));
	const late = (owner, name) => {
		const act = owner[name];

		owner[name] = async function (...args) {
			await pause();
			const result = await act.apply(this, args);

			await pause();
			return result;
		};
	};

	late(window, "fetch");
	for (const name of ["arrayBuffer", "blob", "json", "text"])
		late(Response.prototype, name);
	for (const name of ["arrayBuffer", "text"])
		late(Blob.prototype, name);
}

// Holds up such requests until the function that it returns is called.
export async function hold(page, pattern) {
	let free;
	const freed = new Promise((done) => { free = done; });
	const held = [];

	await page.route(pattern, (route) => {
		held.push(freed.then(() => route.continue()));
	});
	return async () => {
		free();
		await Promise.all(held);
		await page.unroute(pattern);
	};
}

// As a hand would drop it.
export async function drop(page, name, bytes) {
	const data = await page.evaluateHandle(([called, list]) => {
		const all = new DataTransfer();

		all.items.add(new File([new Uint8Array(list)], called));
		return all;
	}, [name, [...bytes]]);

	await page.locator(".drop").dispatchEvent("drop", { dataTransfer: data });
}

// No serious violation by light or dark, and on a phone nothing to scroll
// sideways. Scripts of ours are let past the policy; the page's own still
// aren't.
export async function check(page) {
	const size = page.viewportSize();

	for (const colorScheme of ["light", "dark"]) {
		await page.emulateMedia({ colorScheme });
		const result = await page.evaluate(`(() => { const module = undefined; ${axe}; })(); axe.run()`);
		const bad = result.violations.filter((v) => ["serious", "critical"].includes(v.impact));

		assert.deepEqual(bad.map((v) => [colorScheme, v.id, v.nodes.map((n) => n.html)]), []);
	}
	await page.setViewportSize(PHONE);
	// Charts take their new size a moment later.
	await until("a page that is no wider than a phone", async () =>
		await page.evaluate("document.documentElement.scrollWidth") <= PHONE.width, 5);
	await page.setViewportSize(size);
	await page.emulateMedia({ colorScheme: null });
}

// Nothing went wrong, and nothing of a text became markup.
export async function fine(page) {
	assert.deepEqual([...new Set(page.faults)], []);
	assert.equal(await page.locator("main img:not(.picture), main script").count(), 0);
	await page.close();
	if (!page.context().pages().length)
		await page.context().close();
}
