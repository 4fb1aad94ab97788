"""Write docs/options.md from the table in remask/options.py.

python scripts/options_page.py
"""

from pathlib import Path

from remask.cli.options import flag
from remask.options import Field, as_text
from remask.validation import in_words

PAGE = Path(__file__).parents[1] / "docs" / "options.md"
HEAD = """# Options

What a call may ask for. Each option is declared once, in [`remask/options.py`](../remask/options.py): a keyword of
`LLM.generate`, `stream`, `submit`, `samples`, `infill` and their async twins, a flag of the command line, and a setting
of `remask chat` (`/set NAME VALUE`). This page is made from that table by `scripts/options_page.py`.

```python
llm.generate("Sort 5380217.", recipe="dream", steps=16, set={"cache": "dual"})
```
```sh
remask run "Sort 5380217." --recipe dream --steps 16 --set cache=dual
```

An option that is left out, or None, has the checkpoint's own default, else its authors'. `recipe` is a base: the name
of a recipe, a TOML file, `llada+cache=dual`, or in Python a `Recipe`. The options that have a place in it change it,
and `set` comes last. With a recipe, the checkpoint's own defaults do not hold. What is unknown, of another type or out
of bounds is refused in one line, and nothing is decoded.

What holds for every command is stated once, in a file remask.toml in the current folder or in the user's own
(`remask config` names both, and shows which values hold and who states them), or in the environment:

```toml
model = "GSAI-ML/LLaDA-8B-Instruct"  # REMASK_MODEL
recipe = "fast"                      # REMASK_RECIPE; a name, or a TOML file beside this one
device = "cuda"                      # REMASK_DEVICE
dtype = "bfloat16"                   # REMASK_DTYPE
threads = 4                          # REMASK_THREADS
```

A flag comes before a variable, that before the file in the current folder, that before the user's own. Unknown keys are
refused; the library reads none of this. `remask --install-completion` has the shell complete models, recipes, tasks and
flags.

Two remarks on stderr stand beside an answer that deserves them: that it is empty, and that "the model is unsure", where
the probabilities that its tokens had when they were decided are below one half on average.

"""
COLUMNS = ("option", "value", "what it says", "flag", "place in the recipe")


def row(name: str, field: Field) -> tuple[str, ...]:
    option = field.option
    flags = f"`{flag(name)}`" + (f", `{option.short}`" if option.short else "") if option.flag else ""
    choice = f" ({option.by})" if option.by else ""
    return f"`{name}`", in_words(field.kind), option.help, flags, f"`{option.path}`{choice}" if option.path else ""


def page() -> str:
    """The page as it should be."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(row(name, field) for name, field in as_text().items())]
    return HEAD + "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
