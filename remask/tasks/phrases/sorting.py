"""Wordings of sorting and reversing. `<do>`, `<up>`, … are written out by `expanded`."""

from ..wording import expanded, words

MACROS = {
    "do": "(||||please |can you |could you |can you please |could you please |would you |I want you to |kindly )",
    "me": "(||||| for me)",
    "these": "(these|these|the|the following|my|all these|those)",
    "sort": "(sort|sort|sort|order|arrange|rearrange|put in order|organise|organize|sort out)",
    "up": (
        "(from low to high|from small to large|from smallest to largest|from smallest to biggest|in ascending order"
        "|ascending|in increasing order|from least to greatest|smallest first|lowest first|from lowest to highest"
        "|going up|in rising order|with the smallest first|from the smallest to the largest|low to high|small to big"
        "|starting with the smallest|from little to big|upwards|small to large|from the lowest up|asc|so they go up)"
    ),
    "down": (
        "(from high to low|from large to small|from largest to smallest|from biggest to smallest|in descending order"
        "|descending|in decreasing order|from greatest to least|largest first|highest first|from highest to lowest"
        "|going down|in falling order|with the largest first|from the largest to the smallest|high to low|big to small"
        "|starting with the biggest|biggest first|downwards|large to small|from the highest down|desc|so they go down)"
    ),
    "az": (
        "(alphabetically|in alphabetical order|from a to z|a to z|in abc order|by the alphabet|in dictionary order"
        "|in order of the alphabet|as in a dictionary|by their first letters|so that they go from a to z)"
    ),
    "za": (
        "(from z to a|z to a|in reverse alphabetical order|in descending alphabetical order|reverse alphabetically"
        "|starting from the end of the alphabet|from the last letter of the alphabet to the first)"
    ),
    "back": "(backwards|backward|in reverse|reversed|in reverse order|back to front|from right to left)",
}

UP = expanded(
    MACROS,
    "<do>sort {items}<me>",
    "<do>sort {items} <up>",
    "<do>sort {items} <up><me>",
    "<do><sort> <these> {nouns}<me>: {items}",
    "<do><sort> <these> {nouns} <up>: {items}",
    "<do><sort> {items} <up>",
    (
        "<do>(put|place|set|get|write) {items} in (order|the right order|the correct order|ascending order"
        "|rising order)<me>"
    ),
    "<do>(put|place|write|list|line up) <these> {nouns} (in order|in the right order|<up>): {items}",
    "<do>(write|list|give|show|tell) (me |){items} <up>",
    "{items} <up>",
    "{items} sorted",
    "{items} in order",
    "{items}: <do>sort (these|them|it|this)",
    "{items}, sorted( please|)",
    "{items}. <do>sort (these|them) <up>",
    "{items}. (put|get|set) them in order",
    "(here are some|I have some|I have these|these are my|my|look at these) {nouns}: {items}. <do><sort> them( <up>|)",
    "I have the {nouns} {items}. <do>(sort|order|arrange) them",
    "what is {items} (in order|sorted|<up>)",
    "what are {items} (in order|when sorted|<up>)",
    "how (do|would|can) you (sort|order) {items}",
    "what (do you get|comes out|is the result) (when you|if you|if i) sort {items}",
    "(sort|order|sorted|sorting|arrange|ordered|sort it|sort them|to sort|sort list|sort this list): {items}",
    "sort [{items}]",
    "I need {items} <up>",
    "I need (these|the) {nouns} (sorted|in order|<up>): {items}",
    "(sort|order) (this|the|my) (list|row|sequence|line) (of {nouns} |)(<up>|): {items}",
    "which order do {items} go in",
    "in what order do (these|the) {nouns} go: {items}",
    "start with the smallest( one|): {items}",
    "(smallest|lowest|smallest number) first: {items}",
    "make {items} go <up>",
    "help me (sort|order) (these {nouns}: |){items}",
    (
        "(these|the) {nouns} are (mixed up|in a mess|in the wrong order|not in order): {items}. (sort them|fix"
        " it|put them right)"
    ),
    "tidy up <these> {nouns}: {items}",
    "count up through <these> {nouns}: {items}",
)
DOWN = expanded(
    MACROS,
    "<do>sort {items} <down>",
    "<do>sort {items} <down><me>",
    "<do><sort> {items} <down>",
    "<do><sort> <these> {nouns} <down>: {items}",
    "<do><sort> <these> {nouns}: {items}(,|;|.| but) <down>",
    "<do>(put|place|write|set|get) {items} (in descending order|in falling order|<down>)<me>",
    "<do>(put|place|write|list|line up) <these> {nouns} <down>: {items}",
    "<do>(write|list|give|show|tell) (me |){items} <down>",
    "{items} <down>",
    "{items} sorted <down>",
    "{items}: <do>sort (these|them|it|this) <down>",
    "{items}. <do>(sort|order|arrange) (these|them) <down>",
    "(here are some|I have some|I have these|these are my|my|look at these) {nouns}: {items}. <do><sort> them <down>",
    "I have the {nouns} {items}. <do>(sort|order|arrange) them <down>",
    "what is {items} (sorted |)<down>",
    "what are {items} <down>",
    "how (do|would|can) you (sort|order) {items} <down>",
    "what (do you get|comes out|is the result) (when you|if you|if i) sort {items} <down>",
    "(sort|order|sorted|arrange|ordered|sort it|sort them) <down>: {items}",
    "sort [{items}] <down>",
    "I need {items} <down>",
    "I need (these|the) {nouns} (sorted |)<down>: {items}",
    "(sort|order) (this|the|my) (list|row|sequence|line) (of {nouns} |)<down>: {items}",
    "start with the (biggest|largest|highest)( one|): {items}",
    "(biggest|largest|highest|largest number) first: {items}",
    "make {items} go <down>",
    "help me (sort|order) (these {nouns} |){items} <down>",
    "count down through <these> {nouns}: {items}",
    "reverse sort {items}",
    "{items}, (biggest|largest|highest) first( please|)",
)
GLUED_UP = expanded(
    MACROS,
    "<do>sort {items}<me>",
    "<do>sort {items} <up>",
    "<do><sort> the digits (of|in) {items}( <up>|)<me>",
    "<do><sort> the (number|digits|numbers|figures) {items}",
    "<do>put {items} in order<me>",
    "<do>put the digits (of|in) {items} in (order|the right order|ascending order)",
    "{items} (sorted|in order|<up>)",
    "{items}: sort the digits",
    "what is {items} (sorted|in order|with its digits sorted|with its digits in order)",
    "what are the digits of {items} (in order|<up>)",
    "(sort|order|sort digits|digits in order|sort the digits|sort these digits): {items}",
    "write the digits of {items} <up>",
    "(take|here is) the number {items}(. sort|, and sort) its digits",
    "sort the digits( <up>|): {items}",
    "my (number|code|pin) is {items}. sort its digits",
    "how does {items} look( when it is|) sorted",
)
GLUED_DOWN = expanded(
    MACROS,
    "<do>sort {items} <down><me>",
    "<do><sort> the digits (of|in) {items} <down><me>",
    "<do><sort> the (number|digits|numbers|figures) {items} <down>",
    "<do>put {items} in (descending|decreasing|falling) order<me>",
    "<do>put the digits (of|in) {items} (in descending order|<down>)",
    "{items} (sorted |)<down>",
    "{items}: sort the digits <down>",
    "what is {items} sorted <down>",
    "what are the digits of {items} <down>",
    "(sort|order|sort digits|sort the digits|sort these digits) <down>: {items}",
    "write the digits of {items} <down>",
    "(take|here is) the number {items}(. sort|, and sort) its digits <down>",
    "the (largest|biggest) number that you can make from the digits (of |){items}",
    "my (number|code|pin) is {items}. sort its digits <down>",
    "reverse sort {items}",
)
BACK = expanded(  # of digits, glued or not, and of lists with commas
    MACROS,
    "<do>reverse {items}<me>",
    "<do>reverse {items}<me>",
    "{items} <back>",
    "{items} <back> please",
    "{items}, but <back>",
    "{items}: reverse (it|this|that|them)",
    "<do>(write|say|read|give me|show me|tell me|type|spell|repeat|copy) {items} <back><me>",
    "what is {items} <back>",
    "what (is|would be) the reverse of {items}",
    "what (do you get|comes out|is the result) (when you|if you|if i) reverse {items}",
    "<do>(flip|turn around|turn over|mirror|invert|swap round) {items}",
    "<do>(turn|flip) {items} (around|round|back to front)",
    "(reverse|reversed|backwards|in reverse|flip|write backwards|the other way round|mirror): {items}",
    "{items} the other way (round|around)",
    "how (do you write|would you write|does one write|do I write) {items} <back>",
    "start at the end of {items} and go back to the start",
    "write {items} from (the last to the first|the end to the beginning|the end)",
    "I want {items} <back>",
    "the reverse of {items}( is what|)",
    "read {items} from right to left",
)
BACK_LIST = expanded(
    MACROS,
    "<do>reverse (the|this|my|the following) (list|sequence|row|line|series): {items}",
    "<do>reverse the order of <these> {nouns}: {items}",
    "<do>reverse <these> {nouns}: {items}",
    "<do>reverse the {nouns}: {items}",
    (
        "<do>(write|list|say|give me|repeat) <these> {nouns} (in reverse order|in reverse|in the opposite order"
        "|from last to first): {items}"
    ),
    "<do>(flip|turn around|swap) the order( of (these|the) {nouns}|): {items}",
    "list in reverse( order|): {items}",
    "(last one first|last to first|from the last to the first|from the end to the start): {items}",
    (
        "here are some {nouns}: {items}. <do>(reverse (them|the list)|write them in reverse order|list them from"
        " last to first)"
    ),
    "what is this list in reverse( order|): {items}",
    "the (list|{nouns}) {items} in reverse order",
    "reverse [{items}]",
    "(these {nouns}|this list) in reverse order( please|): {items}",
    "say the last of (these|the) {nouns} first, and so on: {items}",
)
WORDS_UP = expanded(
    MACROS,
    "<do>sort <these> {nouns}<me>: {items}",
    "<do><sort> <these> {nouns} <az><me>: {items}",
    "<do>sort {items} <az>",
    "<do>(put|place|write|list|get) {items} <az><me>",
    "<do>(put|write|list) <these> {nouns} <az>: {items}",
    "{items} <az>",
    "{items}: sort (these|them) <az>",
    "{items}. <do>(sort|order|arrange|put) them <az>",
    "(here are some|i have some|look at these|my) {nouns}: {items}. <do>(sort|order|arrange) them( <az>|)",
    "alphabetize( <these> {nouns}|): {items}",
    "<do>alphabetize {items}",
    "(alphabetical order|sort alphabetically|sort by letter|sort words|sort|order|a to z|abc order): {items}",
    "what is the alphabetical order of {items}",
    "what order do (these|the) {nouns} have in a dictionary: {items}",
    "in what order are {items} in a dictionary",
    "how (do|would) you (sort|order) {items} <az>",
    "sort [{items}]",
    "(sort|order) (this|the|my) list( of {nouns}|)( <az>|): {items}",
    "what are {items} <az>",
    "I need (these|my|the) {nouns} <az>: {items}",
    "help me (sort|order) (these {nouns}: |){items}",
)
WORDS_DOWN = expanded(
    MACROS,
    "<do><sort> <these> {nouns} <za><me>: {items}",
    "<do>sort {items} <za>",
    "<do>(put|write|list) <these> {nouns} <za>: {items}",
    "{items} <za>",
    "{items}: sort (these|them) <za>",
    "{items}. <do>(sort|order|arrange) them <za>",
    "here are some {nouns}: {items}. <do>(sort|order|arrange) them <za>",
    "(sort|order) <za>: {items}",
    "(sort|order) (this|the|my) list( of {nouns}|) <za>: {items}",
    "how (do|would) you (sort|order) {items} <za>",
)
WORDS_BACK = expanded(  # the words of a sentence
    MACROS,
    "<do>reverse the (words|word order|order of the words)<me>: {items}",
    (
        "<do>reverse the (words|word order|order of the words) (in|of) (the sentence|this sentence|this|the"
        " line)( below|): {items}"
    ),
    '<do>reverse the (words|order of the words) (in|of) "{items}"',
    (
        "<do>(write|say|read|put) the words (in reverse order|backwards|in reverse|from last to first|in the"
        " opposite order): {items}"
    ),
    '<do>(write|say|read) the words of "{items}" (in reverse order|backwards|in reverse|from last to first)',
    "(last word first|words in reverse|words backwards|reverse words|reverse word order|reverse the words): {items}",
    '"{items}" with the words (in reverse order|reversed|from last to first)',
    "start with the last word( and go back|): {items}",
    "{items} - reverse the (words|word order)",
    "what is this with the words (reversed|in reverse order): {items}",
    "turn the words (around|round): {items}",
    "flip the (order of the |)words: {items}",
    "swap the words so that the last comes first: {items}",
)
SPELL = expanded(
    MACROS,
    "<do>spell {items} (backwards|backward|in reverse|from the end)<me>",
    "<do>(write|say|type|read) {items} (backwards|backward|in reverse)<me>",
    "<do>(write|say|type|spell|read) the word {items} (backwards|in reverse|from right to left)",
    "<do>reverse (the word |the letters of |the letters in |){items}",
    "{items} (backwards|spelled backwards|spelt backwards|in reverse|reversed|from right to left|back to front)",
    "what is {items} (spelled |spelt |written |)backwards",
    "what is the word {items} (spelled |spelt |)backwards",
    "what do you get (when|if) you (spell|write|read) {items} backwards",
    "how do you (spell|write) {items} backwards",
    "(backwards|spell backwards|reverse the word|reverse|reverse the letters|reversed word|mirror word): {items}",
    "<do>reverse (this|the) word: {items}",
    "<do>(flip|turn around) the (word|letters of) {items}",
    "the letters of {items} in reverse( order|)",
    'spell "{items}" backwards',
    "{items}, but backwards",
    "take the word {items} and (write|spell) it backwards",
)
WORDS = words(
    """
    able acorn age air animal ant apple arm army art autumn baby back bag ball band bank barn bat bath bay beach bean
    bear bed bee bell belt bench bike bird blue boat body bone book boot bottle bow bowl box boy brain branch brass
    bread brick bridge broom brush bucket bus bush butter button cabin cage cake camel camp candle cap car card carpet
    cart castle cat cave chair chalk cheese cherry chest chick child church circle city class clay cliff clock cloud
    coal coast coat coin comb cook copper corn cotton couch cousin cow crab cream crow crown cup curtain dance dark
    dawn day deer desk dinner dish doctor dog doll donkey door dragon dream dress drink drum duck dust eagle ear earth
    egg engine evening eye face family farm father feast feather fence field fig finger fire fish flag flame floor
    flour flower fly foot forest fork fox friend frog fruit game garden gate ghost giant gift giraffe girl glass glove
    goat gold goose grape grass green grey guitar hair hall hammer hand harbour hat heart hen hill holiday honey hook
    horse house hut ice idea ink iron island jacket jam jar juice jungle kettle key king kite kitten knee knife ladder
    lake lamb lamp land leaf lemon letter light lion lip log lunch magic man map market mat meal meat melon milk mill
    mirror money monkey moon morning moss mother mountain mouse mouth music nail name neck needle nest net night nose
    nurse nut oak ocean oil onion orange oven owl paint palace pan paper park party path peach pear pen pencil people
    pepper piano picnic picture pig pillow pilot pine pirate planet plate plum pocket poem pond pony pool potato prince
    puppy purple queen question quiet rabbit rain red ribbon rice ring river road robin rock roof room root rope rose
    ruler sail salad salt sand school sea seat seed shadow shark sheep shell ship shirt shoe shop shoulder silver sister
    skin sky sleep smile smoke snail snake snow soap sock sofa song soup spider spoon spring squirrel stable star
    station stone storm story street string sugar summer sun swan sweet swing table tail tea teacher tent tiger time
    toast tomato tooth towel tower town toy train tree truck tulip tunnel turtle uncle valley village violin voice wagon
    wall watch water wave whale wheel white wind window wing winter wolf woman wood wool worm yellow yogurt zebra
    """
)
CLAUSES = (
    "(the|a|my|our|one|that) {noun} {verb}",
    "(the|a|my|our|this) {adjective} {noun} {verb}",
    "(the|a|my|your) {noun} {verb} (on|under|near|behind) (the|a|my) {place}",
    "(we|they|you|i) {verb} (near|behind|by|in) the {place}",
    "(the|my|that) {adjective} {noun} {verb} (in|by) the {place}",
    "(we|they|i) saw (a|the) {adjective} {noun}",
    "(tom|anna|he|she) has a {adjective} {noun}",
    "{adjective} {noun} in the {place}",
)
CLAUSE_WORDS = {
    "noun": words("cat dog bird fox boy girl man horse duck king bear mouse cow hen frog lion baby friend sister owl"),
    "verb": words("sat ran slept sang jumped fell waited played danced hid stood ate smiled stopped walked cried"),
    "adjective": words("big small red old young happy sad black white brown quick tired funny quiet little brave"),
    "place": words("house tree river table garden road wall hill lake bridge door park forest boat barn"),
}
