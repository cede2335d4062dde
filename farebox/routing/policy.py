"""What happens to calls that cost too much: they go to another model, are refused, or pass with a word. Pure.

Policies are looked at in the order of the file, and the first one that holds decides. One that moves calls leaves
critical ones where they are, unless its ``when`` names them. A call is moved once: policies are not asked again for the
model that it is moved to.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from farebox.config.policies import Policy
from farebox.errors import OverBudget
from farebox.money import femto_from_usd, usd_text
from farebox.route import Target
from farebox.routing.request import Request

Used = Callable[[Request, Target], tuple[int, str]]
"""Returns how much of its limit the budget has used that has used most of those a call is under, in percent, and whose
it is."""


class Decision(msgspec.Struct, frozen=True):
    """What a policy says of a call.

    Attributes:
        policy: it.
        reason: in words, the policy's name included.
        limit_femto: of one about what a call has cost so far: from which amount on it holds, femtodollars.
    """

    policy: Policy
    reason: str
    limit_femto: int = 0


class Flags:
    """The anomaly flags in force: by scope, such as ``team:search``, why it was flagged. Of one worker."""

    def __init__(self) -> None:
        self.reasons: Mapping[str, str] = {}

    def find(self, request: Request) -> str:
        """Return the first flag that a call is under, in words, or ""."""
        reasons = self.reasons
        if not reasons:
            return ""
        scopes = [f"key:{request.key}", f"team:{request.team}", f"model:{request.model}"]
        scopes += [f"tag:{name}={value}" for name, value in request.tags.items()]
        return next((f"{scope} is flagged: {reasons[scope]}" for scope in scopes if scope in reasons), "")


class _Rule(msgspec.Struct, frozen=True):
    policy: Policy
    expected_femto: int | None
    running_femto: int | None


class Policies:
    """The policies of a configuration.

    Args:
        policies: in the order of the file.
        used: tells how much of their budgets calls have used.
        flags: in force.
    """

    def __init__(self, policies: Sequence[Policy], used: Used, flags: Flags) -> None:
        self._rules = tuple(
            _Rule(
                policy,
                None if policy.when.expected_usd_over is None else femto_from_usd(policy.when.expected_usd_over),
                None if policy.when.running_usd_over is None else femto_from_usd(policy.when.running_usd_over),
            )
            for policy in policies
        )
        self._used = used
        self._flags = flags
        named = [policy.when.models for policy in policies]
        self._models: frozenset[str] | None = (
            frozenset(name for names in named for name in names) if all(named) else None
        )

    def watch(self, model: str) -> bool:
        """Return whether any policy may be for calls to a model."""
        return bool(self._rules) and (self._models is None or model in self._models)

    def decide(self, request: Request, target: Target, expected_femto: int | None) -> Decision | None:
        """Return what is to be done with a call before it is sent, or None where no policy holds.

        Args:
            request: the call.
            target: where it would go.
            expected_femto: what it is expected to cost there, or None where that is not known.
        """
        for rule in self._rules:
            if rule.running_femto is None and _is_for(rule.policy, request):
                reason = self._reason(rule, request, target, expected_femto)
                if reason is not None:
                    return Decision(rule.policy, f"policy {rule.policy.name}: {reason}")
        return None

    def running(self, request: Request) -> Decision | None:
        """Return the policy about what a call has cost so far, or None; it holds beyond its ``limit_femto``."""
        for rule in self._rules:
            if rule.running_femto is not None and _is_for(rule.policy, request):
                over = f"it has cost more than {usd_text(rule.running_femto)} USD so far"
                return Decision(rule.policy, f"policy {rule.policy.name}: {over}", rule.running_femto)
        return None

    def _reason(self, rule: _Rule, request: Request, target: Target, expected_femto: int | None) -> str | None:
        """Return why a policy holds, in words, or None where it does not."""
        when = rule.policy.when
        words: list[str] = []
        if rule.expected_femto is not None:
            if expected_femto is None or expected_femto <= rule.expected_femto:
                return None
            words.append(f"it is expected to cost {usd_text(expected_femto)} USD, over {when.expected_usd_over}")
        if when.flagged:
            flag = self._flags.find(request)
            if not flag:
                return None
            words.append(flag)
        if when.budget_percent is not None:
            percent, account = self._used(request, target)
            if percent < when.budget_percent:
                return None
            words.append(f"{account} has used {percent} % of its budget")
        return ", ".join(words) or f"it is for such calls ({request.criticality})"


def refusal(decision: Decision) -> OverBudget:
    """Return the error of a call that a policy refuses."""
    return OverBudget(
        f"The call is refused by {decision.reason}. Ask for less, for a cheaper model, or mark it with "
        "'x-farebox-criticality: critical' where the policy lets such calls pass.",
        code="policy_refused",
    )


def _is_for(policy: Policy, request: Request) -> bool:
    when = policy.when
    if when.models and request.model not in when.models:
        return False
    if when.keys and request.key not in when.keys:
        return False
    if when.teams and request.team not in when.teams:
        return False
    if any(request.tags.get(tag) != value for tag, value in when.tags.items()):
        return False
    if when.criticality:
        return request.criticality in when.criticality
    return policy.then != "use" or request.criticality != "critical"
