"""What is billed without being an attempt, or beside one: training, hosting, storage, capacity, credits, traffic.

Providers do not report these as usage objects, so the names are read by what they say (see `quantities`): a
quantity is taken by its unit, and quantities that belong together are multiplied: tokens by epochs, gigabytes by
days, tokens by hours, units by hours. Where a name alone does not say what a time or a size is of, the kind of
charge does. Names that say nothing known are refused by name.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec

from farebox.errors import UsageViolation
from farebox.normalise.amounts import decimal_text, exact, parts_of
from farebox.normalise.quantities import TIMED, Named, Role, known_names, read_name, words_of
from farebox.usage import METERS, Usage

_HOUR_S = 3600
_DAY_S = 86_400

# The kinds of charge, by the words that people use for them.
KINDS = {
    **dict.fromkeys(
        ("training", "fine_tune_training", "fine_tuning", "finetuning", "fine_tune", "finetune", "sft", "dpo"),
        "training",
    ),
    **dict.fromkeys(
        ("rft", "rft_training", "reinforcement_fine_tuning", "reinforcement_training", "training_time"), "training"
    ),
    **dict.fromkeys(
        ("hosting", "fine_tune_hosting", "ft_hosting", "fine_tuned_hosting", "deployment_hosting", "hosting_time"),
        "hosting",
    ),
    **dict.fromkeys(("dedicated", "dedicated_endpoint", "compute", "gpu", "on_demand_deployment"), "compute"),
    **dict.fromkeys(("storage", "file_storage", "vector_store", "vector_storage", "file_search_storage"), "storage"),
    **dict.fromkeys(("cache_storage", "context_cache", "context_cache_storage", "explicit_cache"), "cache_storage"),
    **dict.fromkeys(("provisioned", "provisioned_throughput", "ptu", "ptus", "capacity"), "provisioned"),
    **dict.fromkeys(
        ("purchase", "purchase_fee", "credit_purchase", "credits", "credit_fee", "top_up", "topup"), "purchase"
    ),
    **dict.fromkeys(("egress", "data_transfer", "network", "bandwidth", "transfer", "network_egress"), "egress"),
    **dict.fromkeys(("container", "code_container", "code_interpreter", "code_execution", "sandbox"), "container"),
    **dict.fromkeys(("transcription", "audio", "speech_to_text", "stt", "asr", "translation"), "transcription"),
    **dict.fromkeys(("speech", "tts", "text_to_speech"), "speech"),
    **dict.fromkeys(("video", "video_generation", "videos"), "video"),
    **dict.fromkeys(("session", "voice", "live", "realtime_session"), "session"),
    **dict.fromkeys(("image", "images", "image_generation", "ocr", "pages", "rerank"), "pieces"),
}
# Of what a time without a name is, by kind.
_BARE_TIME = {
    "training": "training_time",
    "hosting": "hosting_time",
    "compute": "compute_time",
    "container": "code_time",
    "transcription": "audio_time",
    "speech": "speech_time",
    "video": "video_time",
    "session": "session_time",
}
# Times of these kinds are multiplied by how many run side by side.
_REPLICAS = frozenset(("replicas", "replica", "gpus", "gpu_count", "instances", "nodes", "deployments", "machines"))
_TRAINED = frozenset(("trained",))
_HELD_OUT = frozenset(("validation", "eval", "evaluation", "val", "held"))


class Found(msgspec.Struct):
    """One quantity: how its field is called, what the name says, and how much in its unit."""

    key: str
    named: Named
    amount: Fraction


class Billed(msgspec.Struct, frozen=True):
    """What is billed.

    Attributes:
        usage: the meters.
        span_s: over how many seconds it is held, or None.
    """

    usage: Usage
    span_s: Fraction | None = None


def read_billed(raw: Mapping[str, Any], kind: str) -> Billed:
    """Return the meters of what is billed without being an attempt.

    Args:
        raw: quantities by name; numbers may be decimal strings. Text that is no number is passed over.
        kind: a key of `KINDS`, or "" where the names say it all.

    Raises:
        UsageViolation: where a name is not known, an amount is none, or parts of a product are missing.
    """
    found = _Quantities(raw)
    canonical = KINDS.get("_".join(words_of(kind)), "")
    meters: dict[str, int] = {}
    span = None
    for read in _READERS.get(canonical, ()):
        span = read(found, meters) or span
    if not meters:
        for read in _ALL:
            span = read(found, meters) or span
    _read_rest(found, canonical, meters)
    found.refuse_rest()
    if not meters:
        raise UsageViolation("the usage says what is billed", f"there is no quantity; known are {known_names()}")
    total = sum(parts for meter, parts in meters.items() if METERS[meter].family == "input")
    return Billed(Usage(meters, total), span)


def parse_number(value: Any) -> bool:
    """Return whether a value is meant as a number."""
    if isinstance(value, str):
        return value.replace(".", "", 1).replace("e", "", 1).replace("-", "", 1).isdigit()
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


class _Quantities:
    """The quantities of an object, each to be taken once."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self.left: list[Found] = []
        self.unknown: list[str] = []
        self.replicas = Fraction(1)
        for key, value in raw.items():
            if not parse_number(value):
                continue
            if "_".join(words_of(key)) in _REPLICAS:
                self.replicas = exact(value, key)
                continue
            named = read_name(key)
            if named is None:
                self.unknown.append(key)
            else:
                self.left.append(Found(key, named, exact(value, key) * named.factor))
        self._join_times()

    def _join_times(self) -> None:
        """Join a time that is given in several units, such as 1 hour and 30 minutes."""
        times = [one for one in self.left if one.named.role == "time"]
        for larger in times:
            unit = larger.named.factor
            if (larger.amount / unit).denominator != 1:
                continue
            for smaller in times:
                fits = smaller.amount < unit and smaller.named.factor < unit
                if larger.named.of == smaller.named.of and fits and smaller in self.left:
                    larger.amount += smaller.amount
                    self.left.remove(smaller)

    def take(self, role: Role, accept: Callable[[str], bool] = lambda _: True) -> Found | None:
        """Take the only quantity of a role whose words are accepted."""
        fitting = [one for one in self.left if one.named.role == role and accept(one.named.of)]
        if not fitting:
            return None
        if len(fitting) > 1:
            names = " and ".join(one.key for one in fitting)
            raise UsageViolation("every quantity is said once", f"{names} are of the same kind")
        self.left.remove(fitting[0])
        return fitting[0]

    def refuse_rest(self) -> None:
        """Refuse what nobody took."""
        rest = [one.key for one in self.left] + self.unknown
        if rest:
            raise UsageViolation(
                "every quantity has a meter", f"{', '.join(rest)}: not known here; known are {known_names()}"
            )


def _read_training(found: _Quantities, meters: dict[str, int]) -> Fraction | None:
    epochs, evals = found.take("epochs"), found.take("evals")
    whole = found.take("tokens", _has(_TRAINED))
    held_out = found.take("tokens", _has(_HELD_OUT))
    per_epoch = None if whole else found.take("tokens")
    total = Fraction(0)
    if whole is not None:
        total = whole.amount
    elif per_epoch is not None:
        total = per_epoch.amount * (epochs.amount if epochs else 1)
    if evals is not None and held_out is not None:
        total += evals.amount * held_out.amount
    elif held_out is not None and held_out.amount:
        raise UsageViolation("validation tokens are billed by the evaluation", f"{held_out.key} needs n_evals")
    if whole or per_epoch or held_out:
        key = (whole or per_epoch or held_out or _NOBODY).key
        meters["training"] = parts_of("training", total, key)
    return None


def _read_storage(found: _Quantities, meters: dict[str, int]) -> Fraction | None:
    whole = found.take("size_time")
    size = None if whole else found.take("size")
    span = None
    if whole is not None:
        meters["file_storage"] = parts_of("file_storage", whole.amount, whole.key)
    elif size is not None:
        time = _need(found.take("time"), size, "days or hours")
        span = time.amount
        meters["file_storage"] = parts_of("file_storage", size.amount * time.amount / _DAY_S, size.key)
    return span


def _read_cache_storage(found: _Quantities, meters: dict[str, int]) -> Fraction | None:
    whole = found.take("token_time")
    tokens = None if whole else found.take("tokens")
    if whole is not None:
        meters["cache_storage"] = parts_of("cache_storage", whole.amount, whole.key)
    elif tokens is not None:
        time = _need(found.take("time"), tokens, "hours")
        meters["cache_storage"] = parts_of("cache_storage", tokens.amount * time.amount / _HOUR_S, tokens.key)
        return time.amount
    return None


def _read_provisioned(found: _Quantities, meters: dict[str, int]) -> Fraction | None:
    """Read units of capacity; of those, only what goes beyond a reservation is billed by the hour."""
    whole = found.take("unit_time", lambda of: "reserved" not in of and "reservation" not in of)
    covered = found.take("unit_time")
    if whole is not None:
        hours = max(Fraction(0), whole.amount - (covered.amount if covered else 0))
        meters["provisioned"] = parts_of("provisioned", hours, whole.key)
        return None
    reserved = found.take("units", lambda of: "reserved" in of or "reservation" in of)
    units = found.take("units")
    if units is None:
        if reserved is not None:
            raise UsageViolation("a reservation is of units that are deployed", f"{reserved.key} needs deployed_ptu")
        return None
    time = _need(found.take("time"), units, "hours or minutes")
    excess = max(Fraction(0), units.amount - (reserved.amount if reserved else 0))
    meters["provisioned"] = parts_of("provisioned", excess * time.amount / _HOUR_S, units.key)
    return time.amount


def _read_purchase(found: _Quantities, meters: dict[str, int]) -> Fraction | None:
    bought = found.take("usd")
    if bought is not None:
        meters["credit_purchase"] = parts_of("credit_purchase", bought.amount, bought.key)
    return None


def _read_egress(found: _Quantities, meters: dict[str, int]) -> Fraction | None:
    size = found.take("size")
    if size is not None:
        meters["egress"] = parts_of("egress", size.amount, size.key)
    return None


_Reader = Callable[[_Quantities, dict[str, int]], Fraction | None]
_READERS: dict[str, tuple[_Reader, ...]] = {
    "training": (_read_training,),
    "storage": (_read_storage,),
    "cache_storage": (_read_cache_storage,),
    "provisioned": (_read_provisioned,),
    "purchase": (_read_purchase,),
    "egress": (_read_egress,),
}


def _read_by_names(found: _Quantities, meters: dict[str, int]) -> Fraction | None:
    """Read what needs no kind: training where epochs are counted, products by the units that are there."""
    roles = {one.named.role for one in found.left}
    if "epochs" in roles or any(_has(_TRAINED)(one.named.of) for one in found.left):
        return _read_training(found, meters)
    if "size_time" in roles or {"size", "time"} <= roles:
        return _read_storage(found, meters)
    if "token_time" in roles or {"tokens", "time"} <= roles:
        return _read_cache_storage(found, meters)
    if "unit_time" in roles or "units" in roles:
        return _read_provisioned(found, meters)
    return _read_egress(found, meters) or _read_purchase(found, meters)


_ALL: tuple[_Reader, ...] = (_read_by_names,)


def _read_rest(found: _Quantities, kind: str, meters: dict[str, int]) -> None:
    """Read pieces and times, which are meters by themselves."""
    for one in list(found.left):
        meter = one.named.of if one.named.role == "piece" else ""
        if one.named.role == "time":
            meter = TIMED.get(one.named.of, "") or _BARE_TIME.get(kind, "")
            # A time that a kind is about is of that kind: the hours of training on GPUs are training.
            if kind in {"training", "hosting"}:
                meter = _BARE_TIME[kind]
            one.amount *= found.replicas
        if not meter:
            continue
        found.left.remove(one)
        if meter in meters:
            raise UsageViolation("every quantity is said once", f"{one.key} is {meter} again")
        meters[meter] = parts_of(meter, one.amount, one.key)


def _has(words: frozenset[str]) -> Callable[[str], bool]:
    return lambda of: not words.isdisjoint(of.split("_"))


def _need(found: Found | None, other: Found, words: str) -> Found:
    if found is None:
        raise UsageViolation(
            "what is held is billed by its time", f"{other.key} ({decimal_text(other.amount)}) needs {words}"
        )
    return found


_NOBODY = Found("", Named("piece"), Fraction(0))
