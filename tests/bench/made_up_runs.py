"""Writes run folders with made-up rows, to look at pages and to time them: made_up_runs.py FOLDER QUERIES

Eight runs (hullft at five N, three methods scored at these N on the way), so eight rows a query.
"""
import json
import math
import os
import random
import sys

SUBSETS = {"Github": 1.1, "Enron Emails": 1.4, "FreeLaw": 0.95, "PubMed Abstracts": 1.05, "ArXiv": 1.2}  # BPB before
EFFECT = {"hullft": 0.62, "sift": 0.66, "knn": 0.7, "random": 0.9}  # what is left of it for large N
NS = [1, 2, 5, 10, 20]


def bpb(value):
    return {"bpb": value, "bpb_first_window": value * 0.9, "log_likelihood": -value * 3000,
            "log_likelihood_first_window": -value * 2000}


def row(method, n, query, clock):
    of_query, of_row = random.Random(query), random.Random(query * 7 + n + len(method))
    subset = list(SUBSETS)[query % len(SUBSETS)]
    before = SUBSETS[subset] * math.exp(of_query.gauss(0, 0.3))
    after = lambda n: before * (1 - (1 - EFFECT[method]) * (1 - math.exp(-n / 6)) * math.exp(of_row.gauss(0, 0.3)))
    counts = [max(1, n // 4 - i) for i in range(max(1, n // 3))]
    worker, tune, residual = query % 2, 40 * n * math.exp(of_row.gauss(0, 0.2)), 0.5 + 0.1 * of_row.random()
    clock[worker] += tune + 60
    made = {
        "key": f"{method}{n}{query}", "query": query, "subset": subset, "status": "ok", "text_hash": f"{query:032x}",
        "ids": [of_query.randrange(1 << 50) for _ in counts], "counts": counts, "weights": [of_row.random() for _ in counts],
        "objective": residual**2 / 2, "gap": abs(of_row.gauss(0, 1e-3)), "residual_norm": residual,
        "rounded_residual_norm": residual + 0.01, "iterations": 250, "stop": "max_iter", "pool": 200, "pool_mode": "knn",
        "coverage": 1, "guard": "off", "before": bpb(before), "after": bpb(after(n)), "bytes": 4000 + query,
        "tokens": 1000, "windows": 4, "window": 256, "prefix_token": 0, "steps": n, "gradients": n // 2,
        "tokens_trained": 250 * n,
        "ms": {"embed": 12, "search": 3, "select": 0.3, "fetch": 1, "score_before": 30, "tune": tune, "score_after": 30,
               "ended": clock[worker]},
        "support_size": len(counts), "distinct": len(counts), "effective_sequences": 2.5,
        "largest_multiplicity": counts[0], "redundancy": 0.3, "rounding_loss": 0.001, "rounding_gap": None,
        "worker": 1 + worker, "host": f"n{worker}", "attempts": 1,
    }
    if method != "hullft":
        made["score_at"] = [{"n": m, "steps": m, "gradients": m, **bpb(after(m))} for m in NS[:-1]]
        made["ms"]["tune_at"] = [tune * m / n for m in NS[:-1]]
    return made


def main(folder, queries):
    for method in EFFECT:
        for n in NS if method == "hullft" else NS[-1:]:
            path = f"{folder}/{method}_{n}"
            os.makedirs(path, exist_ok=True)
            identity = {"--method": method, "--n": str(n), "--max-length": "256", "--prefix-token": "-1", "model": "aa",
                        "tokenizer": "bb", "corpus": "cc", "--score-at": "" if method == "hullft" else "1,2,5,10,20"}
            with open(path + "/provenance.json", "w") as file:
                json.dump({"version": "made up", "host": "n1", "ranks": 3, "threads_per_worker": 1, "identity": identity}, file)
            clock = [1.79e12, 1.79e12]
            with open(path + "/results.jsonl", "w") as file:
                for query in range(queries):
                    file.write(json.dumps(row(method, n, query, clock), separators=(",", ":")) + "\n")


main(sys.argv[1], int(sys.argv[2]))
