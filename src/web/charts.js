// Charts, by dygraphs (loaded as a plain script before the modules).

/* global Dygraph */
import { el, short } from "./dom.js";

// It measures its legend by an inline style, which the page's policy forbids;
// what it would say stands below each chart.
Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => plugin !== Dygraph.Plugins.Legend);

// As in page.css, where .k0 and so on are their keys.
const colours = ["#3b82c4", "#d9822b", "#3a9b5c"];

// options.labels: of x, then of each series.
export function chart(title, options) {
	const plot = el("div.chart", { "aria-hidden": "true" });
	const text = el("p.quiet", {});
	const node = el("figure", {}, el("figcaption", {}, title), plot, text);
	let graph = null;

	return {
		node,
		// rows: [[x, y, ...], ...]; words: of each series what it is now, for
		// its key and for who can't see it.
		show(rows, words) {
			text.replaceChildren(...words.flatMap((w, i) => [i ? ", " : "", el(`span.key.k${i}`, {}, w)]));
			// Who is left draws no more: without a place there is no size.
			if (!rows.length || !plot.isConnected)
				return;
			if (graph) {
				graph.updateOptions({ file: rows });
				return;
			}
			graph = new Dygraph(plot, rows, {
				colors: colours, includeZero: true,
				gridLineColor: "rgba(128, 128, 128, 0.3)", strokeWidth: 1.5, animatedZooms: false,
				axes: { y: { axisLabelFormatter: short, axisLabelWidth: 44 } }, ...options,
			});
		},
		close() {
			if (graph)
				graph.destroy();
			graph = null;
		},
	};
}
