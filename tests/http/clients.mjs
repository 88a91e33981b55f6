// OpenAI's own clients, unmodified, against a daemon.
//   node clients.mjs DIRECTORY URL: DIRECTORY holds node_modules.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import assert from 'node:assert/strict';

const [directory, url] = process.argv.slice(2);
const require = createRequire(pathToFileURL(directory + '/x.js'));
const load = async (name) => import(pathToFileURL(require.resolve(name)));
const apiKey = process.env.KEY ?? 'none';
let done = 0;

const ask = (path, body) => fetch(url + path, { method: body ? 'POST' : 'GET',
	headers: { 'Content-Type': 'application/json', 'X-Api-Key': apiKey },
	body: body && JSON.stringify(body) }).then((r) => r.json());

async function check(name, fn) {
	await fn();
	done++;
	console.log('checked', name);
}

async function idle() {
	for (let i = 0; i < 200; i++) {
		const text = await (await fetch(url + '/metrics')).text();
		if (/^unrolld_generations_active 0$/m.test(text))
			return;
		await new Promise((r) => setTimeout(r, 50));
	}
	assert.fail('a generation still runs');
}

const { default: OpenAI } = await load('openai');
const client = new OpenAI({ baseURL: url + '/v1', apiKey, maxRetries: 0 });
const model = (await client.models.list()).data[0].id;

await check('models', async () => {
	assert.equal((await client.models.retrieve(model)).object, 'model');
});

await check('complete', async () => {
	const r = await client.completions.create({
		model, prompt: 'The ', max_tokens: 12, seed: 1, logprobs: 2, n: 2,
	});
	assert.equal(r.object, 'text_completion');
	assert.equal(r.choices.length, 2);
	assert.equal(r.choices[0].logprobs.tokens.join(''), r.choices[0].text);
	assert.equal(r.usage.completion_tokens, 24);
	assert.match(r._request_id, /^req-/);
});

await check('a stream is the answer in pieces, with usage at its end', async () => {
	const asked = { model, prompt: ['The ', 'quick'], max_tokens: 30, seed: 2 };
	const whole = await client.completions.create(asked);
	const texts = ['', ''];
	let usage, finished = 0;
	for await (const chunk of await client.completions.create({
		...asked, stream: true, stream_options: { include_usage: true } })) {
		for (const c of chunk.choices) {
			texts[c.index] += c.text;
			finished += c.finish_reason === 'length';
		}
		usage = chunk.usage ?? usage;
	}
	assert.deepEqual(texts, whole.choices.map((c) => c.text));
	assert.equal(finished, 2);
	assert.equal(usage.total_tokens, whole.usage.total_tokens);
});

await check('a stream that is left ends its generation', async () => {
	const stream = await client.completions.create({
		model, prompt: 'The ', max_tokens: 1000000, stream: true,
	});
	for await (const chunk of stream) {
		assert.ok(chunk.choices[0].text.length);
		break;
	}
	stream.controller.abort();
	await idle();
});

await check('errors are of their classes', async () => {
	const create = (o) => client.completions.create({ model, prompt: 'a', ...o });
	await assert.rejects(create({ temperature: 99 }), (e) =>
		e instanceof OpenAI.BadRequestError && e.param === 'temperature' &&
		e.code === 'invalid_value' && e.type === 'invalid_request_error');
	await assert.rejects(create({ model: 'none' }), (e) =>
		e instanceof OpenAI.NotFoundError && e.code === 'model_not_found');
	await assert.rejects(create({ prompt: '\u2603' }), (e) =>
		e instanceof OpenAI.UnprocessableEntityError);
	// Busy: not to be tried again by itself.
	await ask('/v1/sessions', { id: 'busy' });
	const stream = await client.completions.create({
		model, prompt: 'a', max_tokens: 1000000, session: 'busy', stream: true });
	const patient = new OpenAI({ baseURL: url + '/v1', apiKey, maxRetries: 5 });
	await assert.rejects(patient.completions.create({
		model, prompt: 'a', session: 'busy' }), (e) =>
		e instanceof OpenAI.ConflictError && e.code === 'session_busy');
	stream.controller.abort();
	if (process.env.KEY) {
		const other = new OpenAI({ baseURL: url + '/v1', apiKey: 'x', maxRetries: 0 });
		await assert.rejects(other.models.list(), OpenAI.AuthenticationError);
	}
});

await check('a retry does not advance a session twice', async () => {
	await ask('/v1/sessions', { id: 'retried', seed: 1 });
	let lost = 2;
	const flaky = new OpenAI({ baseURL: url + '/v1', apiKey, maxRetries: 3,
		// The answer is lost twice, after the daemon has given it.
		fetch: async (...args) => {
			const r = await fetch(...args);
			if (lost-- > 0) {
				await r.text();
				throw new TypeError('the connection broke');
			}
			return r;
		} });
	const r = await flaky.completions.create(
		{ model, prompt: 'The ', max_tokens: 20, session: 'retried' },
		{ headers: { 'Idempotency-Key': 'one' } });
	assert.equal(r.choices[0].text.length, 20);
	assert.equal((await ask('/v1/sessions/retried')).position, 24);
	// Nor a stream's.
	lost = 2;
	let text = '';
	for await (const chunk of await flaky.completions.create(
		{ model, prompt: 'The ', max_tokens: 20, session: 'retried', stream: true },
		{ headers: { 'Idempotency-Key': 'two' } }))
		text += chunk.choices[0].text;
	assert.equal(text.length, 20);
	assert.equal((await ask('/v1/sessions/retried')).position, 48);
});

await check('@ai-sdk/openai-compatible', async () => {
	const { createOpenAICompatible } = await load('@ai-sdk/openai-compatible');
	const { generateText, streamText } = await load('ai');
	const provider = createOpenAICompatible({
		name: 'unrolld', baseURL: url + '/v1', apiKey, includeUsage: true });
	const lm = provider.completionModel(model);
	const r = await generateText({ model: lm, prompt: 'The ', maxOutputTokens: 9, maxRetries: 0 });
	assert.equal(r.text.length, 9);
	assert.equal(r.finishReason, 'length');
	const s = streamText({ model: lm, prompt: 'The ', maxOutputTokens: 9, maxRetries: 0 });
	let text = '';
	for await (const piece of s.textStream)
		text += piece;
	assert.equal(text.length, 9);
	assert.equal((await s.usage).outputTokens, 9);
	await assert.rejects(generateText({
		model: provider.completionModel('none'), prompt: 'a', maxRetries: 0 }),
		(e) => e.statusCode === 404 && /none/.test(e.message));
	const leave = new AbortController();
	const left = streamText({ model: lm, prompt: 'The ', maxOutputTokens: 1000000,
		maxRetries: 0, abortSignal: leave.signal, onError() {} });
	for await (const piece of left.textStream) {
		assert.ok(piece.length);
		leave.abort();
	}
	await idle();
});

await check('eventsource-parser', async () => {
	const { createParser } = await load('eventsource-parser');
	const r = await fetch(url + '/sample', { method: 'POST',
		headers: { 'Content-Type': 'application/json', 'X-Api-Key': apiKey },
		body: JSON.stringify({ prompt: 'The ', length: 25, stream: true }) });
	const events = [];
	const parser = createParser({ onEvent: (e) => events.push(e) });
	parser.feed(await r.text());
	assert.equal(events.at(-1).data, '[DONE]');
	assert.equal(Number(events.findLast((e) => e.id).id), 25);
});

console.log(done, 'checks');
process.exit(done === 8 ? 0 : 1);
