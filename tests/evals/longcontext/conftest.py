"""The commands in this process, and a tokenizer of the study's words."""

import pytest

from remask.tasks.haystack import WORDS
from remask.text.tokenizer import Text
from remask.training.tokenizer import build_words, wrap
from tests.cli.conftest import invoke, llm, load_once

__all__ = ["invoke", "llm", "load_once", "words"]


@pytest.fixture(scope="session")
def words() -> Text:
    """Every word of the study is one token."""
    return wrap(build_words(WORDS))
