"""What a sweep costs beside its cells run one by one: sweep_cost.py HULLFT FOLDER SWEEP.toml [KEY=VALUE ...]

Runs `hullft sweep --config SWEEP.toml --set KEY=VALUE ...` into FOLDER/sweep, then `hullft run` for every cell of its
grid into FOLDER/cells, two at a time, compares all rows (ids, counts, weights, scores: bit for bit), and prints the CPU
time of either, which counts on a machine that others use too. Exits with 1 where a row differs.
"""
import concurrent.futures
import json
import os
import subprocess
import sys
import tomllib


def cpu_of(words, log):
    """Runs it; CPU seconds, its own children's among them."""
    with open(log, "wb") as errors:
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=errors)
        _, status, used = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{' '.join(words)}: status {status}, see {log}")
    return used.ru_utime + used.ru_stime


def rows_of(folder, run=""):
    rows = [json.loads(line) for line in open(folder + "/results.jsonl", encoding="utf-8")]
    return {row["query"]: row for row in rows if row.get("run", "") == run}


def differs(shared, alone, n):
    """The first field of a row that is another one than the cell's own has."""
    mark = next((m for m in shared.get("score_at", []) if m["n"] == n), None)
    after = mark or shared["after"]
    for field in ("bpb", "bpb_first_window", "log_likelihood", "log_likelihood_first_window"):
        if shared["before"][field] != alone["before"][field] or after[field] != alone["after"][field]:
            return field
    if (mark or shared)["steps"] != alone["steps"] or (mark or shared)["gradients"] != alone["gradients"]:
        return "steps"
    if mark is None or n == max(m["n"] for m in shared["score_at"]):  # a smaller N's selection is a prefix of this one
        return next((f for f in ("text_hash", "ids", "counts", "weights", "gap", "objective") if shared[f] != alone[f]), None)
    return None


def compared(cell, shared, alone):
    """How many rows are equal: all of them."""
    if shared.keys() != alone.keys():
        sys.exit(f"cell {cell['choice']}: other queries")
    for query, row in alone.items():
        if field := differs(shared[query], row, cell["n"]):
            sys.exit(f"cell {cell['choice']}, query {query}: {field} differs")
    return len(alone)


def main():
    hullft, folder, config, *sets = sys.argv[1:]
    sweep = folder + "/sweep"
    words = [hullft, "sweep", "--config", config]
    for text in sets + ["output=" + sweep]:
        words += ["--set", text]
    options = tomllib.loads(subprocess.run(words + ["--print-config"], stdout=subprocess.PIPE, check=True, text=True).stdout)
    fixed = [f"--{key}={value}" for key, value in options.items()
             if not isinstance(value, list) and key not in ("output", "launcher")]
    os.makedirs(folder + "/cells", exist_ok=True)
    sweep_cpu = cpu_of(words, folder + "/sweep.log")
    print(f"sweep: {sweep_cpu:.1f} s of CPU", flush=True)
    cells = json.load(open(sweep + "/sweep.json"))["cells"]

    def alone(c):
        output = f"{folder}/cells/{c}"
        choice = [f"--{key}={value}" for key, value in cells[c]["choice"].items()]
        cpu = cpu_of([hullft, "run", *fixed, *choice, "--output", output], output + ".log")
        return cpu, compared(cells[c], rows_of(sweep, cells[c]["run"]), rows_of(output))

    total, rows = 0.0, 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for cell, (cpu, compared_rows) in zip(cells, pool.map(alone, range(len(cells)))):
            total, rows = total + cpu, rows + compared_rows
            print(f"{cell['choice']}: {cpu:.1f} s of CPU", flush=True)
    print(f"{len(cells)} cells one by one: {total:.1f} s of CPU; {rows} rows are equal")
    print(f"the sweep costs {100 * sweep_cpu / total:.1f}% of their CPU time")


main()
