"""Sudoku with exactly one solution, at 4x4, 6x6 and 9x9."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, reduce
from itertools import accumulate, permutations
from operator import and_
from random import Random
from typing import ClassVar

from .example import Example
from .phrases.sudoku import AFTER, BEFORE, BLANKS, GRIDS
from .wording import casual, frame, sentence

DIGITS = "123456789"
BLANK = "."
MOST_BLANKS = {(2, 2): 12, (2, 3): 26, (3, 3): 54}
"""For each box shape (rows, columns), the most blanks that random carving reaches within a few tries."""


@dataclass(frozen=True)
class Sudoku:
    """`Solve`, then the rows with `.` for a blank; the answer is the solved rows.

    The size is n = `box_rows` * `box_cols`. `blanks` bounds the number of blank cells, both ends included. A count is
    drawn uniformly from it, and cells are blanked in random order as long as the solution is the only one. If no more
    cells can be blanked, the puzzle keeps the count that it has, if that is within the bounds.

    Split key at 4x4: the solved grid. There are 288 grids, but only 12 up to a relabelling of the digits and 2 up to
    every symmetry, so that a split modulo symmetry is not possible at this size: the held-out grids are new as
    grids, and not as patterns. Above 4x4: the grid with its first row relabelled to 1, 2, 3, …, so that a held-out
    grid is new under every relabelling (39,168 such classes at 6x6).

    Raises ValueError for another box shape than 2x2, 2x3 and 3x3, or for `blanks` that carving does not reach.
    """

    box_rows: int
    box_cols: int
    blanks: tuple[int, int]

    rule: ClassVar[str] = "the output starts with a full grid that keeps the givens and breaks no Sudoku rule"

    def __post_init__(self) -> None:
        most = MOST_BLANKS.get((self.box_rows, self.box_cols))
        if most is None:
            raise ValueError(f"a box of {self.box_rows}x{self.box_cols} cells is not one of {sorted(MOST_BLANKS)}")
        if not 0 < self.blanks[0] <= self.blanks[1] <= most:
            raise ValueError(f"blanks={self.blanks} is not a range within 1 to {most}")

    @property
    def size(self) -> int:
        """The number of rows, of columns and of digits of the grid."""
        return self.box_rows * self.box_cols

    @property
    def name(self) -> str:
        return f"sudoku{self.size}"

    @property
    def description(self) -> str:
        return f"solve a {self.size}x{self.size} Sudoku with {self.blanks[0]} to {self.blanks[1]} blanks"

    @property
    def heldout_share(self) -> float:
        return 1 / 6 if self.size == 4 else 0.1

    def draw(self, rng: Random) -> Example:
        fewest, most = self.blanks
        blanks = 0
        while blanks < fewest:
            grid = rng.choice(_grids_4x4()) if self.size == 4 else self._random_grid(rng)
            puzzle, blanks = self._carve(rng, grid, rng.randint(fewest, most))
        return Example("Solve\n" + self._lines(puzzle), self._lines(grid), solution=self._canonical(grid))

    def passes(self, example: Example, output: str) -> bool:
        puzzle = "".join(example.prompt.split("\n")[1:])
        rows = [row.strip() for row in output.strip().split("\n")[: self.size]]
        grid = "".join(rows)
        return (
            [len(row) for row in rows] == [self.size] * self.size
            and all(given in (BLANK, digit) for given, digit in zip(puzzle, grid, strict=True))
            and all(set(house) == set(DIGITS[: self.size]) for house in self._houses(grid))
        )

    def _houses(self, grid: str) -> list[str]:
        """Return the digits of every row, column and box."""
        houses = [""] * (3 * self.size)
        for cell, digit in enumerate(grid):
            for house in _houses_of(self.box_rows, self.box_cols)[cell]:
                houses[house] += digit
        return houses

    def _lines(self, grid: str) -> str:
        return "\n".join(grid[start : start + self.size] for start in range(0, len(grid), self.size))

    def _canonical(self, grid: str) -> str:
        return grid if self.size == 4 else grid.translate(str.maketrans(grid[: self.size], DIGITS[: self.size]))

    def _random_grid(self, rng: Random) -> str:
        board = _Board(self.box_rows, self.box_cols, BLANK * self.size**2)
        board.fill(rng)
        return str(board)

    def _carve(self, rng: Random, grid: str, target: int) -> tuple[str, int]:
        """Blank up to `target` cells of `grid` such that it stays the only solution; return puzzle and count."""
        puzzle, blanks = list(grid), 0
        for cell in rng.sample(range(len(grid)), len(grid)):
            if blanks == target:
                break
            puzzle[cell] = BLANK
            if self._still_unique(puzzle, cell, grid[cell]):
                blanks += 1
            else:
                puzzle[cell] = grid[cell]
        return "".join(puzzle), blanks

    def _still_unique(self, puzzle: Sequence[str], cell: int, digit: str) -> bool:
        """Return True if a puzzle with one solution still has one after `digit` was blanked in `cell`."""
        if self.size == 4:
            agreeing = _grids_with()
            grids = reduce(and_, (agreeing[at][given] for at, given in enumerate(puzzle) if given != BLANK), -1)
            return grids & (grids - 1) == 0
        board = _Board(self.box_rows, self.box_cols, puzzle)
        others = [bit for bit in board.candidates(cell) if bit != 1 << DIGITS.index(digit)]
        return not any(_Board(self.box_rows, self.box_cols, puzzle).fill_with(cell, bit) for bit in others)


class _Board:
    """A backtracking solver on bit masks, most constrained cell first. A cell is the bit of its digit, or 0."""

    def __init__(self, box_rows: int, box_cols: int, puzzle: Sequence[str]) -> None:
        self.houses_of = _houses_of(box_rows, box_cols)
        self.size = box_rows * box_cols
        self.cells = [0] * len(puzzle)
        self.used = [0] * (3 * self.size)
        for cell, digit in enumerate(puzzle):
            if digit != BLANK:
                self._flip(cell, 1 << DIGITS.index(digit))

    def __str__(self) -> str:
        return "".join(DIGITS[bit.bit_length() - 1] if bit else BLANK for bit in self.cells)

    def candidates(self, cell: int) -> list[int]:
        """Return the bits of the digits that no house of `cell` has yet."""
        row, column, box = self.houses_of[cell]
        used = self.used[row] | self.used[column] | self.used[box]
        return [1 << digit for digit in range(self.size) if not used >> digit & 1]

    def fill_with(self, cell: int, bit: int) -> bool:
        """Put `bit` in the blank `cell`, then fill the rest; return True if there is a way."""
        self._flip(cell, bit)
        return self.fill()

    def fill(self, rng: Random | None = None) -> bool:
        """Fill the blanks, with digits in the order of `rng` or ascending; return False, unchanged, if none fits."""
        cell = self._most_constrained()
        if cell is None:
            return True
        bits = self.candidates(cell)
        if rng:
            rng.shuffle(bits)
        for bit in bits:
            self._flip(cell, bit)
            if self.fill(rng):
                return True
            self._flip(cell, bit)
        return False

    def _most_constrained(self) -> int | None:
        best, most = None, -1
        used = self.used
        for cell, (row, column, box) in enumerate(self.houses_of):
            if not self.cells[cell]:
                ruled_out = (used[row] | used[column] | used[box]).bit_count()
                if ruled_out > most:
                    best, most = cell, ruled_out
                    if most >= self.size - 1:
                        break
        return best

    def _flip(self, cell: int, bit: int) -> None:
        """Put `bit` in the blank `cell`, or take it out again."""
        self.cells[cell] ^= bit
        for house in self.houses_of[cell]:
            self.used[house] ^= bit


@cache
def _houses_of(box_rows: int, box_cols: int) -> tuple[tuple[int, int, int], ...]:
    """Return for every cell its row, column and box, as numbers below 3 * size."""
    size = box_rows * box_cols
    return tuple(
        (row, size + column, 2 * size + row // box_rows * box_rows + column // box_cols)
        for row in range(size)
        for column in range(size)
    )


@cache
def _grids_4x4() -> tuple[str, ...]:
    """Return the 288 solved grids."""
    rows = ["".join(row) for row in permutations(DIGITS[:4])]
    bands = [upper + lower for upper in rows for lower in rows if not set(upper[:2]) & set(lower[:2])]
    grids = (top + bottom for top in bands for bottom in bands)
    return tuple(grid for grid in grids if all(len(set(grid[column::4])) == 4 for column in range(4)))


@cache
def _grids_with() -> tuple[dict[str, int], ...]:
    """Return for every cell and digit the 4x4 grids that have it, as a bit set over `_grids_4x4`.

    A puzzle has exactly one solution iff the intersection of the sets of its givens has one bit.
    """
    grids = _grids_4x4()
    return tuple(
        {digit: sum(1 << number for number, grid in enumerate(grids) if grid[cell] == digit) for digit in DIGITS[:4]}
        for cell in range(16)
    )


@dataclass(frozen=True)
class RewordedSudoku:
    """A 4x4 Sudoku in any wording, on four lines or one: `please solve this sudoku: 12../.34./..../4..1`.

    The answer is the solved rows on four lines, as of `Sudoku`.

    Split key: the solved grid, as of `Sudoku`.
    """

    name: ClassVar[str] = "sudoku4"
    description: ClassVar[str] = "solve a 4x4 Sudoku that is written and asked for in any way"
    rule: ClassVar[str] = "the output starts with the rows of the only solution"
    heldout_share: ClassVar[float] = 1 / 6

    def draw(self, rng: Random) -> Example:
        drawn = SUDOKU.draw(rng)
        rows = drawn.prompt.split("\n")[1:]
        between_rows, between_cells, _ = rng.choices(GRIDS, cum_weights=GRID_WEIGHTS)[0]
        grid = between_rows.join([between_cells.join(row) for row in rows]).replace(BLANK, rng.choice(BLANKS))
        if rng.random() < 0.8:
            request = frame(rng, BEFORE)
            prompt = casual(rng, sentence(request)) + rng.choice("\n " if between_rows == "\n" else "  \n") + grid
        else:
            request = frame(rng, AFTER)
            prompt = grid + rng.choice("\n\n ") + casual(rng, sentence(request))
        return Example(prompt, drawn.answer, drawn.solution, frame=request)

    def passes(self, example: Example, output: str) -> bool:
        rows = [row.replace(" ", "") for row in output.strip().split("\n")[: SUDOKU.size]]
        return rows == example.answer.split("\n")


SUDOKU = Sudoku(2, 2, blanks=(4, 12))
GRID_WEIGHTS = tuple(accumulate(weight for _, _, weight in GRIDS))
