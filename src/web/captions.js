// Captions: an image is dropped, and the beam says what it may be.

import { get, isCaptioner, post } from "./api.js";
import { bytes, dropZone, el, table, tell } from "./dom.js";
import { parameters } from "./parameters.js";

const settings = [
	{ name: "n", label: "Captions", type: "number", min: 1, max: 20, step: 1, preset: 5, always: true },
	{ name: "beam", label: "Beam (0: drawn)", type: "number", min: 0, max: 20, step: 1, preset: 5, always: true },
	{ name: "length_power", label: "Length's power (0: off)", type: "number", min: 0, max: 2, step: 0.1, preset: 0 },
	{ name: "max_length", label: "Words at most", type: "number", min: 1, max: 50, step: 1, preset: 50 },
	{ name: "temperature", label: "Temperature of drawn ones", type: "number", min: 0, max: 2, step: 0.05, preset: 1 },
	{ name: "seed", label: "Seed of drawn ones", type: "text", preset: "" },
];

const base64 = (file) => new Promise((done, failed) => {
	const reader = new FileReader();

	reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
	reader.onerror = () => failed(new Error(`${file.name} can't be read`));
	reader.readAsDataURL(file);
});

const NONE = "This daemon serves no captioner. Make one with `unrolld train-caption`, and start with --captions.model FILE.";

function beam(answer) {
	const rows = answer.choices.map((c, i) => [String(i + 1), c.text || el("em.quiet", {}, "nothing"), c.logprob.toFixed(3),
		el("meter", { min: 0, max: 1, value: Math.exp(c.logprob), "aria-label": `Probability of caption ${i + 1}` }),
		(c.logprob / Math.max(1, c.tokens)).toFixed(3), `${c.tokens}${c.finish_reason === "stop" ? "" : ", cut"}`]);

	return table("Captions", ["", "Caption", "Log-probability", "Probability", "A word", "Words"], rows);
}

export async function captions(main) {
	const all = (await get("v1/models")).data;
	const models = all.filter(isCaptioner);
	const model = el("select", {}, ...models.map((m) => el("option", {}, m.id)));
	const params = parameters(settings);
	const status = el("p", { role: "status" });
	const picture = el("img.picture", { alt: "", hidden: true });
	const list = el("div", { "aria-live": "polite" });
	const again = el("button", { disabled: true }, "Describe it again");
	let file = null;
	let url = null;

	async function take(given) {
		file = given;
		if (url)
			URL.revokeObjectURL(url);
		picture.src = url = URL.createObjectURL(file);
		picture.alt = file.name;
		picture.hidden = again.disabled = false;
		await describe();
	}

	async function describe() {
		const begun = performance.now();

		status.textContent = "Looking…";
		list.replaceChildren();
		try {
			const answer = await post("v1/captions", { ...params.body(), ...(models.length && { model: model.value }), image: await base64(file) });

			list.replaceChildren(beam(answer));
			status.textContent = `${file.name}, ${bytes(file.size)}: ${answer.choices.length} captions by ${answer.model} in ${Math.round(performance.now() - begun)} ms.`;
		} catch (error) {
			status.textContent = "";
			throw error.status === 404 ? new Error(NONE) : error;
		}
	}

	picture.addEventListener("error", () => { picture.hidden = true; });
	main.append(el("h1", {}, "Captions"),
		el("p.quiet", {}, "A CNN makes the image a vector, and a recurrent network that a sentence. With a beam these are the most probable ones."),
		el("form", { onsubmit: tell(async (event) => {
			event.preventDefault();
			await describe();
		}) }, el("div.split", {},
			el("div", {}, dropZone("Drop a JPEG or PNG here, or choose one:", "image/jpeg,image/png", tell(take)), status, picture, list),
			el("section.panel", { "aria-label": "Parameters" },
				models.length > 1 ? el("div.fields", {}, el("label.wide", {}, "Captioner", model)) : null,
				params.node, el("div.row", {}, again)))));
	if (!models.length && all.some((m) => m.kind))
		status.textContent = NONE;
	return () => url && URL.revokeObjectURL(url);
}
