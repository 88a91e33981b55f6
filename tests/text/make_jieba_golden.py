#!/usr/bin/python3
"""Cuts of python-jieba 0.42.1, for tests/text/test_jieba.c.

Usage: make_jieba_golden.py OUT [--bytes N] [--seed N] [--text FILE]

JSON lines. {"text", "hmm", "plain"}: a text and the lengths, in characters, of
the words that cut() makes of it with and without the HMM. {"dictionary",
"added"}: from here on with these user words, which came to these frequencies
("" ends that). Texts mix words of jieba's dictionary with English, numbers,
symbols, white space and characters that no dictionary has; --text adds a file.
Needs Debian's python3-jieba. The committed file was made by
    make_jieba_golden.py tests/text/jieba.golden --bytes 60000 --seed 7
"""
import argparse
import itertools
import json
import logging
import random

import jieba
from jieba import finalseg

assert jieba.__version__ == "0.42.1"
jieba.setLogLevel(logging.ERROR)

ENGLISH = """the of and to in recurrent neural network long short-term memory
Shakespeare's C++ C# T-shirt e-mail user_name Q&A R&B don't iPhone4S 5G USB-C
x86_64 a.b.c www.example.com someone@example.com #tag 3D""".split()
NUMBERS = """0 7 42 3.14 3.14% 99.9%. 1,000 2026-11-25 10:30 1e-5 .5 5. 50% 100%% 1.2.3 v0.42.1
3.x 4.5b 007 +86 -1""".split()
SYMBOLS = list("，。、；：？！“”‘’（）《》【】—…·~!@$^*()=[]{}|\\:;\"'<>,?/`+#&._%-￥℃№①Ⅷ") + [
    "……", "——", "&&", "+-+", "...", "%%", "--", "-_-", "#.#", "_", "(a+b)*c"]
SPACES = [" ", " ", "\n", "\r\n", "\r", "\n\r", "\t", "\u3000", "\u00a0", "\u2003",
          "\u0085", "\u001c", "\v", "\f", "\u2028", "\u200b", "\ufeff", "\r\r\n"]
OTHERS = ["\u3400", "\u4dbf", "\u9fd6", "\u9fff", "\U00020000", "\U0002a6d6", "\U0001f600",
          "\U0001f469\u200d\U0001f680", "é", "ß", "ñ", "Ж", "ひらがな", "カタカナ", "한국어",
          "３", "Ａ", "ａｂｃ", "\u0000", "\u007f", "\ud7ff", "\ue000", "\uffff", "\U0010ffff",
          "〇", "々", "龥", "龦", "\u9fd5", "\u4e00", "〆", "ﬁ", "a\u0301", "𠮷野家", "豈", "\u2f00"]

USER_DICTIONARY = """\ufeff云计算 5
李小福 2 nr
创新办 3 i
easy_install 3 eng
好用 300
韩玉赏鉴 3 nz
八一双鹿 3 nz
台中
凱特琳 nz
Edu Trust认证 2000
  石墨烯\t
石墨烯 10
word with spaces 3 n
中将 0
今天天气 0
长江大桥
深度学习 99999
吉林大学 0
3 n
n
x 5 5
江州市长 7 n
𠮷野家 12
阿Q·正传
人工智能
的 0
他说的确实 
确实在理
开源-软件
循环神经网络
循环神经网络 n
马冬梅 3
马冬梅 0
"""


def pick_words(dictionary):
    words = [w for w in sorted(dictionary.FREQ) if dictionary.FREQ[w]]
    return words, list(itertools.accumulate(dictionary.FREQ[w] ** 0.5 for w in words))


def make_text(rng, words, weights, size):
    """Of about `size` bytes, in one of a few moods."""
    mood = rng.choice(["prose", "prose", "mixed", "noise", "rare", "names"])
    out = []
    n = 0
    while n < size:
        r = rng.random()
        if mood == "noise" and r < 0.5 or r < 0.02:
            piece = rng.choice(OTHERS)
        elif mood == "rare" and r < 0.8:
            piece = chr(rng.randrange(0x4E00, 0x9FE0))
        elif mood == "names" and r < 0.5:
            piece = "".join(rng.choices(rng.choice(words), k=rng.randint(1, 3)))
        elif r < 0.7:
            piece = rng.choices(words, cum_weights=weights)[0]
        elif r < 0.78:
            piece = rng.choice(ENGLISH)
            if mood == "mixed":
                piece += rng.choice(["", " ", "."])
        elif r < 0.85:
            piece = rng.choice(NUMBERS)
        elif r < 0.97:
            piece = rng.choice(SYMBOLS)
        else:
            piece = rng.choice(SPACES)
        out.append(piece)
        n += len(piece.encode())
    return "".join(out)


def lengths(tokenizer, text, hmm):
    words = list(tokenizer.cut(text, HMM=hmm))
    assert "".join(words) == text
    return [len(w) for w in words]


def write(out, line):
    out.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")


def write_text(out, tokenizer, text):
    write(out, {"text": text, "hmm": lengths(tokenizer, text, True),
                "plain": lengths(tokenizer, text, False)})


class Recorder(jieba.Tokenizer):
    """Keeps what add_word came to."""
    added = None

    def add_word(self, word, freq=None, tag=None):
        super().add_word(word, freq, tag)
        if self.added is not None:
            self.added.append([word, self.FREQ[word]])


def with_user_words(dictionary):
    finalseg.Force_Split_Words.clear()
    tokenizer = Recorder()
    tokenizer.FREQ = dict(dictionary.FREQ)
    tokenizer.total = dictionary.total
    tokenizer.initialized = True
    tokenizer.added = []
    tokenizer.load_userdict(USER_DICTIONARY.encode().splitlines(True))
    return tokenizer


def user_texts(rng, words, weights, total):
    own = [line.split()[0].strip("\ufeff") for line in USER_DICTIONARY.splitlines()]
    own += ["Edu Trust认证", "吉林大学生", "中将军", "今天天气不错", "南京市长江大桥"]
    while total > 0:
        pieces = [rng.choice(own) if rng.random() < 0.4 else
                  make_text(rng, words, weights, 12) for _ in range(40)]
        text = "".join(pieces)
        total -= len(text.encode())
        yield text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--bytes", type=int, default=60000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--text")
    o = parser.parse_args()
    rng = random.Random(o.seed)
    dictionary = jieba.Tokenizer()
    dictionary.initialize()
    words, weights = pick_words(dictionary)
    with open(o.out, "w", encoding="utf-8") as out:
        total = 0
        while total < o.bytes:
            text = make_text(rng, words, weights, rng.choice([20, 200, 1500]))
            total += len(text.encode())
            write_text(out, dictionary, text)
        if o.text:
            with open(o.text, encoding="utf-8", newline="") as f:
                text = f.read()
            for i in range(0, len(text), 20000):
                write_text(out, dictionary, text[i:i + 20000])
        tokenizer = with_user_words(dictionary)
        write(out, {"dictionary": USER_DICTIONARY, "added": tokenizer.added})
        for text in user_texts(rng, words, weights, o.bytes // 5):
            write_text(out, tokenizer, text)


main()
