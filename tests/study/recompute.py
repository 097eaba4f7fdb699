"""Recomputes the figures of a report from the journals that it names, and compares: recompute.py REPORT.html

Shares no code with hullft: it follows docs/formats/report.md and docs/formats/journal.md. Exits with 1 at the first
figure that differs by more than 1e-9 of its size.
"""
import html.parser
import json
import math
import os
import sys

import numpy

STAGES = ["embed", "search", "select", "fetch", "tune", "score_before", "score_after"]


class FiguresOfPage(html.parser.HTMLParser):
    inside, text = False, ""

    def handle_starttag(self, tag, attributes):
        self.inside = tag == "script" and ("id", "figures") in attributes

    def handle_data(self, data):
        if self.inside:
            self.text += data

    def handle_endtag(self, tag):
        self.inside = False


def check(name, said, found):
    if said is None and math.isnan(found):
        return
    if not math.isclose(said, found, rel_tol=1e-9, abs_tol=1e-9):
        sys.exit(f"{name}: the report says {said!r}, the journals {found!r}")


def finished_rows(folder):
    """Of a run's folder, or FOLDER/SETTING of one that holds a grid."""
    journal, setting, rows = folder + "/results.jsonl", "", {}
    if not os.path.exists(journal):
        journal, setting = os.path.join(os.path.dirname(folder), "results.jsonl"), os.path.basename(folder)
    for line in open(journal, encoding="utf-8"):
        if not line.endswith("\n"):
            break  # torn
        row = json.loads(line)
        if row.get("run", "") != setting:
            continue
        if row["status"] == "ok" or rows.get(row["key"], row)["status"] != "ok":
            rows[row["key"]] = row
    return {row["query"]: row for row in rows.values() if row["status"] == "ok"}


def scores(row, definition, n, own_n):
    """BPB before and after, and the milliseconds of finetuning, at N = n."""
    before = row["before"][definition]
    if n == own_n:
        return before, row["after"][definition], row["ms"]["tune"]
    for i, mark in enumerate(row.get("score_at", [])):
        if mark["n"] == n:
            return before, mark[definition], row["ms"]["tune_at"][i]
    return None


def draws(queries, count, seed):
    """Indexes of the queries of each draw: SplitMix64 from seed + draw, the upper 32 bits times Q."""
    with numpy.errstate(over="ignore"):
        start = numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(seed)
        steps = numpy.arange(1, queries + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = start[:, None] + steps[None, :]
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z ^= z >> numpy.uint64(31)
        return ((z >> numpy.uint64(32)) * numpy.uint64(queries)) >> numpy.uint64(32)


def holm(p_values):
    adjusted, least = [0.0] * len(p_values), 0.0
    for k, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = max(least, min(1.0, (len(p_values) - k) * p_values[i]))
        adjusted[i] = least
    return adjusted


def spearman(x, y):
    def ranks(values):
        return numpy.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])

    return numpy.corrcoef(ranks(numpy.array(x)), ranks(numpy.array(y)))[0, 1]


def check_subset(figures, subset, runs, own_n):
    cells = [c for c in figures["cells"] if c["subset"] == subset["subset"]]
    queries = sorted(set().union(*runs))
    if subset["subset"] != "all":
        queries = [q for q in queries if any(q in r and r[q]["subset"] == subset["subset"] for r in runs)]
    definition = figures["definition"]
    table = {}
    for q in queries:
        found = [scores(runs[c["run"]][q], definition, c["n"], own_n[c["run"]]) if q in runs[c["run"]] else None
                 for c in cells]
        if all(found):
            table[q] = found
    check(subset["subset"] + " queries", subset["queries"], len(table))
    check(subset["subset"] + " left out", subset["left_out"], len(queries) - len(table))
    values = numpy.array([table[q] for q in sorted(table)])  # [query][cell][before, after, tune]
    means = values.mean(axis=0)
    drawn = values[draws(len(values), figures["draws"], figures["seed"])][..., :2].mean(axis=1)
    percents = 100 * drawn[..., 1] / drawn[..., 0]
    runtimes = []
    for c, cell in enumerate(cells):
        name = f"{cell['subset']}, {cell['series']}, N = {cell['n']}"
        check(name + " before", cell["bpb_before"], means[c, 0])
        check(name + " after", cell["bpb_after"], means[c, 1])
        check(name + " percent", cell["percent"], 100 * means[c, 1] / means[c, 0])
        check(name + " low", cell["percent_low"], numpy.quantile(percents[:, c], 0.025))
        check(name + " high", cell["percent_high"], numpy.quantile(percents[:, c], 0.975))
        ms = {s: numpy.mean([runs[cell["run"]][q]["ms"][s] for q in table]) for s in STAGES}
        ms["tune"] = means[c, 2]
        for stage in STAGES:
            check(f"{name} {stage}", cell["ms"][stage.replace("_", " ")], ms[stage])
        runtimes.append(sum(ms[s] for s in STAGES[:5]))
        check(name + " runtime", cell["runtime_ms"], runtimes[-1])
    for c, cell in enumerate(cells):
        mine = runtimes[c], percents_of(means, c)
        others = [(runtimes[o], percents_of(means, o)) for o in range(len(cells))]
        beaten = any(o != mine and o[0] <= mine[0] and o[1] <= mine[1] for o in others)
        check(f"{cell['series']}, N = {cell['n']} pareto", cell["pareto"], not beaten)
    check_headline(subset, cells, percents, means, len(table))


def percents_of(means, c):
    return means[c, 1] / means[c, 0]


def check_headline(subset, cells, percents, means, queries):
    columns = [next(c for c, cell in enumerate(cells) if (cell["series"], cell["n"]) == (e["series"], e["n"]))
               for e in subset["entries"]]
    best = min(columns, key=lambda c: percents_of(means, c))
    p_values = []
    for column, entry in zip(columns, subset["entries"]):
        check("best", entry["best"], column == best)
        if column == best:
            continue
        differences = percents[:, column] - percents[:, best]
        check("difference", entry["difference"], 100 * (percents_of(means, column) - percents_of(means, best)))
        check("difference low", entry["difference_low"], numpy.quantile(differences, 0.025))
        check("difference high", entry["difference_high"], numpy.quantile(differences, 0.975))
        fewer = min((differences <= 0).sum(), (differences >= 0).sum()) + 1
        p_values.append(min(1.0, max(2 * fewer / (len(differences) + 1), 2.0 ** (1 - queries))))
    others = [e for e in subset["entries"] if not e["best"]]
    for entry, p in zip(others, holm(p_values)):
        check("p", entry["p_holm"], p)


def check_series(figures, runs, own_n):
    for series in figures["series"]:
        run = next(c["run"] for c in figures["cells"] if (c["series"], c["n"]) == (series["series"], series["n"]))
        if series["n"] != own_n[run]:
            check("queries of a mark", series["queries"], 0)
            continue
        rows = list(runs[run].values())
        gains = [r["before"][figures["definition"]] - r["after"][figures["definition"]] for r in rows]
        check("gap", series["gap_gain_spearman"], spearman([r["gap"] for r in rows], gains))
        check("residual", series["residual_gain_spearman"], spearman([r["rounded_residual_norm"] for r in rows], gains))
        counts, supports = {}, {}
        for row in rows:
            used = [c for c in row["counts"] if c > 0]
            supports[str(len(used))] = supports.get(str(len(used)), 0) + 1
            for count in used:
                counts[str(count)] = counts.get(str(count), 0) + 1
        if counts != series["multiplicities"] or supports != series["supports"]:
            sys.exit(f"{series['series']}: other histograms: {counts}, {supports}")


def main():
    page = FiguresOfPage()
    page.feed(open(sys.argv[1], encoding="utf-8").read())
    figures = json.loads(page.text)
    runs = [finished_rows(run["folder"]) for run in figures["runs"]]
    own_n = [int(run["identity"]["--n"]) for run in figures["runs"]]
    for subset in figures["headline"]:
        check_subset(figures, subset, runs, own_n)
    check_series(figures, runs, own_n)
    print(f"{len(figures['cells'])} cells, {sum(map(len, runs))} rows: the report says what the journals say")


main()
