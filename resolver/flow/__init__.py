"""The request flow: what becomes of a query, from its octets to its answer.

`service` knows the order of the steps; the others are the steps.  Mirror of `native/core/src/flow`.
"""
