"""The metrics of what is proved: audits, and lists whose records are acknowledged.

Knows: their rows.  Does not know: what else there is (`metric_table`, which has these too), how anything is
counted.
"""

from __future__ import annotations

from typing import Final

from resolver.observe import series
from resolver.observe.metric import counter, gauge, labelled

PROOF_METRICS: Final = (
    # Audits of this server by itself.
    gauge(
        "resolver_audit_uncovered_domains",
        "Domains that are in force and were found not to be blocked as they must be, as last audited.",
        lambda facts: facts.audit.findings["uncovered"],
    ),
    gauge(
        "resolver_audit_overblocked_domains",
        "Domains that were found to be blocked although nobody means it, as last audited.",
        lambda facts: facts.audit.findings["overblocked"],
    ),
    gauge(
        "resolver_audit_unproved_domains",
        "Domains that are in force and of which no answer came, as last audited.",
        lambda facts: facts.audit.findings["unknown"],
    ),
    labelled(
        "gauge",
        "resolver_audit_domains",
        "Domains by what the last audit of everything has proved.",
        "status",
        series.audited_domains,
    ),
    gauge(
        "resolver_audit_lists_behind",
        "Lists in force that are behind their registers, as last audited.",
        lambda facts: facts.audit.lags,
    ),
    gauge(
        "resolver_audit_last_success_timestamp_seconds",
        "When the last audit of everything ended; 0: never.",
        lambda facts: facts.audit.last_success,
    ),
    gauge(
        "resolver_audit_interval_seconds",
        "How often everything is to be audited; 0: never.",
        lambda facts: facts.audit.every_s,
    ),
    labelled(
        "counter",
        "resolver_audits_total",
        "Audits of this server by itself, by why and by result (failed: nothing was proved).",
        "cause result",
        series.audits,
    ),
    counter(
        "resolver_audit_queries_total",
        "Queries of audits, which stand in no other count of queries, answers and hits.",
        lambda facts: facts.tallies.audited,
    ),
    # Lists whose records are acknowledged.
    labelled(
        "counter",
        "resolver_acknowledged_batches_total",
        "Batches of records of this list whose command succeeded.",
        "list",
        series.acknowledged_batches,
    ),
    labelled(
        "counter",
        "resolver_acknowledge_failures_total",
        "Failed attempts to acknowledge records of this list, by reason.",
        "list reason",
        series.acknowledge_failures,
    ),
    labelled(
        "gauge",
        "resolver_acknowledge_pending_since_timestamp_seconds",
        "When the batch was made whose command has not succeeded yet; 0: there is none.",
        "list",
        series.acknowledge_pending,
    ),
    labelled(
        "gauge",
        "resolver_acknowledge_last_success_timestamp_seconds",
        "When a command of this list last succeeded; 0: never.",
        "list",
        series.acknowledge_ages,
    ),
    labelled(
        "gauge",
        "resolver_acknowledge_unproved_records",
        "Records of this list that are new and were not proved to be in force.",
        "list",
        series.acknowledge_unproved,
    ),
)
"""In the order in which a reader would want them."""
