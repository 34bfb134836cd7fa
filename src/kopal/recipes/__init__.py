"""Every knob of a training, frozen, as JSON both ways. One dial, `effort`, sets the rest."""

from kopal.recipes.check import checked
from kopal.recipes.efforts import duration, recipe, recipe_from_json
from kopal.recipes.knobs import (
    NOT_OF_TUNING,
    OF_FEATURES,
    OF_PIXELS,
    STARTS,
    HeadName,
    Numbers,
    OptimiserName,
    Recipe,
    is_file,
)

__all__ = [
    "NOT_OF_TUNING",
    "OF_FEATURES",
    "OF_PIXELS",
    "STARTS",
    "HeadName",
    "Numbers",
    "OptimiserName",
    "Recipe",
    "checked",
    "duration",
    "is_file",
    "recipe",
    "recipe_from_json",
]
