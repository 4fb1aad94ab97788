"""The long-context study: train every arm, put it to the pre-registered grid, draw the figures and check predictions.

    python benchmarks/longcontext_study.py --out runs/study                    everything; killed, it goes on
    python benchmarks/longcontext_study.py --out runs/study --arms a b --seeds 0 1 2
    python benchmarks/longcontext_study.py --out /tmp/check --quick            the pipeline alone, in a minute

Arms and predictions are in docs/longcontext.md; they were written before anything was trained. OUT/results.md holds the
tables, OUT/results.json every number in them, OUT/ARM-SEED/ the training run, its records and its figures.
"""

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

import remask
from remask import files
from remask.checkpoint.placement import choose_device
from remask.evals.longcontext import figures
from remask.evals.longcontext.cliff import cliff, needles
from remask.evals.longcontext.conditions import Condition
from remask.evals.longcontext.perplexity import Estimator, by_position, chunks_of, filler_documents, resume
from remask.evals.longcontext.suite import KV, prose
from remask.evals.longcontext.sweep import Sweep, Tally, tallies
from remask.evals.longcontext.sweep import resume as resume_sweep
from remask.evals.records import Record
from remask.evals.statistics import wilson
from remask.llm import LLM
from remask.models.rotary import Rope
from remask.training.config import load
from remask.training.run import execute

ARMS = {"a": "A: θ like LLaDA", "b": "B: θ = 100", "c": "C: θ = 500,000", "ar": "autoregressive, θ as A"}
BASES = {"a": "base", "b": "base-b", "base-b": "base", "c": "base", "ar": "base-ar"}  # whose weights each begins from
NAMES = {**ARMS, "base": "base of A and C", "base-b": "B after one round", "base-ar": "base of the control"}
CAUSAL = ("ar", "base-ar")
MULTIPLES = (1, 2, 4, 6, 8)
DEPTHS = tuple(range(0, 101, 10))
GATE = 0.98
CONFIGS = Path(remask.__file__).parent / "training" / "configs"


@dataclass(frozen=True)
class Size:
    """How much of everything: prompts a cell, prompts side by side, training steps (None: the arm's own).

    `gate`: prompts a cell that decide whether an arm is judged.
    """

    out: Path
    repeats: int
    batch: int
    documents: int
    steps: int | None
    gate: int = 100
    depths: tuple[int, ...] = DEPTHS
    multiples: tuple[int, ...] = MULTIPLES


@dataclass(frozen=True)
class Variant:
    """One way to read: a name for the figures, the rope at m × T, at which m it is measured, the steps, the cache."""

    name: str
    rope: str
    multiples: tuple[int, ...]
    steps: int | None = None
    cache: dict[str, Any] | None = None

    @property
    def file(self) -> str:
        """What its record is called."""
        changed = [str(value) for value in (self.steps, *(self.cache or {}).values()) if value is not None]
        return "-".join(["kv", self.rope.replace(":", "-"), *changed])


def variants(llm: LLM, size: Size) -> list[Variant]:
    """The pre-registered ones: λ for each length, auto, UltraLLaDA's λ, YaRN, interpolation, log-n; steps, caches."""
    rotary, wanted = llm.model.contract.rotary, size.multiples
    assert rotary is not None
    scales = [1, *(math.ceil(rotary.scale(m * rotary.trained)) for m in wanted if m > 1)]
    found = [Variant(f"λ = {scale}", f"ntk:{max(1, scale)}", wanted) for scale in dict.fromkeys(scales)]
    found.append(Variant("auto", "ntk:auto", tuple(m for m in wanted if m <= 6)))
    longer = [m for m in wanted if m > 1]
    for m in longer:
        diffusion = max(1, math.ceil(rotary.scale(m * rotary.trained, 2)))
        found += [
            Variant("diffusion-aware λ", f"ntk-diffusion:{diffusion}", (m,)),
            Variant("YaRN", f"yarn:{m}", (m,)),
            Variant("linear", f"linear:{m}", (m,)),
            Variant("λ for the length, log-n", f"ntk:{max(1, scales[wanted.index(m)])},log_n", (m,)),
        ]
    if 4 in wanted:
        four = max(1, scales[wanted.index(4)])
        if llm.model.contract.block_size is None:  # a causal model takes a step a token, and its cache is exact
            found += [Variant(f"λ = {four}, {steps} steps", f"ntk:{four}", (4,), steps) for steps in (1, 2)]
            once, again = {"cache": "prefix"}, {"cache": "prefix", "cache.every": 2}
            found.append(Variant(f"λ = {four}, prompt cached", f"ntk:{four}", (4,), cache=once))
            found.append(Variant(f"λ = {four}, cached, new every 2 steps", f"ntk:{four}", (4,), cache=again))
    return found


def fixed(found: dict[str, Any]) -> dict[str, Any]:
    """Of results by variant, those of one λ at every length."""
    return {name: by for name, by in found.items() if name.startswith("λ = ") and "," not in name}


def train(arm: str, seed: int, size: Size, device: torch.device) -> Path:
    """The arm's checkpoint, trained now or going on; it begins from its base, which is trained before it."""
    out = size.out / f"{arm}-{seed}"
    base = str(train(BASES[arm], seed, size, device)) if arm in BASES else None
    config = replace(load(CONFIGS / f"study-{arm}.toml"), seed=seed, init=base)
    if size.steps is not None:
        config = replace(config, optimisation=replace(config.optimisation, steps=size.steps))
    if not (out / "checkpoint").exists():
        for progress in execute(config, out, device):
            left = f"{progress.seconds_left / 60:.0f} min left"
            print(
                f"{out.name}: step {progress.step:,} of {config.optimisation.steps:,}, loss {progress.loss:.3f}, {left}"
            )
    return out / "checkpoint"


def retrieval(llm: LLM, folder: Path, size: Size) -> dict[str, dict[int, list[Tally]]]:
    """Tallies by variant and multiple of T, on record in `folder`."""
    trained = llm.model.contract.max_positions
    found: dict[str, dict[int, list[Tally]]] = {}
    for variant in variants(llm, size):
        conditions = [Condition("kv", m * trained, depth) for m in variant.multiples for depth in size.depths]
        every = measure(llm, folder / f"{variant.file}.jsonl", variant, conditions, size.repeats, size.batch)
        for m in variant.multiples:
            found.setdefault(variant.name, {})[m] = [every[one] for one in conditions if one.length == m * trained]
    return found


def gate(llm: LLM, folder: Path, size: Size) -> tuple[int, int]:
    """How many values are found at 1 × T, of enough prompts to tell 97 % from 98."""
    conditions = [Condition("kv", llm.model.contract.max_positions, depth) for depth in size.depths]
    every = measure(llm, folder / "gate.jsonl", Variant("gate", "ntk:1", (1,)), conditions, size.gate, size.batch)
    return share(list(every.values()))


def measure(
    llm: LLM, path: Path, variant: Variant, conditions: list[Condition], repeats: int, batch: int
) -> dict[Condition, Tally]:  # fmt: skip
    """Tallies by condition, read in the one way; what the record at `path` lacks is asked now."""
    options: dict[str, Any] = {"rope": Rope.of(variant.rope)}
    if variant.steps is not None:
        options["steps"] = variant.steps
    if variant.cache is not None:
        options["set"] = variant.cache
    about = {
        "kind": "kv", "model": str(llm.loaded.source), "trained": llm.model.contract.max_positions, "repeats": repeats,
        "rope": variant.rope, "steps": variant.steps, "cache": variant.cache,
    }  # fmt: skip
    record = Record.open(path, about)
    sweep = Sweep(repeats=repeats, batch=batch, options=options)
    for tally in resume_sweep(llm, conditions, {"kv": KV["symbols"]}, sweep, record):
        print(f"{path.parent.name}: {variant.name}, {tally}")
    return tallies(record)


def perplexities(llm: LLM, folder: Path, size: Size) -> list[dict[str, float]]:
    """Windowed perplexity of the filler at λ = 1, to the longest multiple."""
    trained = llm.model.contract.max_positions
    estimator = Estimator(
        length=max(size.multiples) * trained, block=trained // 4, samples=8, documents=size.documents, recent=trained,
        rope=Rope.of("ntk:1"),
    )  # fmt: skip
    documents = filler_documents(llm.text.encode, prose(llm.text), estimator)
    about = {
        "kind": "ppl", "model": llm.loaded.source, "trained": trained, "block": estimator.block,
        "length": estimator.length,
    }  # fmt: skip
    record = Record.open(folder / "ppl.jsonl", about)
    for chunk in resume(llm, documents, estimator, record):
        if chunk.start == estimator.starts[-1]:
            print(f"{folder.name}: perplexity, {chunk.document + 1}/{estimator.documents} documents")
    positions = by_position(chunks_of(record))
    return [{"start": p.start, "windowed": p.windowed, "low": p.low, "high": p.high} for p in positions]


def share(tallies: list[Tally], low: float = 0, high: float = math.inf) -> tuple[int, int]:
    """How many needles at distances in (low, high] were found, of how many."""
    hits = [hit for one in tallies for distance, hit in needles(one.trials) if low < distance <= high]
    return sum(hits), len(hits)


def by_reach(llm: LLM, plain: dict[int, list[Tally]]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """What λ = 1 finds at 2 × T within its reach and beyond it, if that was measured."""
    rotary = llm.model.contract.rotary
    assert rotary is not None
    return [(share(plain[2], 0, rotary.reach(1)), share(plain[2], rotary.reach(1)))] if 2 in plain else []


@dataclass(frozen=True)
class Verdict:
    """A prediction and what came out; `held` None: it could not be judged."""

    arm: str
    test: str
    predicted: str
    measured: str
    held: bool | None


def judge(arm: str, llm: LLM, found: dict[str, dict[int, list[Tally]]]) -> Iterator[Verdict]:
    """The predictions of docs/longcontext.md that one masked arm decides."""
    rotary = llm.model.contract.rotary
    assert rotary is not None
    plain = found["λ = 1"]
    reach = rotary.reach(1)

    def verdict(test: str, predicted: str, counts: tuple[int, int], low: float, high: float) -> Verdict:
        hits, items = counts
        if not items:
            return Verdict(arm, test, predicted, "not measured", None)
        bounds = wilson(hits, items)
        measured = f"{hits / items:.0%} ({hits}/{items}; {bounds[0]:.0%} to {bounds[1]:.0%})"
        return Verdict(arm, test, predicted, measured, low <= hits / items <= high)

    if 2 in plain:
        yield verdict("λ = 1 at 2×, inside reach", "at least 90 %", share(plain[2], 0, reach), 0.9, 1)
        yield verdict("λ = 1 at 2×, outside reach", "at most 30 %", share(plain[2], reach), 0, 0.3)
    for m, low, high in ((2, 0.95, 1.0), (4, 0.85, 1.0), (6, 0.5, 0.85), (8, 0.0, 0.5)):
        scale = max(1, math.ceil(rotary.scale(m * rotary.trained)))
        if m in found.get(f"λ = {scale}", {}):
            counts = share(found[f"λ = {scale}"][m])
            yield verdict(f"λ = {scale} at {m}×", f"{low:.0%} to {high:.0%}", counts, low, high)
    largest = max(plain)
    name = f"λ = {max(1, math.ceil(rotary.scale(largest * rotary.trained)))}"
    if name in found and name != "λ = 1" and 1 in found[name]:
        lost = (share(plain[1])[0] - share(found[name][1])[0]) / max(1, share(plain[1])[1])
        yield Verdict(arm, f"{name} at 1×", "loses 0 to 5 points", f"loses {100 * lost:.0f} points", lost <= 0.05)
    yield from _auto(arm, found)
    scaled, logn = found.get(name, {}).get(largest), found.get("λ for the length, log-n", {}).get(largest)
    if scaled and logn:
        gain = share(logn)[0] / share(logn)[1] - share(scaled)[0] / share(scaled)[1]
        yield Verdict(arm, f"log-n at {largest}×", "gains 5 points or more", f"{100 * gain:+.0f} points", gain >= 0.05)
    for name, by in found.items():
        if name.endswith("prompt cached"):
            exact = found[name.partition(",")[0]][4]
            gain = share(by[4])[0] / share(by[4])[1] - share(exact)[0] / share(exact)[1]
            yield Verdict(arm, f"{name}, at 4×", "finds fewer than exact", f"{100 * gain:+.0f} points", gain < 0)


def _auto(arm: str, found: dict[str, dict[int, list[Tally]]]) -> Iterator[Verdict]:
    """Auto against the best fixed λ, at every length that it was measured at."""
    plain = fixed(found)
    for m, results in found.get("auto", {}).items():
        best = max(plain, key=lambda name: share(plain[name][m])[0])
        hits, items = share(results)
        bound = wilson(*share(plain[best][m]))[0]
        measured = f"{hits / items:.0%}, {best} {share(plain[best][m])[0] / items:.0%}"
        yield Verdict(arm, f"auto at {m}×", "as good as the best fixed λ", measured, hits / items >= bound)


def damage(rows: list[dict[str, Any]]) -> Iterator[Verdict]:
    """Whether the arms lose at 2 × T in the order B, A, C, seed by seed."""
    for seed in sorted({row["seed"] for row in rows}):
        plain = {row["arm"]: row["found"]["λ = 1"] for row in rows if row["seed"] == seed}
        gates = [row["gate"] for row in rows if row["seed"] == seed and row["arm"] in "bac"]
        if not {"a", "b", "c"} <= plain.keys() or 2 not in plain["a"]:
            continue
        lost = [plain[arm][1][0] / plain[arm][1][1] - plain[arm][2][0] / plain[arm][2][1] for arm in "bac"]
        measured = ", ".join(f"{arm.upper()} {100 * loss:.0f}" for arm, loss in zip("bac", lost, strict=True))
        held = lost[0] > lost[1] > lost[2] if all(gates) else None
        yield Verdict(f"seed {seed}", "points lost from 1× to 2× at λ = 1", "B > A > C", measured, held)


def plot(arm: str, llm: LLM, found: dict[str, dict[int, list[Tally]]], folder: Path) -> None:
    """Heat maps, found by distance at 2 × T with reach and cliff, and found by length, for one arm."""
    rotary = llm.model.contract.rotary
    assert rotary is not None
    plain = fixed(found)
    for i, (name, by) in enumerate(plain.items()):
        every = [tally for tallies in by.values() for tally in tallies]
        figures.heat_map(every, folder / f"heatmap-{i}", f"arm {NAMES[arm]}, {name}")
    names = [name for name in list(plain)[:2] if 2 in plain[name]]  # the model as it is, and with λ for 2 ×
    double = {name: needles([trial for one in plain[name][2] for trial in one.trials]) for name in names}
    figures.by_distance(
        double, folder / "distance", f"arm {NAMES[arm]}: found by distance, at 2×",
        reach={name: rotary.reach(float(name.removeprefix("λ = "))) for name in double},
        cliffs={name: cliff(found) for name, found in double.items()},
    )  # fmt: skip
    series = {name: [r for results in by.values() for r in results] for name, by in found.items() if len(by) > 1}
    figures.by_length(series, folder / "lengths", f"arm {NAMES[arm]}: found by length", rotary.trained)


def study(arms: list[str], seeds: list[int], size: Size, device: torch.device) -> dict[str, Any]:
    """Everything, arm by arm; what is done already is read from the records."""
    rows: list[dict[str, Any]] = []
    verdicts: list[Verdict] = []
    curves: dict[str, Any] = {}
    for seed in seeds:
        for arm in arms:
            folder = size.out / f"{arm}-{seed}"
            trained, threads = str(train(arm, seed, size, device)), torch.get_num_threads()
            llm = remask.load(trained, device=str(device), dtype="float32", threads=threads)
            found = retrieval(llm, folder, size)
            hits, items = gate(llm, folder, size)
            passed = hits / items >= GATE
            ppl = perplexities(llm, folder, size)
            plot(arm, llm, found, folder)
            if arm not in CAUSAL:
                verdicts += [v if passed else replace(v, held=None) for v in judge(f"{arm}-{seed}", llm, found)]
            curves.setdefault(arm, ppl)
            rows.append({
                "arm": arm, "seed": seed, "gate": passed, "one": [hits, items], "ppl": ppl,
                "by_reach": by_reach(llm, found["λ = 1"]),
                "found": {name: {m: share(r) for m, r in by.items()} for name, by in found.items()},
            })  # fmt: skip
    if len(curves) > 1:
        block = curves[arms[0]][0]["start"]
        lines = {
            NAMES[arm]: ([p["start"] + block / 2 for p in c], [p["windowed"] for p in c]) for arm, c in curves.items()
        }
        figures.curves(
            lines, size.out / "perplexity", "windowed perplexity, λ = 1", ylabel="perplexity", trained=4 * block
        )
    verdicts += [*damage(rows), *perplexity_verdicts(rows)]
    return {"rows": rows, "verdicts": [vars(v) for v in verdicts]}


def perplexity_verdicts(rows: list[dict[str, Any]]) -> Iterator[Verdict]:
    """Whether perplexity past T stays (masked) or explodes (autoregressive)."""
    for row in rows:
        trained = 4 * row["ppl"][0]["start"]
        inside = [p["windowed"] for p in row["ppl"] if p["start"] < trained]
        behind = [p["windowed"] for p in row["ppl"] if p["start"] >= trained]
        if not behind:
            continue
        times = (sum(behind) / len(behind)) / (sum(inside) / len(inside))
        name = f"{row['arm']}-{row['seed']}"
        causal = row["arm"] in CAUSAL
        held = times >= 3 if causal else 0.9 <= times <= 1.1
        predicted = "at least 3 times" if causal else "within 10 %"
        judged = held if row["gate"] or causal else None
        yield Verdict(name, "perplexity past T, of that within", predicted, f"{times:.2f} times", judged)


def table(result: dict[str, Any]) -> str:
    """The results as Markdown."""
    lines = ["# The long-context study: results", ""]
    for row in result["rows"]:
        hits, items = row["one"]
        gate = "passed" if row["gate"] else "NOT passed: no claims"
        lines += [
            f"## {NAMES[row['arm']]}, seed {row['seed']}",
            "",
            f"Gate, found at 1×: {hits}/{items}, {gate}.",
            *[f"λ = 1 at 2×: {a}/{b} within reach, {c}/{d} beyond." for (a, b), (c, d) in row["by_reach"]],
            "",
        ]
        multiples = sorted({m for by in row["found"].values() for m in by})
        lines += ["| variant | " + " | ".join(f"{m}×" for m in multiples) + " |", "|---" * (len(multiples) + 1) + "|"]
        for name, by in row["found"].items():
            cells = [f"{100 * by[m][0] / by[m][1]:.0f}" if m in by else "" for m in multiples]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += ["## Predictions", "", "| arm | test | predicted | measured | held |", "|---|---|---|---|---|"]
    said = {True: "yes", False: "no", None: "not judged"}
    for v in result["verdicts"]:
        lines.append(f"| {v['arm']} | {v['test']} | {v['predicted']} | {v['measured']} | {said[v['held']]} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the arguments and run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", choices=list(NAMES), default=list(ARMS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--repeats", type=int, default=20, help="prompts a cell; 100 where there is a GPU")
    parser.add_argument("--batch", type=int, default=16, help="prompts decoded side by side")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--quick", action="store_true", help="three steps and one prompt a cell: checks the pipeline")
    asked = parser.parse_args()
    if asked.repeats < 1 or asked.batch < 1:
        parser.error(f"--repeats and --batch must be at least 1, got {asked.repeats} and {asked.batch}")
    if asked.threads:
        torch.set_num_threads(asked.threads)
    size = Size(asked.out, asked.repeats, asked.batch, 5, None)
    if asked.quick:
        size = Size(asked.out, 1, asked.batch, 1, 3, gate=1, depths=(0, 100), multiples=(1, 2))
    asked.out.mkdir(parents=True, exist_ok=True)
    result = study(asked.arms, asked.seeds, size, choose_device(asked.device))
    files.write_json(asked.out / "results.json", json.loads(json.dumps(result)))
    files.write(asked.out / "results.md", table(result))
    print(asked.out / "results.md")


if __name__ == "__main__":
    main()
