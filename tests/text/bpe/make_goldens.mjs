// Writes NAME.ids.json beside each NAME.json of this folder: what Hugging Face's
// own library makes of a few hundred texts with that tokenizer.
//   npm install --prefix /tmp/hf tokenizers@0.23.2
//   NODE_PATH=/tmp/hf/node_modules node tests/text/bpe/make_goldens.mjs
// plain.json was learnt by `unrolld train --tokenizer bpe` and written by `unrolld
// export --vocab`; this makes the others of it first.
import { createRequire } from 'node:module';
import { readFileSync, writeFileSync } from 'node:fs';

const require = createRequire(process.env.NODE_PATH + '/');
const { Tokenizer } = require('tokenizers');
const here = new URL('.', import.meta.url).pathname;

const plain = JSON.parse(readFileSync(here + 'plain.json', 'utf8'));
const size = Object.keys(plain.model.vocab).length;
const variant = (name, change) => {
	const t = structuredClone(plain);
	change(t);
	writeFileSync(here + name + '.json', JSON.stringify(t));
};
const added = (id, content, special) => ({ id, content, single_word: false,
	lstrip: false, rstrip: false, normalized: false, special });

variant('prefix', (t) => {
	t.pre_tokenizer.add_prefix_space = true;
	t.model.merges = t.model.merges.map((m) => m.split(' '));
	t.added_tokens = [added(size, '<|endoftext|>', true),
		added(size + 1, '<|end', false), added(size + 2, 'two words', false)];
});
variant('noregex', (t) => {
	t.pre_tokenizer.use_regex = false;
	t.post_processor = null;
});

// Small and the same everywhere.
let state = 12345;
const draw = (n) => {
	state = (Math.imul(state, 1103515245) + 12345) >>> 0;
	return (state >>> 8) % n;
};
const bits = ['a', 'the', 'The', 'king', ' ', ' ', ' ', '  ', '\n', '\n\n', '\t',
	"'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'", "''", '"', '.', '...',
	',', '!?', '1', '23', '4567', '½', '٣', 'Ⅷ', 'é', 'e\u0301', 'ß', 'Привет',
	'שלום', '中', '中文字', '春眠不觉晓', 'あ', 'ア', 'ไทย', '😀', '👩‍👩‍👧', '🇩🇪', '\u00a0',
	'\u3000', '\u0085', '\u2028', '\u200b', '\u200d', '\ufeff', '\u180e', '_', '-',
	'@', '$5', '\r', '\r\n', '\u0001', '\u007f', 'ǅ', 'ª', '²', '〇', '<|endoftext|>',
	'<|end', '<|', 'two words', 'two', ' words'];
const texts = ['', ' ', '  ', '\n', "I'm we'll they've don't 'tis o'er",
	'ROMEO:\nWhat light through yonder window breaks?', 'a'.repeat(300),
	' x'.repeat(40), '春'.repeat(50), '<|endoftext|><|endoftext|> x<|endoftext|>'];
while (texts.length < 400) {
	let text = '';
	for (let n = 1 + draw(10); n; n--)
		text += bits[draw(bits.length)];
	texts.push(text);
}

for (const name of ['plain', 'prefix', 'noregex']) {
	const t = Tokenizer.fromFile(here + name + '.json');
	const cases = [];
	for (const text of texts) {
		const ids = (await t.encode(text)).getIds();
		cases.push({ text, ids, decoded: await t.decode(ids, false) });
	}
	writeFileSync(here + name + '.ids.json',
		'[\n' + cases.map((c) => JSON.stringify(c)).join(',\n') + '\n]\n');
}
