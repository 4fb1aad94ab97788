"""Write the golden of the shipped model: what the authors' generate.py makes of a few prompts on its weights.

    python -m tests.golden.make.shipped DIR     DIR: a checkout of github.com/ML-GSAI/LLaDA

Run it whenever remask/bundled/default changes; nothing else has to change with it.
"""

import argparse
from itertools import product
from pathlib import Path

import torch

from remask.checkpoint import inspect, locate
from tests.golden.make.golden import write
from tests.golden.make.llada import Case, runs
from tests.helpers.goldens import GOLDEN

PROMPTS = (
    "Who are you?",
    "Tell me a story about a cat.",
    "Sort 5380217.",
    "A farmer has 12 apples and buys 7 more. How many apples does he have now?",
)
CASES = (
    Case("32/32/32", 32, 32, 32),
    Case("32/8/8", 32, 8, 8),
    Case("64/32/32", 64, 32, 32),
    Case("32/16/16 cfg 1", 32, 16, 16, cfg_scale=1.0, attention_mask=True),  # without the mask their code crashes
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, metavar="DIR", help="a checkout of github.com/ML-GSAI/LLaDA")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    described = inspect(locate("bundled"))
    asked = (
        (case._replace(name=f"{case.name}: {prompt}"), [described.text.encode(described.text.chat(turns(prompt)))])
        for case, prompt in product(CASES, PROMPTS)
    )
    write(GOLDEN / "shipped.json", runs("bundled", described, arguments.checkout, asked))


def turns(prompt: str) -> list[dict[str, str]]:
    """A conversation of one question."""
    return [{"role": "user", "content": prompt}]


if __name__ == "__main__":
    main()
