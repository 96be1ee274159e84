"""Words that say little: what names of exchanges are built of, and what is put around a name to imitate it.

Knows: the words.  Does not know: who is listed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

TEXT_CHARS_MAX: Final = 40
"""Longer texts are not taken apart: that costs their length times that of the longest word."""

MONEY_WORDS: Final = frozenset(
    """
        ada airdrop airdrops altcoin asset assets bank banking bet bit bitcoin bitcoins bits block
        blockchain bnb bonus broker btc bull bullish buy capital card cards cash chain change claim claims
        coin coins crypto cryptos currency defi dex doge drop earn eth ether ethereum event events ex
        exchange exchanges finance financial fund funds future futures gift gifts give giveaway giveaways
        gold ico income invest investment investments invests launchpad lite market markets mine miner
        miners mining mint money nft node options otc p2p pay payment payments pool presale prize profit
        profits promo promotion reward rewards sale sell share shares signal signals stake staking stock
        stocks swap token tokens trade trader traders trades trading tron trx usdt vault wallet wallets
        web3 xlm xrp
    """.split()  # noqa: SIM905 - a list of words is read more easily than one of quotes.
)
"""Of money and of what is traded: beside a name they say that the exchange is meant."""

DOOR_WORDS: Final = frozenset(
    """
        access account accounts activate activation admin alert app appeal apps auth authenticate backup
        billing center centre check client cn com confirm confirmation connect contact control customer cz
        dashboard desk device email fix form help helpdesk home id identity info kyc limit live locked log
        login logon mail manage member mobile my net notice official online org panel password portal pro
        protect recover recovery refund register reset restore review safe safety sec secure secured
        securely security service services session sign signin signup site sso start status support
        supports svc system team ticket unlock update upgrade user users validate validation verifica
        verification verified verify verifying web webapp website withdraw withdrawal www zendesk
    """.split()  # noqa: SIM905
)
"""Of doors, and of those who guard them."""

PLAIN_WORDS: Final = frozenset(
    """
        about academy active africa ai all america api art asia au auto be best beta big blog book br
        brasil business ca cdn center china city click club co code company copy corp data de deal deals
        demo dev digital direct dot download eu europe express fast file files find first forum foundation
        fr free fun game games get global go good great group guide guru hk host hub ie in inc india io it
        jobs join jp kids kr labs land learn link list local ltd magazine max me media medium meet mini
        more network new news next now number one open page pages partner partners people plus point post
        power press prime private program programs project public quick rank real review reviews ru school
        sg shop simple smart social space sports star store studio super tech technology test time tips
        today tool tools top tour town tr try tube tv uk univers universe us usa viet vietnam vip watch
        way win word works world x xyz zone
    """.split()  # noqa: SIM905
)
"""Of everything: beside a name they say nothing."""

COMMON_NAMES: Final = frozenset(
    """
        alpha amber apex april arena aster atlas atom aurora avalanche backpack badger balance bamboo
        banana beacon bear bison blue bounce bridge bubble camelot canvas castle catalyst circle clipper
        cloud coral core cosmos crown curve decent decrypt delta derive diamond dragon drift eagle echo
        eclipse edge element ember emerald endor energy equilibrium everest evolve explorer extended
        falcon fire firestarter flame flex flow flux force forge fox frontier fuel fusion galaxy gamma
        garden gate gateway gem gemini genesis giant glacier globe grail grand graph gravity hawk helix
        hibachi hive horizon hydra ice icon impact infinity iron island jade jet jungle jupiter keystone
        king knight kuna lark laser legacy lemon level liberty light lighter lightning lion liquid loop
        lotus lucky lumen luna lunar magic magma maker mango maple marine mars matrix mercury meridian
        mesa meta metal meteor mint mirror moon mountain nado nebula neon newton nexo nexus noble noones
        nova novel oasis ocean olympus omega omni onyx opal optimus orange orbit orca orchid orderly
        origin orion osmosis owl oxygen pacific pacifica palm panda panther paragon peak pearl pegasus
        phantom phoenix pilot pioneer pixel planet platinum plutus polar polaris portal prism prosper
        pulse pump pyramid quantum quest quick rabbit radar radiant rain rainbow ramp ranger raven ripio
        river rocket royal ruby sage sail salt saturn scout seed shield shift sierra silver simplex sky
        snow solar solid sonic spark spectrum spider spirit spot spring stable star stellar stone storm
        stream summit sun surf swan swift sydney synergy tango target temple theory thunder tide tiger
        titan torch tower trident trinity trust tulip turbo twin ultra unicorn union unity uphold vega
        velocity venus vertex victory violet vision vista viva vortex voyager wave waves wealth whale wind
        wing wintermute wolf wonder zaif zen zenith zephyr zero zonda
    """.split()  # noqa: SIM905
)
"""Names that many have given to many things: who bears one is not meant by most who write it."""

WORDS: Final = MONEY_WORDS | DOOR_WORDS | PLAIN_WORDS
WORD_CHARS_MAX: Final = max(map(len, WORDS))


@lru_cache(maxsize=4096)
def words_in(text: str, chars_min: int = 2) -> tuple[str, ...] | None:
    """The known words that a text is put together from, the fewest; None: it is not.

    Digits count as a word, and so does nothing at all.
    """
    if len(text) > TEXT_CHARS_MAX:
        return None
    best: list[tuple[str, ...] | None] = [()] + [None] * len(text)
    for end in range(1, len(text) + 1):
        for start in range(max(0, end - WORD_CHARS_MAX), end):
            before = best[start]
            word = text[start:end]
            if before is None or not (word.isdigit() or (len(word) >= chars_min and word in WORDS)):
                continue
            now = best[end]
            if now is None or len(before) + 1 < len(now):
                best[end] = (*before, word)
    return best[len(text)]


def says_much(words: tuple[str, ...] | None) -> bool:
    """Whether there are words only, and one of money or of doors that is no mere abbreviation."""
    return words is not None and any(
        len(word) > 3 and (word in MONEY_WORDS or word in DOOR_WORDS) for word in words
    )
