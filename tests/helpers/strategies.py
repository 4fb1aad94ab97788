"""What the property tests draw from: models that try to break the loop, recipes of every kind, and what is asked."""

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy, composite

from remask.decoding.blocks import Adaptive, Blocks, Whole
from remask.decoding.caches import CACHES, Cache, Delayed, Dual
from remask.decoding.canvas import Full, Lookahead
from remask.decoding.confidence import CONFIDENCES
from remask.decoding.history import HISTORIES, Credit, Forgetful
from remask.decoding.prior import PRIORS, Certain, Flat, Leftward, Prior
from remask.decoding.recipe import Guidance, Process, Recipe, Stop
from remask.decoding.revision import RCR, WINO, Edit, Never, ReMDM, Reviser
from remask.decoding.schedule import SCHEDULES
from remask.decoding.selection import (
    SELECTORS,
    Bernoulli,
    Dynamic,
    EntropyBound,
    Factor,
    Neighbour,
    Segment,
    Selector,
    Stable,
    Threshold,
    TopK,
)
from remask.testing import TOY, Hashed
from tests.helpers.fake_values import Malicious
from tests.helpers.jobs import Job

EOS, MASK = TOY.eos_ids[0], TOY.mask_id

models: SearchStrategy[Hashed] = st.builds(
    Hashed,
    seed=st.integers(0, 1000),
    peakedness=st.sampled_from([0.5, 2.0, 8.0]),
    tie_rate=st.sampled_from([0.0, 0.5, 1.0]),
    contract=st.sampled_from([TOY, replace(TOY, shift=1), replace(TOY, forbidden=(11, 12, 15))]),
)

processes: SearchStrategy[Process] = st.builds(
    Process,
    temperature=st.sampled_from([0.0, 0.7, 3.0]),
    top_k=st.sampled_from([None, 1, 3]),
    top_p=st.sampled_from([None, 0.5, 0.95]),
    suppress=st.sampled_from([(), (3,), (14,)]),
    logits_eos_inf=st.booleans(),
    confidence_eos_eot_inf=st.booleans(),
    compat=st.sampled_from(["intended", "llada"]),
    scores=st.sampled_from(["raw", "processed"]),
)
# Of each table every value with its own numbers, and some with unusual ones.
selectors: SearchStrategy[Selector] = st.sampled_from(
    [
        *(rule() for rule in SELECTORS.values()),
        *(TopK(), Threshold(0.3, strict=True), Threshold(0.0), Dynamic(0.5), Factor(9), EntropyBound(3)),
        *(Segment(0.9, 0.1), Neighbour(0.3, 0.1, 2), Stable(0.1, 1.0, 1, 3), Stable(steps=3)),
    ]
)
priors: SearchStrategy[Prior] = st.sampled_from(
    [*(kind() for kind in PRIORS.values()), Flat(), Leftward(100), Certain(0.01)]
)
histories: SearchStrategy[Forgetful | Credit] = st.sampled_from(
    [*(kind() for kind in HISTORIES.values()), Forgetful(), Credit(9, 1, 1, 2)]
)
revisers: SearchStrategy[Reviser] = st.one_of(
    st.just(Never()),
    st.builds(Edit, st.sampled_from([0.0, 0.5]), st.booleans(), st.sampled_from([0, 16])),
    st.builds(WINO, st.sampled_from([0.3, 0.9])),
    st.just(RCR()),
    st.builds(ReMDM, st.sampled_from([0.1, 1.0]), st.sampled_from(["cap", "rescale", "conf"])),
    st.builds(Malicious, st.booleans(), st.booleans(), st.booleans()),
)
caches: SearchStrategy[Cache] = st.sampled_from(
    [
        *(kind() for name, kind in CACHES.items() if name != "block_causal"),  # which needs a model with a grid
        *(Dual(every=1), Dual(every=3), Dual(vicinity=2), Dual(drift=0.5), Delayed(None), Delayed(4)),
    ]
)

templates: SearchStrategy[tuple[int | None, ...]] = (
    st.lists(st.one_of(st.none(), st.none(), st.integers(0, MASK)), min_size=2, max_size=14)
    .map(tuple)
    .filter(lambda template: None in template)
)


@composite
def recipes(draw: DrawFn, holes: int, revised: bool = True) -> Recipe:
    """Any recipe that fits so many holes; without revision if not `revised`."""
    length = draw(st.sampled_from([0, 1, 3, 8]))
    least = -(-holes // length) if length else 1
    adaptive = Adaptive(max(1, length), 8, 0.2, (2, 3))
    blocks = Blocks(length) if length and draw(st.booleans()) else draw(st.sampled_from([Whole(), adaptive]))
    confidence = draw(st.sampled_from(CONFIDENCES))
    revise = draw(revisers) if revised else Never()
    return Recipe(
        canvas=draw(st.sampled_from([Full(), Full(), Lookahead(), Lookahead(2)])),
        steps=draw(st.one_of(st.none(), st.integers(least, holes + 3))),
        blocks=blocks,
        schedule=draw(st.sampled_from(sorted(SCHEDULES))),
        guidance=Guidance(draw(st.sampled_from([0.0, 0.0, 1.5]))),
        process=draw(processes),
        history=draw(histories),
        confidence=confidence,
        prior=Flat() if confidence == "entropy" else draw(priors),
        select=Bernoulli() if isinstance(revise, ReMDM) else draw(selectors),
        revise=revise,
        cache=draw(caches),
        stop=Stop(draw(st.booleans())),
    )


@composite
def jobs(draw: DrawFn, revised: bool = True) -> Job:
    """A row: a template with the mask and the end-of-text among its given tokens, and any recipe."""
    template = draw(templates)
    recipe = draw(recipes(template.count(None), revised))
    stops = draw(st.sampled_from([(), (EOS,), (EOS, 13)]))
    return Job(template, recipe, draw(st.integers(0, 2**64)), stops, draw(st.sampled_from([0, 0, 2])))
