"""Words for blocks: deterministic from the seed, prefix-stable, 4 bytes a token.

A block cut short is the beginning of the same block at full length, so a conversation that ends inside a
block still shares its prefix with one that goes on.
"""

import functools
import random
from typing import Final

BYTES_PER_TOKEN: Final = 4

_WORDS: Final = (
    "the of and to in is that for it as was with be by on not he this are or his from at which but have "
    "an had they you were their one all we can her has there been if more when will would who so no out "
    "up into them than then its some time new first only over may also after two any our work use most "
    "account answer amount before book bridge budget called carriage change city clear coach coin column "
    "common copper count crossing customer daily date depart detail distance driver early east engine "
    "entry evening fare figure ferry folder freight gate given ground harbour hour invoice island journey "
    "junction keeper kind later ledger letter level line local luggage market measure metre middle minute "
    "morning number office order passage paper payment platform point price quarter question railway rate "
    "record region report return river road route schedule season second service signal single station "
    "steam street summary table ticket timber token total tower track train transfer tunnel valley value "
    "village voyage wagon water week west window winter yard year zone"
)
WORDS: Final = tuple(_WORDS.split())


@functools.lru_cache(maxsize=4096)
def write_block(seed: int, part: str, block_id: int, tokens: int) -> str:
    """Return the text of a block: exactly ``4 * tokens`` bytes of ASCII."""
    size = tokens * BYTES_PER_TOKEN
    # A string seed is hashed with SHA-512: equal in every process, unlike hash().
    draw = random.Random(f"{seed}:{part}:{block_id}")  # noqa: S311 - filler text, not a secret
    # The shortest word takes three bytes with its space, so this many words always suffice.
    words = draw.choices(WORDS, k=size // 3 + 1)
    return " ".join(words)[:size]
