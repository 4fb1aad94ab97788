"""Layouts of facts and a question, and wordings of pairs of a letter and a digit."""

from .facts import ABOUT_THINGS
from .people_facts import ABOUT_PEOPLE

TOPICS = (*ABOUT_PEOPLE, *ABOUT_THINGS)

LAYOUTS = (
    "{facts} {question}",
    "{facts} {question}",
    "{facts}\n{question}",
    "{facts} (Question|Now|So|Tell me|Q): {question}",
    "{facts}\n(Question|Q): {question}",
    (
        "(Remember|Remember this|Please remember|Remember these facts|Keep in mind|Note|Listen|Learn this):"
        " {facts} {question}"
    ),
    "(Remember|Please remember|Keep in mind|Note|I tell you|I know|You know|You should know) that {facts} {question}",
    (
        "(Facts|Here are some facts|Here is what I know|What we know|Some facts|Information|Context|Given"
        "|Notes): {facts} {question}"
    ),
    "(Facts|Context|Given|Text|Notes): {facts}\n(Question|Q): {question}",
    "(Facts|Context|Given|Text|Notes): {facts} (Question|Q): {question}",
    "(Facts|Context|Text): {facts} (Question|Q): {question} (Answer|A):",
    "(Listen|Listen well|Read this|Look|Pay attention|Hear this). {facts} {question}",
    "I will tell you something. {facts} (Now tell me: |Now: |){question}",
    "(I have a question|A question|Answer a question|A riddle|A test|Test your memory). {facts} {question}",
    "(Read|Remember) and answer: {facts} {question}",
    "{question} {facts}",
    "{question}\n{facts}",
    "(Question|Q): {question} (Facts|Context|Text): {facts}",
    "(Answer this|Tell me|A question): {question} {facts}",
    "{question} (You know this|Here is what I know|The facts are|I can tell you this|Look here): {facts}",
    "If {facts} {question}",
    "Given that {facts} {question}",
)
PAIR_FORMS = (
    "{k}{v}",
    "{k}={v}",
    "{k}={v}",
    "{k} = {v}",
    "{k} is {v}",
    "{k}: {v}",
    "{k}:{v}",
    "{k} -> {v}",
    "{k} has {v}",
    "{k} equals {v}",
    "{k}-{v}",
    "letter {k} is {v}",
    "{k} stands for {v}",
)
PAIR_ASKS = (
    "what (is|was) {keys}",
    "what (are|were) {keys}",
    "(give me|tell me|say|recall|repeat|look up|find|write|return) {keys}",
    "which (number|digit) (has|belongs to|goes with) {keys}",
    "which (numbers|digits) (have|belong to|go with) {keys}",
    "(what is|tell me) the (value|digit|number) of {keys}",
    "what do you (remember|recall) (for|of|about) {keys}",
    "can you (remember|recall|tell me|say|repeat) {keys}",
    "what did I say (for|about) {keys}",
    "(please |now )(give me|tell me|recall) {keys}",
    "(now|so)(,|) what (is|was) {keys}",
    "I want to know {keys}",
    "do you still know {keys}",
    "what about {keys}",
    "how about {keys}",
)
PAIR_LAYOUTS = (
    "{pairs}. {question}",
    "{pairs}. {question}",
    "{pairs}\n{question}",
    "(remember|please remember|keep in mind|learn|note|memorize|store|save|let)(:|) {pairs}. {question}",
    "(remember this|remember these|here are some pairs|the pairs are|pairs|list|given|data): {pairs}. {question}",
    "(remember|keep in mind|note|assume|suppose) that {pairs}. {question}",
    "if {pairs}, {question}",
    "(question|q): {question} (pairs|list|data): {pairs}",
    "(pairs|list|data|facts): {pairs}. (question|q): {question}",
    "with {pairs}: {question}",
)
