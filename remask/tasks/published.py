"""Published test sets, read from the files that their authors publish: finite, in file order, all of it held out.

d1 is arXiv 2504.12216.

| file | set | asked as | right if |
|---|---|---|---|
| .csv with `Puzzle,Solution` | 4x4 Sudoku of d1 | `Solve` and four rows | the grid is solved |
| .jsonl with `input`, `output` | Countdown of d1 | numbers, a target | its last line makes it of them |
| .jsonl with `question`, `answer` | GSM8K (2110.14168) | the question | its last number is the one behind `####` |
| .json with `Body`, `Question`, `Answer` | SVAMP (2103.07191) | body and question | its last number is the answer |
"""

import ast
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import UsageError, printable
from .example import Example, FixedTask
from .sudoku import Sudoku

MOST_BYTES = 64 * 2**20
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
GRID = re.compile(r"[0-4]{16}")
FORMULA = re.compile(r"[-+*/() \d]{1,80}")
LENGTH = 128  # of an answer in tokens: worked steps and the result


def published(path: Path) -> FixedTask:
    """Return the set in a file. Raises UsageError if it cannot be read or is none of the sets above."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{str(path)!r} has more than {MOST_BYTES:,} bytes, which no published set has")
        text = path.read_text(encoding="utf-8")
        rows = _rows(path.suffix, text)
        make = _maker(rows[0]) if rows else None
        if make is None:
            raise UsageError(f"{str(path)!r} is none of the published sets: Sudoku 4x4, Countdown, GSM8K, SVAMP")
        return make(path.stem, rows)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"cannot read the published set {str(path)!r}: {printable(str(error))}") from None


def _rows(suffix: str, text: str) -> list[dict[str, Any]]:
    if suffix == ".csv":
        return list(csv.DictReader(text.splitlines()))
    if suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    rows = json.loads(text)
    return rows if isinstance(rows, list) and all(isinstance(row, dict) for row in rows) else []


def _maker(row: Mapping[str, Any]) -> Callable[[str, list[dict[str, Any]]], FixedTask] | None:
    known: dict[tuple[str, ...], Callable[[str, list[dict[str, Any]]], FixedTask]] = {
        ("Puzzle", "Solution"): _sudoku,
        ("input", "output"): _countdown,
        ("question", "answer"): _gsm8k,
        ("Body", "Question", "Answer"): _svamp,
    }
    return next((make for columns, make in known.items() if {*columns} <= row.keys()), None)


def _sudoku(name: str, rows: list[dict[str, Any]]) -> FixedTask:
    task, items = Sudoku(2, 2, blanks=(4, 12)), []
    for row in rows:
        puzzle, solution = f"{row['Puzzle']:0>16}", str(row["Solution"])  # spreadsheets drop leading zeros
        if not (GRID.fullmatch(puzzle) and GRID.fullmatch(solution)):
            raise ValueError(f"a puzzle is 16 digits from 0 to 4, got {puzzle[:40]!r}")
        asked, answer = ("\n".join(grid[i : i + 4] for i in range(0, 16, 4)) for grid in (puzzle, solution))
        items.append(Example("Solve\n" + asked.replace("0", "."), answer, solution))
    return FixedTask(name, "solve a 4x4 Sudoku", task.rule, tuple(items), task.passes, 32)


def _countdown(name: str, rows: list[dict[str, Any]]) -> FixedTask:
    items = []
    for row in rows:
        numbers, target = [int(number) for number in str(row["input"]).split(",")], int(row["output"])
        said = ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
        asked = f"Use the numbers {said}, each once, with + - * / to make {target}."
        items.append(Example(asked, str(target), f"{sorted(numbers)} {target}"))
    rule = "its last line is a formula that has each number once and makes the target"
    return FixedTask(name, "make a number of others", rule, tuple(items), _makes, LENGTH)


def _makes(example: Example, output: str) -> bool:
    """Return whether the last line of `output`, left of an equals sign, is a formula as it was asked for."""
    asked = [int(number) for number in re.findall(r"\d+", example.prompt.partition(", each once")[0])]
    formula = output.strip().rpartition("\n")[2].partition("=")[0].strip()
    if not FORMULA.fullmatch(formula) or Counter(map(int, re.findall(r"\d+", formula))) != Counter(asked):
        return False
    try:
        return _value(ast.parse(formula, mode="eval").body) == int(example.answer)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError):
        return False


def _value(node: ast.AST) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return Fraction(node.value)
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left), _value(node.right)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Div):
            return left / right
    raise ValueError("no formula of + - * /")


def _gsm8k(name: str, rows: list[dict[str, Any]]) -> FixedTask:
    return _word_problems(name, ((row["question"], row["answer"].rpartition("####")[2].strip()) for row in rows))


def _svamp(name: str, rows: list[dict[str, Any]]) -> FixedTask:
    asked = ((f"{str(row['Body']).rstrip(' .')}. {row['Question']}", f"{row['Answer']:g}") for row in rows)
    return _word_problems(name, asked)


def _word_problems(name: str, rows: Iterable[tuple[str, str]]) -> FixedTask:
    items = tuple(Example(question, f"The answer is {result}.", question) for question, result in rows)
    rule = "the last number in it is the right one"
    return FixedTask(name, "solve a word problem", rule, items, _same_number, LENGTH)


def _same_number(example: Example, output: str) -> bool:
    said, meant = NUMBER.findall(output), NUMBER.findall(example.answer)
    return bool(said) and len(said[-1]) < 40 and float(said[-1].replace(",", "")) == float(meant[-1].replace(",", ""))
