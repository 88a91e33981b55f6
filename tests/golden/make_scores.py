#!/usr/bin/env python3
"""The scores of tests/text/test_scores.c's sentences, from the definitions:
BLEU with COCO's small additions, ROUGE-L with beta 1.2, CIDEr-D with sigma 6
and, as COCO's code has it, pairs of words for a sentence's length. Prints
BLEU-1 to 4, ROUGE-L, CIDEr-D.
"""
import math
from collections import Counter
DATA = [("a small red circle above a blue square",["a small red circle above a large blue square"]),
("two green rings at the top",["three green rings at the top","three small green rings are at the top"]),
("a dog sits on the the grass",["a dog is sitting on the grass","the dog sits on grass"]),
("birds",["a couple of birds standing on a sandy beach"])]
def grams(w,n): return Counter(tuple(w[i:i+n]) for i in range(len(w)-n+1))
D=[(c.split(),[r.split() for r in rs]) for c,rs in DATA]
tiny,small=1e-15,1e-9
tl=sum(len(c) for c,_ in D); rl=sum(min((abs(len(r)-len(c)),len(r)) for r in rs)[1] for c,rs in D)
prod=1; out=[]
for n in range(1,5):
    ok=tot=0
    for c,rs in D:
        g=grams(c,n); m=Counter()
        for r in rs: m|=grams(r,n)
        ok+=sum(min(k,m[x]) for x,k in g.items()); tot+=max(0,len(c)-n+1)
    prod*=(ok+tiny)/(tot+small); b=prod**(1/n)
    ratio=(tl+tiny)/(rl+small)
    if ratio<1: b*=math.exp(1-1/ratio)
    out.append(b)
def lcs(a,b):
    t=[[0]*(len(b)+1) for _ in range(len(a)+1)]
    for i,x in enumerate(a):
        for j,y in enumerate(b): t[i+1][j+1]=t[i][j]+1 if x==y else max(t[i][j+1],t[i+1][j])
    return t[-1][-1]
rg=0
for c,rs in D:
    p=max(lcs(c,r)/len(c) for r in rs); q=max(lcs(c,r)/len(r) for r in rs)
    if p and q: rg+=(1+1.44)*p*q/(q+1.44*p)
rg/=len(D)
df=Counter()
for c,rs in D:
    for g in set(x for r in rs for n in range(1,5) for x in grams(r,n)): df[g]+=1
L=math.log(len(D))
def vec(w): return [{g:k*(L-math.log(max(1,df[g]))) for g,k in grams(w,n).items()} for n in range(1,5)]
tot=0
for c,rs in D:
    s=0
    for r in rs:
        a,b=vec(c),vec(r); d=max(0,len(c)-1)-max(0,len(r)-1)
        for n in range(4):
            na=math.sqrt(sum(v*v for v in a[n].values())); nb=math.sqrt(sum(v*v for v in b[n].values()))
            v=sum(min(x,b[n].get(g,0))*b[n].get(g,0) for g,x in a[n].items())
            if na and nb: v/=na*nb
            s+=v*math.exp(-d*d/72)
    tot+=10*s/4/len(rs)
print(["%.10f"%x for x in out],"%.10f"%rg,"%.10f"%(tot/len(D)))
