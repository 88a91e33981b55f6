"""python-jieba on a text, one core: MB/s and words with the HMM and without, as
one JSON object. The better of two runs each."""
import json
import logging
import sys
import time

import jieba

jieba.setLogLevel(logging.ERROR)
with open(sys.argv[1], encoding="utf-8", newline="") as f:
    text = f.read()
size = len(text.encode())
jieba.initialize()
out = {}
for name, hmm in (("hmm", True), ("plain", False)):
    best = None
    for _ in range(2):
        begun = time.perf_counter()
        words = sum(1 for _ in jieba.cut(text, HMM=hmm))
        seconds = time.perf_counter() - begun
        best = seconds if best is None else min(best, seconds)
    out[name + "_mb_s"] = size / best * 1e-6
    out[name + "_words"] = words
print(json.dumps(out))
