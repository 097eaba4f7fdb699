"""What a sweep costs beside its cells run one by one: sweep_cost.py HULLFT FOLDER SWEEP.toml [KEY=VALUE ...]

Runs `hullft sweep --config SWEEP.toml --set KEY=VALUE ...` into FOLDER/sweep, then `hullft run` for every cell of its
grid into FOLDER/cells, compares all rows (ids, counts, weights, scores: bit for bit), and prints CPU and wall times.
CPU time is what counts on a machine that others use. Exits with 1 where a row differs.
"""
import json
import os
import resource
import subprocess
import sys
import time
import tomllib


def measured(words):
    """Runs it; CPU seconds and wall seconds."""
    def cpu():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    start_cpu, start = cpu(), time.monotonic()
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: exit status {done.returncode}\n{done.stderr[-2000:]}")
    return cpu() - start_cpu, time.monotonic() - start


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


def main():
    hullft, folder, config, *sets = sys.argv[1:]
    sweep = folder + "/sweep"
    words = [hullft, "sweep", "--config", config]
    for text in sets + ["output=" + sweep]:
        words += ["--set", text]
    options = tomllib.loads(subprocess.run(words + ["--print-config"], stdout=subprocess.PIPE, check=True, text=True).stdout)
    fixed = [f"--{key}={value}" for key, value in options.items()
             if not isinstance(value, list) and key not in ("output", "launcher")]
    cpu, wall = measured(words)
    print(f"sweep: {cpu:.1f} s of CPU, {wall:.1f} s", flush=True)
    cells = json.load(open(sweep + "/sweep.json"))["cells"]
    sum_cpu, sum_wall, rows = 0.0, 0.0, 0
    for c, cell in enumerate(cells):
        output = f"{folder}/cells/{c}"
        choice = [f"--{key}={value}" for key, value in cell["choice"].items()]
        os.makedirs(folder + "/cells", exist_ok=True)
        one_cpu, one_wall = measured([hullft, "run", *fixed, *choice, "--output", output])
        sum_cpu, sum_wall = sum_cpu + one_cpu, sum_wall + one_wall
        shared, alone = rows_of(sweep, cell["run"]), rows_of(output)
        if shared.keys() != alone.keys():
            sys.exit(f"cell {cell['choice']}: other queries")
        for query, row in alone.items():
            if field := differs(shared[query], row, cell["n"]):
                sys.exit(f"cell {cell['choice']}, query {query}: {field} differs")
            rows += 1
        print(f"cell {c + 1} of {len(cells)} {cell['choice']}: {one_cpu:.1f} s of CPU", flush=True)
    print(f"{len(cells)} cells one by one: {sum_cpu:.1f} s of CPU, {sum_wall:.1f} s; {rows} rows are equal")
    print(f"the sweep costs {100 * cpu / sum_cpu:.1f}% of their CPU time, {100 * wall / sum_wall:.1f}% of their time")


main()
