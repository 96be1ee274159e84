"""The golden policy cases: an image, then names, answers and messages; any engine must agree with them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.engines import Engine
from tests.support.for_each import for_each

Case = dict[str, Any]
PATH = Path(__file__).parents[1] / "vectors" / "policy.yaml"


def policies() -> list[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: list[Case] = yaml.load(PATH.read_bytes(), loader)
    return [pytest.param(policy, id=policy["name"].replace(" ", "-")) for policy in loaded]


@for_each("policy", policies())
def test_a_policy_says_what_the_vector_says(policy: Case, engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "vector.policy"
    path.write_bytes(base64.b64decode(policy["image"]))
    for facts in policy["tables"]:
        table = engine.table(path, facts["wall"], facts["monotonic"], facts["group"])
        assert table.is_filtering is facts["is_filtering"]
        for fact in facts["names"] or ():
            qname = bytes.fromhex(fact["qname"])
            told = {"qname": fact["qname"], **table.verdict(qname)}
            assert told == table.expected(fact, qname)
        for fact in facts["responses"] or ():
            wanted = fact["judgement"]
            if wanted is not None:
                wanted = table.expected(wanted, bytes.fromhex(fact["qname"]))
            assert table.judgement(fact) == wanted
        for fact in facts["answers"] or ():
            response = facts["responses"][fact["response"]] if "response" in fact else None
            assert table.answer(fact, response) == fact["answer"]
