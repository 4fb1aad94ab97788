"""What happens in the middle of a short text."""

from .reading import Beat

MIDDLES = (
    Beat(
        (
            "{S} found a {colour} {thing} {spot}.",
            "{spot} {S} found a {colour} {thing}.",
            "suddenly {S} found a {colour} {thing} {spot}.",
        ),
        (
            ("what did {hero} find", "a {colour} {thing}"),
            ("where did {hero} find the {thing}", "{spot}"),
            ("what colour was the {thing}", "{colour}"),
            ("who found (the|a) {thing}", "{hero}"),
            ("what was {spot}", "a {colour} {thing}"),
            ("where was the {thing}", "{spot}"),
        ),
    ),
    Beat(
        ("{S} lost {his} {thing} {spot}.", "{spot} {S} lost {his} {thing}."),
        (
            ("what did {hero} lose", "{his} {thing}"),
            ("where did {hero} lose {his} {thing}", "{spot}"),
            ("who lost a {thing}", "{hero}"),
        ),
    ),
    Beat(
        ("{S} met {friend} {spot}.", "{spot} {S} met {friend}.", "then {S} met {friend} {spot}."),
        (
            ("who did {hero} meet", "{friend}"),
            ("where did {hero} meet {friend}", "{spot}"),
            ("who met {friend}", "{hero}"),
            ("whom did {hero} meet", "{friend}"),
        ),
    ),
    Beat(
        ("{S} bought {number} {goods}.", "at the shop {S} bought {number} {goods}.", "{S} paid for {number} {goods}."),
        (
            ("how many {goods} did {hero} buy", "{number}"),
            ("what did {hero} buy", "{number} {goods}"),
            ("who bought {goods}", "{hero}"),
            ("who bought the {goods}", "{hero}"),
        ),
    ),
    Beat(
        ("{S} ate {food} and drank {drink}.", "{S} drank {drink} and ate {food}."),
        (
            ("what did {hero} eat", "{food}"),
            ("what did {hero} drink", "{drink}"),
            ("who ate {food}", "{hero}"),
            ("who drank {drink}", "{hero}"),
        ),
    ),
    Beat(
        ("{friend} gave {him} a {size} {thing}.", "{friend} came and gave {him} a {size} {thing}."),
        (
            ("who gave {hero} (a|the) {thing}", "{friend}"),
            ("what did {friend} give to {hero}", "a {size} {thing}"),
            ("what did {hero} get from {friend}", "a {size} {thing}"),
        ),
    ),
    Beat(
        ("{S} saw {number} {animals} {spot}.", "{spot} {S} saw {number} {animals}."),
        (
            ("how many {animals} did {hero} see", "{number}"),
            ("what did {hero} see", "{number} {animals}"),
            ("where were the {animals}", "{spot}"),
            ("who saw the {animals}", "{hero}"),
            ("where did {hero} see the {animals}", "{spot}"),
        ),
    ),
    Beat(
        ("then it started to rain, so {S} ran to the {place}.", "because it rained, {S} ran to the {place}."),
        (("where did {hero} run", "to the {place}"), ("who ran to the {place}", "{hero}")),
    ),
    Beat(
        ("{S} was (sad|very sad) because {sad_why}.", "because {sad_why}, {S} was sad."),
        (
            ("why was {hero} sad", "because {sad_why}"),
            ("why did {hero} feel sad", "because {sad_why}"),
            ("who was sad", "{hero}"),
            ("how did {hero} feel", "sad"),
        ),
    ),
    Beat(
        ("{S} was (happy|very happy) because {glad_why}.", "because {glad_why}, {S} was happy."),
        (
            ("why was {hero} happy", "because {glad_why}"),
            ("why did {hero} feel happy", "because {glad_why}"),
            ("who was happy", "{hero}"),
            ("how did {hero} feel", "happy"),
        ),
    ),
    Beat(
        ("{S} was (afraid|scared) because {scared_why}.",),
        (
            ("why was {hero} (afraid|scared)", "because {scared_why}"),
            ("what was the reason for the fear", "{scared_why}"),
        ),
    ),
    Beat(
        ("{S} was tired because {tired_why}.", "because {tired_why}, {S} was tired."),
        (
            ("why was {hero} (tired|so tired)", "because {tired_why}"),
            ("who was tired", "{hero}"),
            ("how was {hero}", "tired"),
        ),
    ),
    Beat(
        ("{S} built {built} with {his} {relative}.", "with {his} {relative} {S} built {built}."),
        (
            ("what did {hero} build", "{built}"),
            ("who helped {hero} build {built}", "{his} {relative}"),
            ("who built {built}", "{hero}"),
            ("with whom did {hero} build {built}", "{his} {relative}"),
        ),
    ),
    Beat(
        ("{S} waited {minutes} minutes for {friend}.", "{S} had to wait {minutes} minutes for {friend}."),
        (
            ("who did {hero} wait for", "{friend}"),
            ("how long did {hero} wait", "{minutes} minutes"),
            ("how many minutes did {hero} wait", "{minutes}"),
            ("who waited for {friend}", "{hero}"),
        ),
    ),
    Beat(
        ("{S} read a book about {topic}.", "{S} listened to a story about {topic}.", "{S} told a story about {topic}."),
        (("what was the (book|story|text) about", "{topic}"), ("what was it about", "{topic}")),
    ),
    Beat(
        ("{S} drew a {colour} {animal}.", "{S} painted a {colour} {animal}."),
        (
            ("what did {hero} (draw|paint)", "a {colour} {animal}"),
            ("what colour was the {animal}", "{colour}"),
            ("which animal did {hero} (draw|paint)", "a {animal}"),
        ),
    ),
    Beat(
        ("{S} heard {noise} {spot}.", "suddenly {S} heard {noise} {spot}."),
        (
            ("what did {hero} hear", "{noise}"),
            ("who heard {noise}", "{hero}"),
            ("where did {hero} hear {noise}", "{spot}"),
        ),
    ),
    Beat(
        ("{S} helped {friend} to {chore}.", "{S} and {friend} had to {chore}."),
        (("who was with {hero}", "{friend}"), ("what did {hero} and {friend} do", "{chore}")),
    ),
    Beat(
        ("{S} helped {his} {relative} to {chore}.", "then {S} helped {his} {relative} to {chore}."),
        (
            ("who did {hero} help", "{his} {relative}"),
            ("what did {hero} help to do", "{chore}"),
            ("who helped to {chore}", "{hero}"),
        ),
    ),
    Beat(
        ("{S} opened a box. In the box was a {size} {thing}.", "{S} opened a box and saw a {size} {thing} in it."),
        (
            ("what was in the box", "a {size} {thing}"),
            ("who opened the box", "{hero}"),
            ("what did {hero} see in the box", "a {size} {thing}"),
        ),
    ),
    Beat(
        ("{S} fell and hurt {his} {part}.", "{S} hurt {his} {part} {spot}."),
        (
            ("what did {hero} hurt", "{his} {part}"),
            ("who hurt {his} {part}", "{hero}"),
            ("which part of the body did {hero} hurt", "{his} {part}"),
        ),
    ),
    Beat(
        ("{S} hid the {thing} {spot}.", "{S} put the {thing} {spot}.", "{S} left the {thing} {spot}."),
        (
            ("where did {hero} (put|leave|hide) the {thing}", "{spot}"),
            ("where (is|was) the {thing}", "{spot}"),
            ("what is {spot}", "the {thing}"),
        ),
    ),
    Beat(
        (
            "{S} played {game} with {friend}.",
            "{S} and {friend} played {game}.",
            "then {S} played {game} with {friend}.",
        ),
        (
            ("what did {hero} play", "{game}"),
            ("who played {game} with {hero}", "{friend}"),
            ("who did {hero} play with", "{friend}"),
            ("which game did they play", "{game}"),
        ),
    ),
    Beat(
        ("{S} made {made} for {friend}.", "for {friend} {S} made {made}."),
        (
            ("what did {hero} make", "{made}"),
            ("who got {made}", "{friend}"),
            ("for whom did {hero} make {made}", "{friend}"),
            ("who made {made}", "{hero}"),
        ),
    ),
    Beat(
        ("{S} sold the {thing} to {friend}.", "{friend} bought the {thing} of {hero}."),
        (("who bought the {thing}", "{friend}"), ("what did {friend} buy", "the {thing}")),
    ),
    Beat(
        ("a {colour} {animal} sat {spot}.", "{spot} sat a {colour} {animal}.", "there was a {colour} {animal} {spot}."),
        (
            ("what sat {spot}", "a {colour} {animal}"),
            ("what colour was the {animal}", "{colour}"),
            ("where was the {animal}", "{spot}"),
            ("which animal was {spot}", "a {animal}"),
            ("where did the {animal} sit", "{spot}"),
        ),
    ),
    Beat(
        ("{S} wrote a letter to {friend}.", "{S} sent a letter to {friend}."),
        (
            ("who got a letter", "{friend}"),
            ("who wrote a letter", "{hero}"),
            ("who did {hero} write to", "{friend}"),
            ("what did {hero} write", "a letter"),
        ),
    ),
    Beat(
        ("{S} dreamed of a {size} {animal}.", "at night {S} dreamed of a {size} {animal}."),
        (("what did {hero} dream of", "a {size} {animal}"), ("who dreamed of a {animal}", "{hero}")),
    ),
)
