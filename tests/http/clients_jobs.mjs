// npm's openai, unmodified, fine-tunes a daemon's model.
//   node clients_jobs.mjs DIRECTORY URL TEXT: DIRECTORY holds node_modules.
import { createReadStream } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import assert from 'node:assert/strict';

const [directory, url, text] = process.argv.slice(2);
const require = createRequire(pathToFileURL(directory + '/x.js'));
const { default: OpenAI } = await import(pathToFileURL(require.resolve('openai')));
const client = new OpenAI({
	baseURL: url + '/v1', apiKey: process.env.KEY ?? 'none', maxRetries: 0 });
const jobs = client.fineTuning.jobs;
const model = (await client.models.list()).data[0].id;

const file = await client.files.create({
	file: createReadStream(text), purpose: 'fine-tune' });
assert.equal(file.object, 'file');
assert.equal((await client.files.retrieve(file.id)).bytes, file.bytes);
assert.equal((await client.files.waitForProcessing(file.id)).status, 'processed');

async function create(hyperparameters, more) {
	return jobs.create({ model, training_file: file.id, seed: 3,
		method: { type: 'supervised', supervised: { hyperparameters } }, ...more });
}

// All events in order, as they come to a client that asks for them by pages.
async function follow(id) {
	const seen = new Map();
	for (;;) {
		const job = await jobs.retrieve(id);
		for await (const e of jobs.listEvents(id, { limit: 3 })) {
			if (seen.has(e.id))
				break;
			assert.equal(e.object, 'fine_tuning.job.event');
			seen.set(e.id, e);
		}
		if (job.finished_at)
			return [...seen.values()];
		await new Promise((r) => setTimeout(r, 100));
	}
}

async function until(id, done) {
	for (;;) {
		const job = await jobs.retrieve(id);
		assert.ok(!job.error?.message, job.error?.message);
		if (done(job))
			return job;
		await new Promise((r) => setTimeout(r, 50));
	}
}

const asked = { max_steps: 30, batch_size: 4, n_epochs: 'auto',
	learning_rate_multiplier: 'auto', checkpoint_every: 10 };
const first = await create(asked, { suffix: 'mine', metadata: { team: 'a' } });
assert.equal(first.status, 'validating_files');
const events = await follow(first.id);
const made = await jobs.retrieve(first.id);
assert.equal(made.status, 'succeeded');
assert.match(made.fine_tuned_model, /^ft:.*:mine:/);
assert.equal(made.method.supervised.hyperparameters.batch_size, 4);
assert.ok(events.some((e) => e.message === 'The job has successfully completed'));
assert.ok(events.some((e) => e.type === 'metrics' && e.data.train_loss > 0));

const answer = await client.completions.create({
	model: made.fine_tuned_model, prompt: 'The ', max_tokens: 10 });
assert.equal(answer.choices[0].text.length, 10);

const points = [];
for await (const c of jobs.checkpoints.list(first.id, { limit: 2 }))
	points.push(c);
assert.deepEqual(points.map((c) => c.step_number), [30, 20, 10]);
const kept = points.filter((c) => c.fine_tuned_model_checkpoint);
assert.equal(kept.length, 2);
for (const c of kept)
	assert.equal((await client.completions.create({ prompt: 'The ', max_tokens: 5,
		model: c.fine_tuned_model_checkpoint })).choices[0].text.length, 5);

const paused = await create({ ...asked, n_epochs: 100000, max_steps: 1000000,
	checkpoint_every: 'auto' });
await until(paused.id, (j) => j.progress.step > 2);
assert.equal((await jobs.pause(paused.id)).status, 'paused');
await assert.rejects(jobs.pause(paused.id), OpenAI.ConflictError);
assert.equal((await jobs.resume(paused.id)).status, 'queued');
await until(paused.id, (j) => j.progress.step > 5);
assert.equal((await jobs.cancel(paused.id)).status, 'cancelled');
assert.equal((await jobs.retrieve(paused.id)).fine_tuned_model, null);

const ids = [];
for await (const j of jobs.list({ limit: 1 }))
	ids.push(j.id);
assert.deepEqual(ids, [paused.id, first.id]);
await assert.rejects(jobs.retrieve('ftjob-none'), OpenAI.NotFoundError);
await assert.rejects(create({ n_epochs: -1 }), (e) =>
	e instanceof OpenAI.BadRequestError && e.param === 'hyperparameters.n_epochs');
// A job that was cancelled lets go of its file a moment later.
for (let tries = 0;; tries++) {
	try {
		assert.equal((await client.files.delete(file.id)).deleted, true);
		break;
	} catch (e) {
		if (!(e instanceof OpenAI.ConflictError) || tries === 100)
			throw e;
		await new Promise((r) => setTimeout(r, 50));
	}
}
console.log('all checked');
