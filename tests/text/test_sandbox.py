"""Chat templates from a checkpoint: what they usually do is done, and what would do harm is contained."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from remask.errors import RequestError
from remask.text import sandbox
from remask.text.chat import LLADA_TEMPLATE
from remask.text.tokenizer import Text

ROOT = Path(__file__).parents[2]
TURNS = [{"role": "user", "content": " Hello! "}, {"role": "assistant", "content": "Hi."}]
DOUBLED = "{% set n = namespace(s=START) %}{% for i in range(60) %}{% set n.s = STEP %}{% endfor %}{{ n.s }}"
REPEATED = (
    "{% set a = range(99999) | list %}{% set b = range(99999) | list %}{% set s = 'a' * 999999 %}"
    "{% for i in range(99999) %}DO{% endfor %}"
)
NESTED = (
    "{% set n = namespace(s=(1,)) %}{% for i in range(99999) %}{% set n.s = (n.s,) %}{% endfor %}{{ {n.s: 1} | last }}"
)
LAST_TURN = (
    "{% set ns = namespace(last=-1) %}{% for m in messages[::-1] %}{% set at = messages | length - 1 - loop.index0 %}"
    "{% if ns.last < 0 and m.role == 'user' and not m.content.startswith('<tool>') %}{% set ns.last = at %}{% endif %}"
    "{% endfor %}{{ ns.last }}{{ messages[1].content.split('H')[-1].lstrip('\n') | trim }}"
)


def with_template(text: Text, template: str) -> Text:
    return Text(text.tokenizer, text.eos_id, text.mask_id, template, text.special, text.eot)


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ("{% for m in messages %}{{ m.role }}:{{ m['content'] | trim }};{% endfor %}", "user:Hello!;assistant:Hi.;"),
        ("{{ messages | length }}{{ messages[-1]['content'].upper() }}", "2HI."),
        ("{% for m in messages[::-1] if m.role == 'user' %}{{ loop.index ~ '/' ~ loop.length }}{% endfor %}", "1/1"),
        ("{{ bos_token + 'x' }}{{ missing }}", "<|startoftext|>x"),
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": " Hello! "}'),
        ("{{ 'a,b'.split(',') | join(' ') }}{{ 'aa' | replace('a', 'b') }}{{ ', '.join(['x', 'y']) }}", "a bbbx, y"),
        ("{% for m in messages %}{{ m.role }}{% break %}{% endfor %}", "user"),
        ("{% macro say(x) %}<{{ x }}>{% endmacro %}{{ say(3 * 'ab') }}{{ 7 // 2 + 2 ** 3 }}", "<ababab>11"),
        ("{%- set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "2"),
        (LAST_TURN, "0i."),
        (
            "{{ {'a': (1, 2)} == {'a': (1, 2)} }}{{ 2 in [1, 2] }}{{ 1.25 | round(1) }}{{ [1, 2] | sum }}",
            "TrueTrue1.23",
        ),
        ("{{ messages | selectattr('role', 'in', ['user']) | map(attribute='role') | join }}", "user"),
    ],
)
def test_what_templates_do_is_done(text: Text, template: str, rendered: str) -> None:
    assert with_template(text, template).chat(TURNS) == rendered


def test_long_conversations_are_rendered(text: Text) -> None:
    turns = [{"role": "user", "content": "x" * 900}] * 1000
    counted = "{% for m in messages %}{% if loop.index0 < messages | length %}{{ m.content }}{% endif %}{% endfor %}"
    for template in (LLADA_TEMPLATE, counted):
        assert with_template(text, template).chat(turns).count("x" * 900) == 1000
    with pytest.raises(RequestError, match="the conversation has 1000001 characters; the limit is 1000000"):
        text.chat([{"role": "user", "content": "x" * 1_000_001}])


HARMFUL = [
    "{{ ''.__class__.__mro__ }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ messages.append(1) }}",
    "{{ ''|attr('__class__') }}",
    "{% include 'config.json' %}",
    "{{ raise_exception('bad\nrole') }}",
    "{{ unknown.field }}",
    "{% for %}",
    "{% for i in range(10**9) %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "{% set r = range(99999) | list %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}",
    "{% set r = messages * 9999 %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% if range(99999) | sort %}{% endif %}{% endfor %}",
    "{% for i in range(99999) %}{% if range(99999) | map('abs') | sum %}{% endif %}{% endfor %}",
    "{% for i in range(999) recursive %}{{ loop(range(999)) }}{% endfor %}",
    "{% for i in range(99999) %}{% if range(99999) == range(99998) %}{% endif %}{% endfor %}",
    REPEATED.replace("DO", "{% if a == b %}{% endif %}"),
    REPEATED.replace("DO", "{% if -1 in a %}{% endif %}"),
    REPEATED.replace("DO", "{% if -1 is in(a) %}{% endif %}"),
    REPEATED.replace("DO", "{% if a.count(-1) %}{% endif %}"),
    REPEATED.replace("DO", "{% if loop.changed(a[1:], b[1:]) %}{% endif %}"),
    REPEATED.replace("DO", "{% set c = a[::-1] %}"),
    REPEATED.replace("DO", "{% set c = b | select('in', a) | list %}"),
    REPEATED.replace("DO", "{% set c = s[1:] %}"),
    REPEATED.replace("DO", "{% set c = s.rfind('b' + s[:-9]) %}"),
    REPEATED.replace("DO", "{% set c = s.strip('b' * 99998 + 'a') %}"),
    REPEATED.replace("DO", "{% set c = s | trim('b' * 99998 + 'a') %}"),
    "{{ [[1] * 999] * 999 | sum(start=[]) }}",
    "{{ 5 | round(-10000000000) }}",
    "{{ 1.5 | round(10000000000, 'ceil') }}",
    "{{ (1).to_bytes(10**10, 'big') | length }}",
    "{% set x %}{% for i in range(99999) %}" + "z" * 99_999 + "{% endfor %}{% endset %}",
    "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{{ 'a' * 10**10 }}",
    "{{ 10 ** 10 ** 10 }}",
    "{{ 'a' | center(10**10) }}",
    "{{ 'a'.ljust(10**10) }}",
    "{{ '%10000000000d' % 1 }}",
    "{{ '{:>10000000000}'.format(1) }}",
    "{{ ('a' * 9999) | replace('a', 'b' * 9999) }}",
    "{{ ('a' * 9999).replace('a', 'b' * 9999) }}",
    "{{ ('a' * 9999).join(range(99999)) }}",
    "{{ range(99999) | join('a' * 9999) }}",
    "{{ lipsum(n=10**6) }}",
    DOUBLED.replace("START", "'a'.encode()").replace("STEP", "n.s + n.s").replace("{{ n.s }}", "{{ n.s | length }}"),
    DOUBLED.replace("START", "(1,)").replace("STEP", "(n.s, n.s)").replace("{{ n.s }}", "{{ {n.s: 1}[n.s] }}"),
    NESTED,
    DOUBLED.replace("START", "'a'").replace("STEP", "n.s ~ n.s"),
    DOUBLED.replace("START", "'a'").replace("STEP", "n.s + n.s"),
    DOUBLED.replace("START", "[1]").replace("STEP", "n.s + n.s"),
    DOUBLED.replace("START", "[1]").replace("STEP", "[n.s, n.s]"),
    DOUBLED.replace("START", "[1]").replace("STEP", "[n.s, n.s]").replace("{{ n.s }}", "{{ n.s | tojson }}"),
]


BIG = "{% set s = 'a' * 999999 %}{% set a = range(99999) | list %}{% set n = namespace(v=(), x=7) %}"
TURN = BIG + "{% for i in range(99999) %}DO{% endfor %}"
HARMFUL += [
    "{% set a = ('f' * 900000) | int(0, 16) %}{% for i in range(10000) %}{% set c = a % (a // 3) %}{% endfor %}",
    "{% for i in range(60000) %}{% set x = 9 ** 99999 %}{% endfor %}",
    "{{ '9' * 4000 | int }}{{ ('9' * 4000) | int }}",
    "{{ ('9' * 999999) | float }}",
    "{% set a = 0x" + "f" * 60_000 + " %}{% for i in range(9999) %}{% set b = a // 7 %}{% endfor %}",
    "{{ 1e308 | int }}",
    "{{ (1e308).as_integer_ratio()[0] }}",
    "{{ ([10 ** 18] * 99) | sum }}",
    TURN.replace("DO", "{% set n.x = n.x * n.x %}"),
    TURN.replace("DO", "{% set n.x = -9 * n.x - n.x %}"),
    TURN.replace("DO", "{% set n.x = n.x + n.x %}"),
    TURN.replace("DO", "{% set n.v = n.v + (s[1:],) %}"),
    TURN.replace("DO", "{% set n.v = (n.v, s.split('a')) %}"),
    TURN.replace("DO", "{% set n.v = (n.v, s | list) %}"),
    TURN.replace("DO", "{% set n.v = (n.v, [s, s, s] | map('upper') | list) %}"),
    TURN.replace("DO", "{% set c = s is lower %}"),
    TURN.replace("DO", "{% set c = s.title() %}"),
    TURN.replace("DO", "{% set c = s.isalpha() and s.isalpha() %}"),
    TURN.replace("DO", "{% set c = {(s, s): 1}[s, s] %}"),
    BIG + "{% set t = dict(x=1) %}{% set k = (s, 1) * 9 %}" + "{% set c = t[k] %}" * 600,
    BIG + "{{ ([s] * 1000) | sort | length }}",
    BIG + "{{ ([s] * 1000) | unique | list | length }}",
    BIG + "{{ ([s] * 1000) | max | length }}",
    BIG + "{{ ({s: 1}.items() | list * 999) | sort | length }}",
    BIG + "{{ ([s] * 100000) is lower }}",
    BIG + "{{ ([s] * 1000) | string }}",
    BIG + "{{ ([s] * 100000) == ([s[1:]] * 100000) }}",
    BIG + "{{ a | map('string') | map('int', 0, 10) | map('tojson') | join(s) }}",
    BIG + "{{ s | replace('', 'ab') }}",
    BIG + "{% set q = '\"' * 999999 %}{{ q | e | e | e | length }}",
    BIG + "{% set q = '&' | safe %}{{ q.unescape() }}",
    "{% autoescape true %}{{ ('<' * 999999) ~ '&' }}{% endautoescape %}",
    "{{ '<b>' | escape | attr('striptags') }}",
    "{{ ('<b>' | escape).striptags() }}",
    "{{ 'a'.zfill(10**10) }}",
    "{{ 'a\t'.expandtabs(10**10) }}",
    "{{ 'a'.format_map({}) }}",
    "{{ 'a'.translate({97: 'b' * 99999}) }}",
    "{% block x %}{{ self.x() }}{{ self.x() }}{% endblock %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}"
    + "{% call m() %}" * 30 + "{% for i in range(99999) %}x{% endfor %}" + "{% endcall %}" * 30,
    "{{ a }}" * 9000,
    "{{ 1" + " + 1" * 15_000 + " }}",
    "{{ a" + " | upper" * 7_000 + " }}",
    "{{ a" + ".b" * 20_000 + " }}",
    "{{ [" * 9_000,
    "{{ " + "(" * 60_000,
    "{% if a %}" * 6_000,
    "{% if a %}" * 150 + "{% endif %}" * 150,
    "{% for a in b %}" * 90 + "{% endfor %}" * 90,
    "{{ [" + "1, " * 20_000 + "] }}",
    "a" * 70_000,
    "\ud800",
]  # fmt: skip


@pytest.mark.parametrize("template", HARMFUL, ids=range(len(HARMFUL)))
def test_templates_that_would_do_harm_are_contained(text: Text, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A smaller budget shows it too, and sooner; what REPEATED makes before its loop takes half of that."""
    monkeypatch.setattr(sandbox, "STEPS", 60_000)
    contained(text, template)


@pytest.mark.slow
@pytest.mark.parametrize("template", HARMFUL, ids=range(len(HARMFUL)))
def test_the_whole_budget_contains_them_too(text: Text, template: str) -> None:
    contained(text, template)


def contained(text: Text, template: str) -> None:
    with pytest.raises(RequestError, match="chat template failed on this conversation") as caught:
        with_template(text, template).chat(TURNS)
    assert "\n" not in str(caught.value)


def costs(arguments: tuple[int, ...], templates: list[str]) -> Any:
    """What templates cost in a process of their own: those given, or COUNT random ones from a SEED."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.helpers.templates", *map(str, arguments)]
    done = subprocess.run(
        command, input=json.dumps(templates), capture_output=True, text=True, check=True, timeout=3000, cwd=ROOT
    )
    return json.loads(done.stdout)


def cheap(measured: Any) -> None:
    assert max(seconds for _, seconds, _ in measured["costs"]) < 2  # of the processor, whatever else it does
    assert measured["peak"] < 200_000_000


@pytest.mark.skipif(sys.platform == "win32", reason="nothing measures memory there")
def test_hostile_templates_cost_little() -> None:
    assert len(HARMFUL) >= 70
    measured = costs((), HARMFUL)
    assert all(end != "rendered" for end, _, _ in measured["costs"])
    cheap(measured)


@pytest.mark.skipif(sys.platform == "win32", reason="nothing measures memory there")
@pytest.mark.parametrize(
    ("first", "count"),
    [(0, 200), *(pytest.param(seed, 1_000, marks=pytest.mark.slow) for seed in range(0, 10_000, 1_000))],
)
def test_random_templates_cost_little(first: int, count: int) -> None:
    measured = costs((first, count), [])
    assert len(measured["costs"]) == count
    cheap(measured)
