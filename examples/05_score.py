"""How likely is an answer? A Monte-Carlo lower bound of ln p(answer | prompt), with its standard error."""

import remask

llm = remask.load()
for answer in ("1235", "5321"):
    found = llm.score("Sort 3125.", answer, samples=64)
    print(f"ln p({answer!r}) ≥ {found.log_likelihood:.2f} ± {found.standard_error:.2f} nats")
