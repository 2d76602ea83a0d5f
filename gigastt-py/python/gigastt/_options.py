"""What a stream is asked to do. All of it is data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from gigastt import _native

Profile: TypeAlias = Literal["file", "dictation", "assistant", "captions", "manual"]
Mode: TypeAlias = Literal["two_pass", "incremental"]
Segmentation: TypeAlias = Literal["auto", "whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRule:
    """When an utterance starts and ends.

    Looks at voice activity and sample counts alone, so that the same audio is always cut at the same
    places. Start from a profile: `dataclasses.replace(EndpointRule.profile("assistant"), silence_ms=300)`.
    """

    gate: bool
    """Encode only around detected speech."""
    whole_if_short: bool
    """A recording that is no longer than `utterance_max_ms` becomes one whole window."""
    speech_ms: int
    """Voice activity needed before speech is believed; 16 to 2,000."""
    pre_roll_ms: int
    """Audio kept before detected speech; 0 to 1,000."""
    post_roll_ms: int
    """Audio kept after the last speech; 0 to 2,000."""
    silence_ms: int | None
    """Silence that ends an utterance, at least `post_roll_ms`; None: silence never does."""
    utterance_max_ms: int
    """The longest utterance, cut at its best pause; 1,000 to 25,000."""
    cut_from_ms: int
    """That cut falls no earlier than this into the utterance."""
    tail_min_ms: int
    """At the bound this much more audio is awaited, so that no short tail remains; 0 to 10,000."""

    @classmethod
    def profile(cls, name: Profile) -> EndpointRule:
        """The rule of a profile: `file`, `dictation`, `assistant`, `captions` or `manual`."""
        return cls(**_native.endpoint_profile(name))


def endpoint_rule(endpoint: Profile | EndpointRule) -> EndpointRule:
    """The rule that was named or given."""
    return endpoint if isinstance(endpoint, EndpointRule) else EndpointRule.profile(endpoint)
