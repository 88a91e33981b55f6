// Elements, and how numbers are written. Whatever comes from a model, a file
// or a session is given as a child: text, never markup.

// el("a.main", {href: "#/"}, "text", element, ...). "on…" are listeners.
export function el(what, props = {}, ...children) {
	const [tag, ...classes] = what.split(".");
	const node = document.createElement(tag);

	if (classes.length)
		node.className = classes.join(" ");
	for (const [name, value] of Object.entries(props)) {
		if (value === undefined || value === null || value === false)
			continue;
		if (name.startsWith("on"))
			node.addEventListener(name.slice(2), value);
		else
			node.setAttribute(name, value === true ? "" : value);
	}
	node.append(...children.flat().filter((c) => c !== null && c !== undefined));
	return node;
}

export function button(label, act, props = {}) {
	return el("button", { type: "button", onclick: act, ...props }, label);
}

const units = ["", "k", "M", "G", "T"];

export function short(n) {
	let i = 0;

	for (; Math.abs(n) >= 1000 && i < units.length - 1; i++)
		n /= 1000;
	return `${n >= 100 || Number.isInteger(n) ? Math.round(n) : n.toFixed(1)}${units[i]}`;
}

export const bytes = (n) => `${short(n)}B`;

export function duration(seconds) {
	const s = Math.max(0, Math.round(seconds));

	if (s < 60)
		return `${s} s`;
	return s < 3600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 3600)} h ${Math.round(s % 3600 / 60)} min`;
}

export function ago(seconds) {
	const s = Math.max(0, Math.round(Date.now() / 1000 - seconds));

	if (s < 60)
		return `${s} s ago`;
	if (s < 3600)
		return `${Math.round(s / 60)} min ago`;
	return s < 86400 ? `${Math.round(s / 3600)} h ago` : `${Math.round(s / 86400)} d ago`;
}

// Text that shows what can't be seen.
export function visible(text) {
	const marks = { "\n": "⏎", "\t": "⇥", "\r": "␍", " ": "␣" };

	return text.replace(/^[\n\t\r ]+$|[\n\t\r]/g, (s) => [...s].map((c) => marks[c]).join(""));
}

export function percent(logprob) {
	const p = 100 * Math.exp(logprob);

	return p >= 10 ? `${Math.round(p)}%` : `${p.toPrecision(2)}%`;
}

// One line at the top, read out at once; "" takes it away.
export function notice(text) {
	const p = document.getElementById("notice");

	p.textContent = text;
	p.hidden = !text;
}

// Runs what an event started, and says what went wrong with it.
export const tell = (act) => async (...args) => {
	notice("");
	try {
		await act(...args);
	} catch (error) {
		notice(error.message);
	}
};

// Asks act() again and again, until it says that it is enough or the function
// that is returned is called. What goes wrong is shown until it is mended.
export function every(ms, act) {
	let timer = null;
	let closed = false;
	let faulty = false;

	async function tick() {
		try {
			if (!document.hidden && await act())
				return;
			if (faulty && !closed)
				notice("");
			faulty = false;
		} catch (error) {
			// With a key, which the dialog asks for, the page begins anew.
			if (closed || error.status === 401)
				return;
			notice(error.message);
			faulty = true;
		}
		if (!closed)
			timer = setTimeout(tick, ms);
	}

	tick();
	return () => {
		closed = true;
		clearTimeout(timer);
	};
}

export const choice = (names, props = {}) => el("select", props, ...names.map((n) => el("option", {}, n)));

// A table's head and rows of cells, each a text or an element.
export function table(label, head, rows) {
	return el("div.scroll", { tabindex: 0, role: "region", "aria-label": label }, el("table", {},
		el("thead", {}, el("tr", {}, ...head.map((h) => el("th", { scope: "col" }, h)))),
		el("tbody", {}, ...rows.map((cells) => el("tr", {}, ...cells.map((c) => el("td", {}, c)))))));
}

export function download(name, blob) {
	const url = URL.createObjectURL(blob);

	el("a", { href: url, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(url), 10000);
}

// A place to drop one file on, or to choose it.
export function dropZone(label, accept, take) {
	const input = el("input", { type: "file", accept, onchange: () => take(input.files[0]) });
	const zone = el("div.drop", {}, el("label", {}, `${label} `, input));

	for (const type of ["dragover", "dragleave", "drop"])
		zone.addEventListener(type, (event) => {
			event.preventDefault();
			zone.classList.toggle("over", type === "dragover");
			if (type === "drop" && event.dataTransfer.files[0])
				take(event.dataTransfer.files[0]);
		});
	return zone;
}
