"""The golden policy cases: an image, then names, answers and messages; any engine must agree with them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from resolver.policy.image import Image
from resolver.policy.table import PolicyTable
from resolver.wire.query import Query, parse_query
from scripts.make_policy_vectors import answer_fact, judgement_on, verdict_fact

Case = dict[str, Any]
PATH = Path(__file__).parent / "vectors" / "policy.yaml"


def policies() -> list[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: list[Case] = yaml.load(PATH.read_bytes(), loader)
    return [pytest.param(policy, id=policy["name"].replace(" ", "-")) for policy in loaded]


@pytest.mark.parametrize("policy", policies())
def test_a_policy_says_what_the_vector_says(policy: Case, tmp_path: Path) -> None:
    path = tmp_path / "vector.policy"
    path.write_bytes(base64.b64decode(policy["image"]))
    image = Image(path)
    image.verify()
    for facts in policy["tables"]:
        now = facts["monotonic"]
        table = PolicyTable(image, 1, facts["wall"], now)
        assert table.is_filtering is facts["is_filtering"]
        for fact in facts["names"] or ():
            qname = bytes.fromhex(fact["qname"])
            assert {"qname": fact["qname"], **verdict_fact(image, table.judge_name(qname, now))} == fact
        judgements = []
        for fact in facts["responses"] or ():
            verdict, judgement = judgement_on(table, fact, now)
            told = None if judgement is verdict else verdict_fact(image, judgement)
            assert told == fact["judgement"]
            judgements.append(judgement)
        for fact in facts["answers"] or ():
            query = parse_query(bytes.fromhex(fact["query"]))
            assert isinstance(query, Query)
            if "response" in fact:
                verdict = judgements[fact["response"]]
            else:
                verdict = table.judge_name(query.qname, now)
            assert answer_fact(table, query, verdict, fact, now) == fact["answer"]
