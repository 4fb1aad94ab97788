"""Chat templates that mean harm, and a measure of what each costs: `python -m tests.helpers.templates SEED COUNT`."""

import json
import re
import resource
import sys
import time
from random import Random

from remask.text.chat import FAILURES
from remask.text.sandbox import compiled, render

TURNS = [{"role": "user", "content": " Hello! "}, {"role": "assistant", "content": "Hi."}]
FORMS = {  # how a text, a number, a list and a truth is written; T, N, L and B stand for further ones
    "T": (
        "s", "w", "i", "n.v", "messages[0].content", "'x'", "'<&>'", "m(T)", "(T ~ T)", "(T ~ N)", "(T + T)",
        "(T * N)", "T[N:N]", "T[::-1]", "T[N]", "L[N]", "d[T]", "(T if B else T)", "(T | upper)", "(T | title)",
        "(T | e)", "(T | safe)", "(T | string)", "(T | replace(T, T))", "(T | trim)", "(T | trim(T))", "(T | reverse)",
        "(L | join)", "(L | join(T))", "(L | tojson)", "(L | tojson(indent=N))", "(L | first)", "(L | last)",
        "(L | max)", "(N | string)", "(T | default(T))", "(T).upper()", "(T).title()", "(T).casefold()",
        "(T).swapcase()", "(T).strip(T)", "(T).join(L)", "(T).replace(T, T)", "(T).replace(T, T, N)",
        "(T | escape).unescape()", "(T | safe).striptags()", "(T).zfill(N)", "(T).ljust(N)", "(T).format(T)",
        "(T % N)", "(N).hex()", "(L).__class__",
    ),
    "N": (
        "1", "-7", "2", "99999", "10**18", "9223372036854775807", "0xffffffffffffffff", "2.5", "1e308", "true", "n.w",
        "(N + N)", "(N - N)", "(N * N)", "(N / N)", "(N // N)", "(N % N)", "(N ** N)", "(-N)", "(N | abs)",
        "(T | int)", "(T | int(0, 16))", "('f' * N | int(0, 16))", "('9' * N | int)", "(T | float)", "(N | int)",
        "(N | round(N))", "(N | round(N, 'ceil'))", "(L | sum)", "(L | sum(start=N))", "(L | length)", "(T | length)",
        "(T).count(T)", "(T).find(T)", "(T).rfind(T)", "(L).count(T)", "(L).index(N)", "(N).bit_length()", "(L | min)",
        "(N).as_integer_ratio()[0]", "(N).to_bytes(N)",
    ),
    "L": (
        "a", "t", "d", "messages", "range(N)", "range(99999)", "range(10**18, 10**18 + 9999)", "[T, T]", "[L, L]",
        "(N, T)", "(L, L)", "{T: L}", "{N: T}", "(L + L)", "(L * N)", "([T] * N)", "L[N:N]", "L[::-1]", "(T | list)",
        "(L | list)", "(L | sort)", "(L | unique | list)", "(L | reverse | list)", "(L | map('upper') | list)",
        "(L | map('tojson') | list)", "(L | select('in', L) | list)", "(L | reject('eq', T) | list)",
        "(L | map(attribute='content') | list)", "(d | dictsort)", "(d | items | list)", "(T).split(T)", "(T).split()",
        "(T).rsplit(T)", "(T).splitlines()", "(T).partition(T)", "(T).rpartition(T)", "d.values()", "d.items()",
        "dict(x=L)", "(T).encode()", "(L).append(T)", "(L if B else L)",
    ),
    "B": (
        "(T == T)", "(L == L)", "(N < N)", "(T < T)", "(L != L)", "(T in T)", "(T in L)", "(N not in L)", "(L in L)",
        "(not B)", "(B and B)", "(B or B)", "(T is lower)", "(L is upper)", "(L is in(L))", "(T is eq(T))",
        "(N is odd)", "(N is divisibleby(N))", "(T is defined)", "(L is string)", "(T).startswith(T)",
        "cycler(T, L).next() == T", "(T is sameas(T))",
    ),
}  # fmt: skip
BEGIN = (
    "{% set s = 'a' * 999999 %}{% set w = 'é' * 99999 %}{% set a = range(9999) | list %}{% set d = {'x': a, s: w} %}"
    "{% set t = (a, s) %}{% set n = namespace(v=s, w=1) %}{% set i = 1 %}{% macro m(x) %}{{ x }}{{ x }}{% endmacro %}"
)


def expression(random: Random, kind: str, depth: int) -> str:
    """A random expression of a kind, of at most `depth` levels."""
    forms = FORMS[kind]
    leaves = [form for form in forms if not re.search("[TNLB]", form)] or ["true"]
    form = random.choice(forms if depth > 0 else leaves)
    return re.sub(r"\b[TNLB]\b", lambda part: expression(random, part[0], depth - 1), form)


def statement(random: Random, depth: int) -> str:
    """A random statement, of at most `depth` levels."""

    def inner() -> str:
        return "".join(statement(random, depth - 1) for _ in range(random.randrange(1, 4)))

    def value(kinds: str) -> str:
        return expression(random, random.choice(kinds), random.randrange(1, 4))

    match random.randrange(8) if depth > 0 else random.randrange(3):
        case 0:
            return f"{{{{ {value('TTTN')} }}}}"
        case 1 | 2:
            name, kinds = random.choice((("n.v", "TL"), ("n.w", "N"), ("s", "T"), ("a", "L"), ("t", "L")))
            return f"{{% set {name} = {value(kinds)} %}}"
        case 3 | 4 | 5:
            return f"{{% for i in {random.choice(('range(99999)', 'range(99)', value('L')))} %}}{inner()}{{% endfor %}}"
        case 6:
            return f"{{% if {value('B')} %}}{inner()}{{% else %}}{inner()}{{% endif %}}"
        case _:
            return f"{{% set s %}}{inner()}{{% endset %}}"


def random_template(seed: int) -> str:
    """A random template that works on what is large."""
    random = Random(seed)
    return BEGIN + "".join(statement(random, 3) for _ in range(random.randrange(2, 8)))


def cost(template: str) -> tuple[str, float, int]:
    """How a template ends, the seconds of the processor it takes, and by how many bytes the peak of memory grows."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        render(compiled(template), {"messages": TURNS, "bos_token": "<s>", "add_generation_prompt": True})
        end = "rendered"
    except FAILURES as error:
        end = f"{type(error).__name__}: {error}"[:200]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return end, time.process_time() - began, grown << 10


if __name__ == "__main__":
    if len(sys.argv) > 2:
        first, count = map(int, sys.argv[1:])
        templates = [random_template(seed) for seed in range(first, first + count)]
    else:
        templates = json.load(sys.stdin)
    baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    costs = [cost(template) for template in templates]
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - baseline
    json.dump({"costs": costs, "peak": peak}, sys.stdout)
