// Sessions: a tree of who was forked from whom, and for each what can be done
// with it.

import { get, post, remove, request, session } from "./api.js";
import { ago, button, bytes, download, dropZone, el, percent, tell, visible } from "./dom.js";
import { legend, textView } from "./textview.js";
import * as timeline from "./timeline.js";

const PAGE = 100;
const here = (id) => `#/sessions/${encodeURIComponent(id)}`;
const inPlay = (id) => `#/play?${new URLSearchParams({ session: id })}`;

const parentOf = (info) => info.metadata && typeof info.metadata.parent === "string" ? info.metadata.parent : null;

// Those whose parent is not listed are roots.
function tree(list) {
	const ids = new Set(list.map((info) => info.id));
	const below = Map.groupBy ? Map.groupBy(list, parentOf) : list.reduce((m, info) =>
		m.set(parentOf(info), [...(m.get(parentOf(info)) || []), info]), new Map());
	const seen = new Set();

	function item(info) {
		seen.add(info.id);
		const children = (below.get(info.id) || []).filter((c) => !seen.has(c.id));

		return el("li", {},
			el("a.mono", { href: here(info.id) }, info.id), " ",
			el("span.quiet", {}, `${info.model}, position ${info.position}, ${bytes(info.bytes)}, used ${ago(info.used)}${info.busy ? ", busy" : ""}${info.expires ? "" : ", kept"}`), " ",
			el("a", { href: inPlay(info.id), "aria-label": `Continue ${info.id}` }, "Continue"),
			children.length ? el("ul", {}, ...children.map(item)) : null);
	}

	const roots = list.filter((info) => !ids.has(parentOf(info)) || parentOf(info) === info.id).map(item);

	// A ring of parents, which anyone's metadata may say, has no root.
	return [...roots, ...list.filter((info) => !seen.has(info.id)).map(item)];
}

async function importFile(file) {
	const info = await (await request("POST", "v1/sessions/import", {
		headers: { "Content-Type": "application/octet-stream" }, body: file })).json();

	location.hash = here(info.id);
}

async function list(main, query) {
	const nodes = el("ul.tree", {});
	const prefix = el("input", { type: "search", value: query.get("prefix") || "" });
	const more = button("More", tell(load));
	const all = [];
	let next = null;

	async function load() {
		const q = new URLSearchParams({ limit: PAGE });

		if (prefix.value)
			q.set("prefix", prefix.value);
		if (next)
			q.set("after", next);
		const page = await get(`v1/sessions?${q}`);

		all.push(...page.data);
		next = page.next;
		more.hidden = !page.has_more;
		nodes.replaceChildren(...tree(all));
		if (!all.length)
			nodes.append(el("li.quiet", {}, "There are none."));
	}

	async function find(event) {
		event.preventDefault();
		all.length = 0;
		next = null;
		await load();
	}

	main.append(el("h1", {}, "Sessions"),
		el("form.row", { onsubmit: tell(find) }, el("label", {}, "Ids that begin with ", prefix), el("button", {}, "List")),
		nodes, more,
		el("h2", {}, "Import"),
		dropZone("Drop an exported session here, or choose a file:", "", tell(importFile)));
	await load();
}

function facts(info) {
	const rows = [["Model", `${info.model} (${info.fingerprint}, ${info.kernels})`], ["Position", info.position],
		["Seed", info.seed], ["Stored", bytes(info.bytes)], ["Used", ago(info.used)],
		["Expires", info.expires ? new Date(1000 * info.expires).toLocaleString() : "never"],
		["Metadata", info.metadata ? JSON.stringify(info.metadata) : "none"]];

	return el("div.scroll", {}, el("table", {}, el("tbody", {}, ...rows.map(([name, value]) =>
		el("tr", {}, el("th", { scope: "row" }, name), el("td.mono", {}, String(value)))))));
}

async function one(main, id) {
	const path = (rest) => session(id, rest);
	const body = el("div", {});
	const details = el("div", { "aria-live": "polite" });
	const name = el("input", { placeholder: "a name is made up" });
	let t;

	const view = textView("Text of the session", (r, i) => {
		const token = t.requests[r].tokens[i];

		details.replaceChildren(
			el("p", {}, "Token ", el("span.mono", {}, visible(token.text)), `: ${percent(token.logprob)}`),
			el("div.row", {}, button("Rewind to before it", act(() => timeline.rewind(t, r, i))),
				button("Fork before it", tell(async () => { location.hash = here((await timeline.fork(t, r, i)).id); }))));
	});
	const act = (what) => tell(async () => {
		await what();
		await show();
	});

	async function forkAt(from) {
		const made = await post(path("/fork"), { ...from, metadata: { made_by: "page", parent: id, at: from.position ?? t.position } });
		const child = (made.data || [made])[0];

		timeline.save({ id: child.id, model: child.model, created: child.created,
			requests: t.requests.filter((r) => r.end <= child.position) });
		location.hash = here(child.id);
	}

	async function exported() {
		download(`${id}.session`, await (await request("GET", path("/export"))).blob());
	}

	async function deleted() {
		await remove(path(""));
		timeline.forget(id);
		location.hash = "#/sessions";
	}

	const snapshot = (s) => el("li", {}, el("span.mono", {}, s.name), ` at ${s.position}, ${ago(s.created)} `,
		button("Rewind", act(() => post(path("/rewind"), { snapshot: s.name })), { "aria-label": `Rewind to ${s.name}` }), " ",
		button("Fork", tell(() => forkAt({ snapshot: s.name })), { "aria-label": `Fork ${s.name}` }), " ",
		button("Delete", act(() => remove(path(`/snapshot/${encodeURIComponent(s.name)}`))), { "aria-label": `Delete ${s.name}` }));

	async function next() {
		const list = el("ul.choices", {});

		try {
			for (const token of (await get(path("/peek?top=12"))).tokens)
				list.append(el("li.mono", {}, `${visible(token.text)} ${percent(token.logprob)}`));
		} catch (error) {
			list.append(el("li.quiet", {}, error.message));
		}
		return list;
	}

	async function show() {
		t = await timeline.open(id);
		const info = t.info;

		details.replaceChildren();
		view.show(t);
		body.replaceChildren(
			el("div.row", {}, el("a", { href: inPlay(id) }, "Continue in the playground"),
				button("Fork", tell(() => forkAt({}))), button("Export", tell(exported)), button("Delete", tell(deleted))),
			facts(info),
			el("h2", {}, "Text"),
			el("p.quiet", {}, "As far as it was written by this browser. Click a token to go back to before it."),
			view.node, legend(), details,
			el("h2", {}, "What comes next"), await next(),
			el("h2", {}, "Snapshots"),
			el("ul", {}, ...info.snapshots.map(snapshot)),
			el("div.row", {}, el("label", {}, "Name ", name),
				button("Take a snapshot", act(() => post(path("/snapshot"), name.value ? { name: name.value } : {})))),
			el("h2", {}, "Go back to a position"),
			el("div.cell-list", {}, ...info.boundaries.map((at) =>
				button(String(at), act(() => post(path("/rewind"), { position: at })), { "aria-label": `Rewind to position ${at}` }))));
	}

	main.append(el("p", {}, el("a", { href: "#/sessions" }, "All sessions")), el("h1.mono", {}, id), body);
	await show();
}

export function sessions(main, query, rest) {
	return rest[0] ? one(main, rest[0]) : list(main, query);
}
