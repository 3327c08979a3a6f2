"""Settings: one tree, read from cacheguard.yaml and the environment."""

from cacheguard.settings.checks import (
    Check,
    ForbiddenCheck,
    JudgeCheck,
    LanguageCheck,
    LengthCheck,
    PatternCheck,
    RelevanceCheck,
    SelfConsistencyCheck,
)
from cacheguard.settings.load import Loaded, load
from cacheguard.settings.providers import Provider
from cacheguard.settings.routes import Cache, Route, SecondLook
from cacheguard.settings.service import ApiKey, Auth, Embedding, Index, Server, Store
from cacheguard.settings.show import effective, effective_yaml, json_schema
from cacheguard.settings.strategies import (
    ENSEMBLE,
    CanaryStrategy,
    EnsembleStrategy,
    HedgeStrategy,
    Strategy,
    WeightedStrategy,
)
from cacheguard.settings.tiers import ModelTier, Price, TemplateTier, Tier, filled_in
from cacheguard.settings.tree import DEFAULT_ROUTE, Settings

__all__ = [
    "DEFAULT_ROUTE",
    "ENSEMBLE",
    "ApiKey",
    "Auth",
    "Cache",
    "CanaryStrategy",
    "Check",
    "Embedding",
    "EnsembleStrategy",
    "ForbiddenCheck",
    "HedgeStrategy",
    "Index",
    "JudgeCheck",
    "LanguageCheck",
    "LengthCheck",
    "Loaded",
    "ModelTier",
    "PatternCheck",
    "Price",
    "Provider",
    "RelevanceCheck",
    "Route",
    "SecondLook",
    "SelfConsistencyCheck",
    "Server",
    "Settings",
    "Store",
    "Strategy",
    "TemplateTier",
    "Tier",
    "WeightedStrategy",
    "effective",
    "effective_yaml",
    "filled_in",
    "json_schema",
    "load",
]
