// The frame: which page is shown, by what follows '#/', and the key's dialog.

import { key } from "./api.js";
import { captions } from "./captions.js";
import { cells } from "./cells.js";
import { el, notice } from "./dom.js";
import { overview } from "./overview.js";
import { play } from "./play.js";
import { sessions } from "./sessions.js";
import { training } from "./training.js";

// name: [label, show(place, parameters, rest of the path)], which may return
// what to do when the page is left. One that is left while it still asks for
// what it shows has a place that nobody sees.
const pages = {
	play: ["Playground", play],
	sessions: ["Sessions", sessions],
	training: ["Training", training],
	cells: ["Cells", cells],
	captions: ["Captions", captions],
	overview: ["Overview", overview],
};

let leave = null;
let serial = 0;

async function show() {
	const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
	const [name, ...rest] = path.split("/");
	const page = pages[name] ? name : "play";
	const place = el("div");
	const mine = ++serial;

	if (leave)
		leave();
	leave = null;
	notice("");
	document.getElementById("main").replaceChildren(place);
	document.title = `${pages[page][0]} · unrolld`;
	for (const link of document.querySelectorAll("#nav a")) {
		if (link.dataset.page === page)
			link.setAttribute("aria-current", "page");
		else
			link.removeAttribute("aria-current");
	}
	try {
		const left = await pages[page][1](place, new URLSearchParams(query || ""),
			rest.map(decodeURIComponent));

		if (mine === serial)
			leave = left || null;
		else if (left)
			left();
	} catch (error) {
		if (mine === serial)
			notice(error.message);
	}
}

function askKey() {
	const dialog = document.getElementById("key-dialog");

	if (!dialog.open)
		dialog.showModal();
}

function start() {
	const dialog = document.getElementById("key-dialog");
	const value = document.getElementById("key-value");

	document.getElementById("nav").append(...Object.entries(pages).map(
		([name, [label]]) => el("a", { href: `#/${name}`, "data-page": name }, label)));
	document.getElementById("key").addEventListener("click", askKey);
	document.addEventListener("unrolld-key", askKey);
	dialog.addEventListener("close", () => {
		if (dialog.returnValue === "save") {
			key.set(value.value.trim());
			show();
		}
		value.value = "";
	});
	window.addEventListener("hashchange", show);
	show();
}

start();
