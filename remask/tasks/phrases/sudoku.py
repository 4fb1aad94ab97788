"""Wordings of a 4x4 Sudoku, before or after its grid, and ways to write the grid."""

from ..wording import expanded

MACROS = {
    "do": "(||||please |can you |could you |can you please |could you please |would you |I want you to |help me |now )",
    "it": (
        "(this|this|the|my|the following|a|this little|this small|this easy|this 4x4|this 4 by 4|this 4x4|the next)"
        " (sudoku|sudoku|Sudoku|sudoku puzzle|puzzle|grid|board|sudoku grid)"
    ),
    "solve": "(solve|solve|solve|complete|finish|fill in|fill out|work out|crack|do|figure out)",
    "blanks": "(blanks|gaps|missing digits|missing numbers|empty cells|empty fields|holes|missing cells|rest)",
}
BEFORE = expanded(
    MACROS,
    "<do><solve> <it>:",
    "<do><solve> <it>:",
    "<do><solve> <it>.",
    "<do>solve <it> for me:",
    (
        "(sudoku|sudoku 4x4|4x4 sudoku|a sudoku|mini sudoku|sudoku puzzle|puzzle|grid|sudoku please|here is a"
        " sudoku|easy sudoku):"
    ),
    "solve:",
    "(complete|finish|solve it|fill it|please solve|please complete|solve please|can you solve this|can you do this):",
    "<do>(fill in|fill|find|complete|put in) the <blanks>:",
    "<do>(fill in|find|complete) the <blanks> (of|in) <it>:",
    "<do>find the <blanks>, with 1 to 4 once in each row, column and box:",
    "<do>fill the grid so that each row, column and box has 1, 2, 3 and 4:",
    "what is the solution of <it>:",
    "what is the (answer|solution):",
    "how (do you solve|would you solve|is this solved|do I solve) <it>:",
    "what does <it> look like when it is solved:",
    "solution (of|for|to):",
    (
        "I (have|got|need help with|am stuck on) <it>. (solve it|please solve it|can you solve it|help me|what"
        " is the solution):"
    ),
    (
        "(here is|this is) (a|my) (sudoku|puzzle|grid). (solve it|fill it in|complete it|please solve it|what is"
        " the solution):"
    ),
    "each row, column and box has 1 to 4. (solve|fill in|complete):",
    "(give me|show me|tell me|write) the (solution|solved grid|full grid|answer) (of|for|to) <it>:",
    "the sudoku is:",
    "(solve the 2x2 boxes|solve the rows and columns|use 1 to 4 once in every row, column and box):",
)
AFTER = expanded(
    MACROS,
    "<do>solve (this|it|this sudoku|the sudoku|that)",
    "<do>(complete|fill in|finish) (this|it|this sudoku|the grid)",
    "(what is the solution|what is the answer|how does it go on|can you solve it|can you solve this sudoku)",
    "(sudoku|solve|solve please|please solve|solution|complete|4x4 sudoku|this is a sudoku, solve it)",
    "<do>find the <blanks>",
    "<do>fill in the <blanks>",
    "this is a sudoku. (solve it|fill it in|what is the solution|find the missing digits)",
)
# What stands between rows, and between cells, with the share of the draws. The last has all cells in one run.
GRIDS = (
    ("\n", "", 6),
    (" ", "", 6),
    ("/", "", 3),
    (" / ", "", 2),
    ("\n", " ", 3),
    (", ", "", 2),
    (",", "", 1),
    (" | ", "", 1),
    ("|", "", 1),
    (";", "", 1),
    ("; ", " ", 1),
    (" / ", " ", 1),
    ("\n", "|", 1),
    ("\n", ",", 1),
    ("", "", 2),
)
BLANKS = (*"....", *"0000", "_", "_", "-", "x", "?", "*", "X")
