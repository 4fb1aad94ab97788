"""Settled text: whatever ids come in whatever portions, the pieces are the text of all of them, and it costs O(L)."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from remask.text.settled import SettledText
from remask.text.tokenizer import Text

WORDS = ["the", "cat", "sat", "on", "a", "mat", "it"]


def words() -> Text:
    """A tokenizer of whole words, which joins them with spaces."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*WORDS, "[UNK]"])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return Text(tokenizer, eos_id=0, mask_id=0)


def pieces_of_words() -> Text:
    """A tokenizer whose ids hold the space before them (SentencePiece's ▁)."""
    tokens = ["<unk>", *(f"▁{word}" for word in WORDS), *"abcdefgh"]
    tokenizer = Tokenizer(models.Unigram([(token, -1.0) for token in tokens], 0))
    tokenizer.decoder = decoders.Metaspace()
    return Text(tokenizer, eos_id=0, mask_id=0)


def portions(ids: Sequence[int], cuts: Sequence[int]) -> Iterator[list[int]]:
    start = 0
    for cut in cuts:
        yield list(ids[start : start + cut])
        start += cut
    yield list(ids[start:])


def read(settled: SettledText, ids: Sequence[int], cuts: Sequence[int]) -> list[str]:
    pieces = [settled.read(part) for part in portions(ids, cuts)]
    return [*pieces, settled.read([], last=True)]


ids = st.lists(st.integers(0, 10**6), max_size=150)
cuts = st.lists(st.integers(0, 7), max_size=60)


@given(ids, cuts)
def test_the_pieces_add_up_to_the_text_of_all_ids(text: Text, ids: list[int], cuts: list[int]) -> None:
    """Any bytes in any order, special tokens too: also what never becomes a character."""
    ids = [i % text.size for i in ids]
    assert "".join(read(SettledText(text), ids, cuts)) == text.decode(ids)


@given(st.text(st.sampled_from("ab c\n.é日🎉"), max_size=80), cuts)
def test_no_piece_holds_half_a_character(text: Text, said: str, cuts: list[int]) -> None:
    pieces = read(SettledText(text), text.encode(said), cuts)
    assert "".join(pieces) == said and not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize("make", [words, pieces_of_words])
@given(ids=ids, cuts=cuts)
def test_spaces_between_words_are_those_of_the_whole_text(make: type, ids: list[int], cuts: list[int]) -> None:
    text: Text = make()
    ids = [i % text.size for i in ids]
    assert "".join(read(SettledText(text), ids, cuts)) == text.decode(ids)


@given(
    st.text(st.sampled_from("abc🎉"), max_size=60),
    st.lists(st.text(st.sampled_from("abc🎉"), min_size=1, max_size=3), min_size=1, max_size=3),
    cuts,
)
def test_the_text_ends_before_the_first_stop_string_and_so_do_its_ids(
    text: Text, said: str, stop: list[str], cuts: list[int]
) -> None:
    ids, settled = text.encode(said), SettledText(text, stop)
    out = "".join(read(settled, ids, cuts))
    places = [at for mark in stop if (at := said.find(mark)) >= 0]
    assert settled.ended == bool(places)
    assert out == (said[: min(places)] if places else said)
    if places:
        kept = text.decode(ids[: settled.kept])
        assert kept.rstrip("\ufffd").startswith(out) or out.startswith(kept.rstrip("\ufffd"))
        assert settled.kept == 0 or len(text.decode(ids[: settled.kept - 1]).rstrip("\ufffd")) < len(out)


@pytest.mark.parametrize("stop", [(), ("zzz",)])
def test_it_decodes_each_id_a_bounded_number_of_times(text: Text, stop: tuple[str, ...]) -> None:
    class Counting(Text):
        decoded = 0

        def decode(self, ids: Sequence[int], *, special: bool = False) -> str:
            type(self).decoded += len(ids)
            return super().decode(ids, special=special)

    counting = Counting(text.tokenizer, text.eos_id, text.mask_id)
    for ids in ([text.encode("a cat ")[0]] * 3000, text.encode("🎉")[:1] * 3000):  # words; bytes that are no character
        Counting.decoded = 0
        settled = SettledText(counting, stop)
        for i in ids:
            settled.read([i])
        assert Counting.decoded < 80 * len(ids)
